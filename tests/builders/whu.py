"""A tiny look-alike of the WHU buildings: three parts, buildings are 255, one image with alpha."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.builders.aerial import draw_tile, save

VICTIM = "val/Mask/1.png"


def write_whu(root: Path, *, tiles: int = 3) -> Path:
    """Write the look-alike below `root` and return `root`. The names repeat in every part."""
    for shift, part in enumerate(("train", "val", "test")):
        for number in range(tiles):
            colour, mask = draw_tile(100 * shift + number)
            if number == 0:
                colour = np.dstack([colour, np.full(mask.shape, 7, np.uint8)])
            save(root / part / "Image" / f"{number}.png", colour)
            save(root / part / "Mask" / f"{number}.png", mask * np.uint8(255))
    return root
