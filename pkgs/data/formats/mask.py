"""Masks on disk: two values, or numbered objects; and the signs that it is no mask at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.formats.grey_image import read_labels
from pkgs.data.items import DataError, listed

BINARY: Final = ({0}, {1}, {255}, {0, 1}, {0, 255})
"""The sets of values that a mask with one class may hold."""
SMOOTH: Final = 0.5
"""Share of equal neighbours below which numbers are no regions: masks have above .9, noisy images below
.3."""
SWAPPED: Final = "It looks like an image: are the folders of images and masks swapped?"


def read_binary(path: Path, *, zero_is_inside: bool = False) -> NDArray[np.uint8]:
    """Return a mask of one class as 0 and 1 in uint8 [rows, columns].

    Args:
        path: Stored with the values 0 and 1, or 0 and 255.
        zero_is_inside: Whether 0 is the object and the other value is the ground.

    Raises:
        DataError: If the file is damaged, has colour, or holds any other value.
    """
    stored = read_labels(path)
    values = set(np.unique(stored).tolist())
    if values not in BINARY:
        hint = (
            SWAPPED if _is_rough(stored) else "Store 0 outside and 255 inside, without smoothing (no JPEG)."
        )
        raise DataError(
            f"{path}: the mask holds the values {listed(map(str, sorted(values)))}; expected only 0 and 1, "
            f"or only 0 and 255. {hint}"
        )
    inside: NDArray[np.bool_] = stored == 0 if zero_is_inside else stored != 0
    return inside.astype(np.uint8)


def read_instances(path: Path) -> NDArray[np.int32]:
    """Return numbered objects as int32 [rows, columns], 0 outside.

    Raises:
        DataError: If the file is damaged, has colour or fractions, or is an image by the look of it.
    """
    numbers = read_labels(path)
    require_regions(path, numbers)
    return numbers


def require_regions(path: Path, numbers: NDArray[Any]) -> None:
    """Refuse numbers that change from pixel to pixel as grey values do.

    Raises:
        DataError: Says that images and masks may be swapped.
    """
    if _is_rough(numbers):
        raise DataError(
            f"{path}: a mask of {len(np.unique(numbers))} values that change from pixel to pixel. {SWAPPED}"
        )


def _is_rough(numbers: NDArray[Any]) -> bool:
    if min(numbers.shape) < 2:
        return False
    return bool((numbers[:, 1:] == numbers[:, :-1]).mean() < SMOOTH)
