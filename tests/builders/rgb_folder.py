"""Colour images of somebody's own: plain names and names of patches, masks of 0/1 and 0/255."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.builders.aerial import draw_tile, save

VICTIM = "masks/park.png"
NAMES = ("city_1_2_0_0", "city_1_2_0_209", "park")


def write_rgb_folder(root: Path) -> Path:
    """Write the look-alike below `root` and return `root`."""
    for number, name in enumerate(NAMES):
        colour, mask = draw_tile(number)
        save(root / f"images/{name}.png", colour)
        save(root / f"masks/{name}.png", mask * np.uint8(255 if number else 1))
    return root
