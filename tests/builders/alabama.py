"""A tiny look-alike of the Alabama buildings: masks inverted, buildings are 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.builders.aerial import draw_tile, save

VICTIM = "mask/img_2.png"


def write_alabama(root: Path, *, tiles: int = 6) -> Path:
    """Write the look-alike below `root` and return `root`. The last mask holds 0 and 1."""
    for number in range(tiles):
        colour, mask = draw_tile(300 + number)
        ground = np.uint8(1 if number == tiles - 1 else 255)
        save(root / "image" / f"img_{number}.png", colour)
        save(root / "mask" / f"img_{number}.png", (1 - mask) * ground)
    return root
