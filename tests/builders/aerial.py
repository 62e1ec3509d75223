"""Tiny aerial tiles: red roofs on green ground, so that image and mask cannot be taken for each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def draw_tile(number: int, *, side_px: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 RGB [rows, columns, 3] and a mask of 0 and 1; every fifth tile holds no building."""
    rng = np.random.default_rng(number)
    mask = np.zeros((side_px, side_px), np.uint8)
    if number % 5 != 4:
        y, x = rng.integers(0, side_px // 2, 2)
        mask[y : y + side_px // 4, x : x + side_px // 3] = 1
    ground, roof = np.array([60, 120, 50]), np.array([180, 60, 50])
    colour = np.where(mask[..., None] == 1, roof, ground) + rng.integers(-20, 20, (side_px, side_px, 3))
    return colour.astype(np.uint8), mask


def save(path: Path, pixels: np.ndarray) -> None:
    """Write a PNG, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
