"""Cutting windows of one size out of items of any size. Pure; loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkgs.data.items import Array, DataError, Item, Kind


def cut(
    items: Sequence[Item], *, kinds: Mapping[str, Kind], corners_BD: NDArray[np.int64], size: tuple[int, ...]
) -> dict[str, Array]:
    """Return fresh arrays [B, ..., *size]: of item b the voxels from corner b on; vectors whole.

    Raises:
        DataError: If a window leaves its item.
    """
    if corners_BD.shape != (len(items), len(size)):
        raise DataError(
            f"Corners of shape {corners_BD.shape}; expected ({len(items)}, {len(size)}): "
            "a row per item, a column per axis."
        )
    batch: dict[str, Array] = {}
    for place, item in enumerate(items):
        corner = tuple(int(voxel) for voxel in corners_BD[place])
        for name, array in item.items():
            window = array if kinds[name] == "vector" else _window(array, corner, size, name)
            if name not in batch:
                batch[name] = np.empty((len(items), *window.shape), dtype=window.dtype)
            batch[name][place] = window
    return batch


def _window(array: Array, corner: tuple[int, ...], size: tuple[int, ...], name: str) -> Array:
    space = array.shape[array.ndim - len(size) :]
    inside = all(at >= 0 and at + side <= whole for at, side, whole in zip(corner, size, space, strict=True))
    if not inside:
        raise DataError(
            f"A window of {size} at {corner} leaves {name!r} of {space}. Pad the samples with a preparation, "
            "or take smaller windows."
        )
    cuts: tuple[Any, ...] = (..., *(slice(at, at + side) for at, side in zip(corner, size, strict=True)))
    window: Array = array[cuts]
    return window
