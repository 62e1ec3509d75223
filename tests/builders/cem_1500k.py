"""A tiny look-alike of CEM1.5M: unlabelled patches by source, `.tif` and `.tiff`, one source in 16 bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from tests.builders.cem_mitolab import draw_patch


def write_cem_1500k(root: Path, *, sources: int = 3, patches: int = 3, side_px: int = 32) -> Path:
    """Write the look-alike below `root` and return `root`. The last source is in 16 bit, the others in 8."""
    for number in range(sources):
        folder = root / "CEM1500k_unlabelled" / "cem1.5M" / f"pool_{number:02d}"
        folder.mkdir(parents=True)
        depth = np.uint16 if number == sources - 1 else np.uint8
        for patch in range(patches):
            grey, _ = draw_patch(5000 + 100 * number + patch, side_px=side_px)
            stored = np.round(grey * np.iinfo(depth).max).astype(depth)
            ending = ".tif" if number % 2 else ".tiff"
            tifffile.imwrite(folder / f"roi_{patch}{ending}", stored, photometric="minisblack")
    return root
