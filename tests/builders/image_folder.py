"""Folders of images and masks as users have them: PNG, consecutive numbers, 255 inside and 0 outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pkgs.data.readers.image_folder import ImageFolder
from tests.builders.cem_mitolab import draw_patch

READER = ImageFolder(labels="255")
VICTIM = "masks/7.png"


def write_image_folder(root: Path, *, count: int = 12, side_px: int = 32) -> tuple[Path, Path]:
    """Write `count` numbered sections (1.png … without leading zeros) and return both folders."""
    images, masks = root / "images", root / "masks"
    images.mkdir(parents=True)
    masks.mkdir()
    for number in range(1, count + 1):
        grey, labels = draw_patch(number, side_px=side_px)
        Image.fromarray(np.round(grey * 255).astype(np.uint8)).save(images / f"{number}.png")
        Image.fromarray(np.where(labels > 0, 255, 0).astype(np.uint8)).save(masks / f"{number}.png")
    return images, masks
