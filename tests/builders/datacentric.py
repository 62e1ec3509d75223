"""A tiny look-alike of DataCentric: patches of two source tiles, noisy and clean masks of 0 and 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.builders.aerial import draw_tile, save

VICTIM = "training_noisy_labels/tile_7_0_0_209.png"
FIRST = ("training_patches", "training_noisy_labels", "training_labels")
LATER = ("image_patches", "noisy_labels", "clean_labels")


TILES = ("tile_7_0", "tile_12_3")


def write_datacentric(
    root: Path, *, folders: tuple[str, str, str] = FIRST, scale: int = 1, tiles: tuple[str, ...] = TILES
) -> Path:
    """Write the look-alike below `root` and return `root`.

    Args:
        root: Where.
        folders: Names of the folders, of the first or the later release.
        scale: Value of a building, 1 or 255.
        tiles: Source tiles, four patches each.
    """
    for tile in tiles:
        for place, (row, column) in enumerate(((0, 0), (0, 209), (209, 0), (209, 209))):
            colour, mask = draw_tile(10 * len(tile) + place)
            noisy = np.roll(mask, 3, axis=1)
            for folder, pixels in zip(
                folders, (colour, noisy * np.uint8(scale), mask * np.uint8(scale)), strict=True
            ):
                save(root / folder / f"{tile}_{row}_{column}.png", pixels)
    return root
