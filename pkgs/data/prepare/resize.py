"""Bringing every image of a set to one size, masks alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from pkgs.data.items import Array, ArraySpec, DataError, Header, Item
from pkgs.data.prepare.planes import has_space, is_label, require_planes

Shape = tuple[int, int]


@final
@dataclass(frozen=True)
class Resize:
    """Resize 2-D items to `shape`: images bilinear with antialiasing, labels nearest-exact.

    Output pixel i covers the input from i * s to (i + 1) * s, s = size in / size out
    (`align_corners=False`); a label takes the input pixel at (i + 1/2) * s, in whole numbers, so no rounding
    decides.

    Images are averaged in float32 and rounded back to their own dtype: an image of 8 bits stays one of 8
    bits, at most half a code off. Labels, and so ignored pixels, keep their values. An item that has the
    shape already is passed on, bit for bit. Vectors pass as they are.

    Source: torch.nn.functional.interpolate, modes bilinear (antialias) and nearest-exact.
    """

    shape: Shape
    """Rows and columns afterwards."""

    fit: Literal["squash", "crop"] = "squash"
    """`squash`: the sides are stretched apart. `crop`: the short side is fitted, the middle of the long one
    kept."""

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or min(self.shape) < 1:
            raise DataError(f"Resize: shape {self.shape}; expected rows and columns, at least 1 each.")

    def planned(self, header: Header) -> Header:
        require_planes(header, by="Resize")
        return replace(header, arrays={name: self._planned(spec) for name, spec in header.arrays.items()})

    def __call__(self, item: Item) -> Item:
        return {name: self._changed(array) if has_space(array) else array for name, array in item.items()}

    def _planned(self, spec: ArraySpec) -> ArraySpec:
        return spec if len(spec.shape) < 2 else replace(spec, shape=(*spec.shape[:-2], *self.shape))

    def _changed(self, array: Array) -> Array:
        whole = (int(array.shape[-2]), int(array.shape[-1]))
        if whole == self.shape:
            return array
        between = whole_shape(whole, self.shape) if self.fit == "crop" else self.shape
        resized = nearest(array, between) if is_label(array) else smooth(array, between)
        return np.ascontiguousarray(resized[(..., *middle(between, self.shape))])


def whole_shape(shape: Shape, goal: Shape) -> Shape:
    """Return the smallest shape of the proportions of `shape` that covers `goal`."""
    if shape[0] * goal[1] <= shape[1] * goal[0]:  # wider than the goal: rows fit
        return goal[0], max(goal[1], round(shape[1] * goal[0] / shape[0]))
    return max(goal[0], round(shape[0] * goal[1] / shape[1])), goal[1]


def middle(shape: Shape, goal: Shape) -> tuple[slice, slice]:
    """Return the cut of size `goal` in the middle of `shape`; an odd rest is left below and on the right."""
    row, column = ((whole - part) // 2 for whole, part in zip(shape, goal, strict=True))
    return slice(row, row + goal[0]), slice(column, column + goal[1])


def nearest(array: Array, shape: Shape) -> Array:
    """Return the values of `array` [..., rows, columns] at the centres of the new pixels."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(shape, array.shape[-2:], strict=True)
    )
    taken: Array = array[..., rows[:, None], columns[None, :]]
    return taken


def smooth(array: Array, shape: Shape) -> Array:
    """Return `array` [..., rows, columns] averaged bilinearly with antialiasing, in its own dtype."""
    floats = torch.from_numpy(
        array.astype(np.float32)
    )  # a copy: torch warns about arrays that it may not change
    flat = floats.reshape(1, -1, *array.shape[-2:])
    resized: NDArray[np.float32] = F.interpolate(
        flat, size=shape, mode="bilinear", align_corners=False, antialias=True
    ).numpy()
    resized = resized.reshape(*array.shape[:-2], *shape)
    if array.dtype.kind == "f":
        return resized.astype(array.dtype)
    limits = np.iinfo(array.dtype)
    return np.clip(np.rint(resized), limits.min, limits.max).astype(array.dtype)
