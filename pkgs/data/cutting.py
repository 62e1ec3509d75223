"""Patches and slices cut out of volumes, with margin, and with a stated value where the volume ends.

Works on mapped arrays: only the patch is read. Draws nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from pkgs.data.items import IGNORE, Array, Item, Kind
from pkgs.data.patches import WHOLE, PatchKeys

Outside = float | Literal["reflect"]
"""What lies beyond the border: one value, or the mirror image without the border voxel itself."""

BEYOND: Final[Mapping[Kind, Outside]] = {"label": IGNORE, "soft": "reflect", "weight": 0.0}
"""Labels end in `ignore`, never in background; soft maps must sum to 1 even where nothing looks at them."""


def cut(volume: NDArray[Any], *, start: Sequence[int], size: Sequence[int], outside: Outside) -> NDArray[Any]:
    """Return a copy of `size` voxels from `start` on, in the last three axes.

    Args:
        volume: [..., i, j, k].
        start: May be negative, and the end may lie beyond the border.
        size: At least 1 each.
        outside: See `Outside`.
    """
    lead = volume.ndim - 3
    wanted = [np.arange(s, s + n) for s, n in zip(start, size, strict=True)]
    sides = volume.shape[lead:]
    near = [_inside(places, n, outside) for places, n in zip(wanted, sides, strict=True)]
    # The part that is needed first: all else then costs as much as the patch, not as the volume.
    part = (slice(None),) * lead + tuple(slice(n.min(), n.max() + 1) for n in near)
    patch = np.array(volume[part])
    for axis, (places, inside) in enumerate(zip(wanted, near, strict=True)):
        if np.array_equal(places, inside):
            continue
        patch = np.take(patch, inside - inside.min(), axis=lead + axis)
        if outside != "reflect":
            patch[(slice(None),) * (lead + axis) + (inside != places,)] = outside
    return patch


def cut_patch(  # noqa: PLR0913 - a patch is named by all of these
    item: Item,
    *,
    kinds: Mapping[str, Kind],
    start: Sequence[int],
    window: Sequence[int],
    axis: int,
    margin: int = 0,
    image_outside: Outside,
) -> dict[str, Array]:
    """Return every array's part of one patch; a slice loses the axis it was cut across.

    Args:
        item: Whole volumes by name, channels first.
        kinds: What they are; a `vector` is handed on as it is.
        start: First voxel of the labelled area.
        window: Size of the labelled area.
        axis: Across which a slice is cut, or `WHOLE`.
        margin: Voxels more on every side, for context and for rotated corners; none across a slice.
        image_outside: For images; the lowest value of the window for CT, such as -100.
    """
    more = [0 if place == axis else margin for place in range(3)]
    first = [int(s) - m for s, m in zip(start, more, strict=True)]
    size = [int(w) + 2 * m for w, m in zip(window, more, strict=True)]
    parts: dict[str, Array] = {}
    for name, array in item.items():
        kind = kinds[name]
        if kind == "vector":
            parts[name] = array
            continue
        part = cut(array, start=first, size=size, outside=BEYOND.get(kind, image_outside))
        parts[name] = part if axis == WHOLE else part.squeeze(axis=part.ndim - 3 + axis)
    return parts


def cut_batch(
    item_of: Callable[[int], Item],
    *,
    kinds: Mapping[str, Kind],
    keys: PatchKeys,
    margin: int = 0,
    image_outside: Outside,
) -> dict[str, Array]:
    """Return the patches of all keys, stacked: [B, ...] by array name.

    Args:
        item_of: The whole volumes of a case by its number; mapped ones, so that only the patches are read.
        kinds: What the arrays are.
        keys: Of a `PatchSampler`; all have one size once a slice has lost its axis.
        margin: See `cut_patch`.
        image_outside: See `cut_patch`.
    """
    patches = [
        cut_patch(
            item_of(int(keys.case_B[k])),
            kinds=kinds,
            start=keys.start_B3[k].tolist(),
            window=keys.window_B3[k].tolist(),
            axis=int(keys.axis_B[k]),
            margin=margin,
            image_outside=image_outside,
        )
        for k in range(len(keys))
    ]
    return {name: np.stack([patch[name] for patch in patches]) for name in patches[0]}


def slices_of(volume: NDArray[Any], *, axis: int) -> NDArray[Any]:
    """Return a view [slice, ..., rows, columns] of a volume [..., i, j, k] across one of its axes."""
    return np.moveaxis(volume, volume.ndim - 3 + axis, 0)


def _inside(places: NDArray[np.int64], count: int, outside: Outside) -> NDArray[np.int64]:
    """Return the voxel of the volume that stands for each place."""
    if outside != "reflect":
        return np.clip(places, 0, count - 1)
    folded = np.abs(places) % max(2 * count - 2, 1)
    mirrored: NDArray[np.int64] = np.minimum(folded, 2 * count - 2 - folded)
    return mirrored
