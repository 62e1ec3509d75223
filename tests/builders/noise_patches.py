"""Patches of a ranking made by hand: squares that are labelled, predicted, both, or elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pkgs.noise.patch_view import PatchView

Square = tuple[int, int, int, int]
"""x0, y0, x1, y1, the last two exclusive."""


def plane(
    squares: Sequence[Square], *, side_px: int = 64, value: float = 1.0, rest: float = 0.0
) -> np.ndarray:
    """Return float64 [side, side]: `value` within the squares, `rest` outside."""
    values = np.full((side_px, side_px), rest)
    for x0, y0, x1, y1 in squares:
        values[y0:y1, x0:x1] = value
    return values


def label(squares: Sequence[Square], *, side_px: int = 64) -> np.ndarray:
    """Return uint8 [side, side] of 0 and 1."""
    return plane(squares, side_px=side_px).astype(np.uint8)


def predict(squares: Sequence[Square], *, side_px: int = 64) -> np.ndarray:
    """Return P: .9 within the squares, .05 outside."""
    return plane(squares, side_px=side_px, value=0.9, rest=0.05)


def write_view(
    folder: Path,
    imageid: str,
    *,
    labelled: Sequence[Square] = (),
    predicted: Sequence[Square] = (),
    rank: int = 0,
    wrong: bool = True,
) -> PatchView:
    """Write the label's file (0/255) below `folder`, and return the patch."""
    mask, p = label(labelled), predict(predicted)
    path = folder / imageid
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask * np.uint8(255)).save(path)
    image = np.random.default_rng(rank).integers(60, 120, (3, *mask.shape)).astype(np.uint8)
    image[:, p > 0.5] += 90
    r = np.abs(p - mask) if wrong else None
    return PatchView(imageid, path, image, mask, p, r, rank, rank / 10, rank / 20)


def one_of_each(folder: Path) -> list[PatchView]:
    """Return six patches, worst first: one for each kind of finding, and a clean one."""
    house = (20, 20, 36, 36)
    return [
        write_view(folder, "a_0_0_0_0.png", predicted=[house], rank=5),
        write_view(folder, "a_0_0_0_209.png", labelled=[house], rank=4),
        write_view(folder, "b_0_0_0_0.png", labelled=[house], predicted=[(27, 20, 43, 36)], rank=3),
        write_view(
            folder, "b_0_0_0_209.png", labelled=[(24, 14, 32, 42)], predicted=[(14, 24, 42, 32)], rank=2
        ),
        write_view(folder, "c_0_0_0_0.png", labelled=[house], predicted=[(22, 20, 38, 36)], rank=1),
        write_view(folder, "c_0_0_0_209.png", labelled=[house], predicted=[house], rank=0),
    ]
