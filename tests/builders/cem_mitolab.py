"""A tiny look-alike of CEM-MitoLab: its folders, types and quirks; bright discs are the mitochondria."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

DEEP, WIDE, WHITE = 2, 1, 5
"""Number of the source in 16 bit, of the one that is not square, of the one stored min-is-white."""
VICTIM = "CEM-MitoLab/cem_mitolab/source_01/masks/s1_2.tif"


def write_cem_mitolab(root: Path, *, sources: int = 8, patches: int = 4, side_px: int = 32) -> Path:
    """Write the look-alike below `root` and return `root`. Sources 3 and 4 share their file names."""
    for number in range(sources):
        folder = root / "CEM-MitoLab" / "cem_mitolab" / f"source_{number:02d}"
        for name in ("images", "masks"):
            (folder / name).mkdir(parents=True)
        ending = ".tif" if number % 2 else ".tiff"
        stem = "same" if number in {3, 4} else f"s{number}"
        for patch in range(patches):
            grey, labels = draw_patch(1000 * number + patch, side_px=side_px, wide=number == WIDE)
            codes = np.round(grey * (65535 if number == DEEP else 255))
            stored = codes.astype(np.uint16 if number == DEEP else np.uint8)
            if number == WHITE:
                stored = np.iinfo(stored.dtype).max - stored
            shade = "miniswhite" if number == WHITE else "minisblack"
            tifffile.imwrite(folder / "images" / f"{stem}_{patch}{ending}", stored, photometric=shade)
            tifffile.imwrite(folder / "masks" / f"{stem}_{patch}{ending}", labels, photometric="minisblack")
    return root


def draw_patch(number: int, *, side_px: int, wide: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return grey values in [0, 1] and uint16 instance numbers: one or two bright discs on a dark ground."""
    rng = np.random.default_rng(number)
    rows, columns = np.mgrid[0:side_px, 0 : side_px * 3 // 2 if wide else side_px]
    grey, labels = rng.uniform(0.1, 0.4, rows.shape), np.zeros(rows.shape, np.uint16)
    for instance in (1, 2):
        y, x = rng.uniform(0.2, 0.8) * side_px, rng.uniform(0.2, 0.8) * side_px
        disc = np.hypot(rows - y, columns - x) < 0.15 * side_px
        labels[disc], grey[disc] = instance, rng.uniform(0.5, 0.8, int(disc.sum()))
    return grey, labels
