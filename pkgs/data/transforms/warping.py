"""Resampling of 2-D batches on the CPU by OpenCV, one plane after another.

An affine sample is one `warpAffine`; perspective and elastic ones pass through maps of places (`remap`).
A plane of values is first padded as far as its sample looks beyond the border: a copy that lies in the cache,
with no outside, takes 1.7 instead of 4.7 ms for 16 planes of 224 x 224 pixels, padding included. Places are
float32 as everywhere: within 4e-5 of `grid_sample` in double precision (white noise of that size), labels
never mixed. A whole batch with its draws takes less than half the time of gathers by torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pkgs.data.transforms.plan import Numbers, Pairs, Plan, Sides

Array = NDArray[Any]
Value = tuple[float, ...]

CODES: Final[dict[int, tuple[type[np.generic], int]]] = {
    1: (np.uint8, 1),
    2: (np.uint16, 1),
    4: (np.uint8, 4),
    8: (np.uint16, 4),
}
"""Types and channels that stand for labels of so many bytes: OpenCV finds their nearest pixel in float32. For
int32 and others it counts places in steps of 1/1024 pixel."""
WIDEST: Final = 8
"""Bytes of the widest pixel: a label in int64."""


@dataclass(frozen=True, slots=True)
class _Planes:
    """One tensor as OpenCV takes it."""

    source: Array
    """[B, C, height, width], and perhaps the channels of a code."""
    target: Array
    outside: Value | None
    """None: reflect."""
    linear: bool


def warp(linear: Pairs, labels: Pairs, *, plan: Plan) -> None:
    """Fill the targets. Linear ones interpolate between the 4 neighbours, labels take the nearest pixel."""
    import cv2  # noqa: PLC0415 - heavy

    planes = [_values(*pair, outside=plan.outside) for pair in linear]
    planes += [_labels(*pair, outside=plan.outside_label) for pair in labels]
    ways = _Ways(plan, planes[0].source.shape[2:4])
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # two take twice the processor time for 224 x 224 pixels and are hardly sooner done
    try:
        _fill(planes, ways, plan.which)
    finally:
        cv2.setNumThreads(threads)


def _values(source: Tensor, target: Tensor, *, outside: float | None) -> _Planes:
    value = None if outside is None else (outside,)
    return _Planes(source.contiguous().numpy(), target.numpy(), value, linear=True)


def _labels(source: Tensor, target: Tensor, *, outside: int) -> _Planes:
    found = target.numpy()
    value = _codes(np.array([outside], dtype=found.dtype)).ravel().tolist()
    return _Planes(
        _codes(source.contiguous().numpy())[:, None], _codes(found)[:, None], tuple(value), linear=False
    )


def _codes(labels: Array) -> Array:
    """Return the same bytes in a type that OpenCV moves exactly."""
    dtype, channels = CODES[labels.itemsize]
    codes = labels.view(dtype)
    return codes.reshape(*labels.shape, channels) if channels > 1 else codes


def _fill(planes: Sequence[_Planes], ways: _Ways, samples: NDArray[np.int64]) -> None:
    """Fill these samples."""
    rows, columns = planes[0].source.shape[2:4]
    scratch = np.empty((3 * rows, 3 * columns, WIDEST), dtype=np.uint8)  # a padding is no wider than a source
    for sample in samples.tolist():
        maps = ways.maps(sample)
        for each in planes:
            for source, target in zip(each.source[sample], each.target[sample], strict=True):
                _warp_plane(source, target, each, maps=maps, way=ways, sample=sample, scratch=scratch)


class _Ways:
    """Where the pixels of each sample come from, in the source and in a padded one.

    Worked out for all samples together, in double precision; what a sample gets depends on itself alone.
    """

    def __init__(self, plan: Plan, sides: Sides) -> None:
        self.plan, self.size = plan, plan.size[::-1]
        self.plain_BEE: Numbers = (
            np.linalg.inv(_from_pixels(sides)) @ plan.matrix_BEE @ _from_pixels(plan.size)
        )
        padding_B22 = self._padding(self.plain_BEE, sides)
        self.matrix_BEE = self.plain_BEE.copy()
        self.matrix_BEE[:, :2] += padding_B22[:, :, :1] * self.plain_BEE[:, 2:]
        self.padding: list[list[int]] = padding_B22[:, ::-1].reshape(-1, 4).tolist()
        self.straight = ((plan.matrix_BEE[:, 2] == (0, 0, 1)).all(axis=1) & ~plan.bent_B).tolist()

    def _padding(self, matrix_BEE: Numbers, sides: Sides) -> NDArray[np.int64]:
        """Return how far the places lie beyond the low and high borders in x and y, and a pixel more.

        Nothing where that is further than the source is wide: OpenCV then mirrors place by place.
        """
        right, low = self.size[0] - 1, self.size[1] - 1
        corners_E4 = np.array([[0, right, 0, right], [0, 0, low, low], [1, 1, 1, 1]])
        places = matrix_BEE @ corners_E4
        places = places[:, :2] / np.maximum(places[:, 2:], 1e-9)  # behind the horizon is far away
        last = np.array(sides[::-1])[:, None] - 1
        beyond_B22 = np.stack([(-places).max(axis=2), (places - last).max(axis=2)], axis=2)
        if self.plan.offsets_px is not None:
            beyond_B22 += self.plan.offsets_px.abs().amax(dim=(2, 3)).numpy()[:, :, None]
        near_B11 = (beyond_B22 < last).all(axis=(1, 2), keepdims=True)
        return np.where(near_B11 & (beyond_B22 > 0), np.ceil(beyond_B22) + 1, 0).astype(np.int64)

    def maps(self, sample: int) -> Array | None:
        """Return the place of every pixel, [2, rows, columns], x first; None where the matrix is enough."""
        if self.straight[sample]:
            return None
        matrix, (columns, rows) = self.matrix_BEE[sample], self.size
        lines = matrix[:, 1:2] * np.arange(rows) + matrix[:, 2:]
        x, y, below = lines[:, :, None] + (matrix[:, :1] * np.arange(columns))[:, None, :]
        places = np.stack([x / below, y / below])
        if self.plan.bent_B[sample]:
            assert self.plan.offsets_px is not None
            places += self.plan.offsets_px[sample].numpy()
        return places.astype(np.float32)


def _room(scratch: Array, source: Array, rows: int, columns: int) -> Array:
    """Return room for `source` with so many rows and columns more; reused, for warm memory is fast memory."""
    shape = (source.shape[0] + rows, source.shape[1] + columns, *source.shape[2:])
    return np.ndarray(shape, source.dtype, buffer=scratch.data)


def _from_pixels(sides: Sides) -> Numbers:
    """Return the matrix from index (x, y, 1) to place in [-1, 1] from edge to edge."""
    rows, columns = sides
    return np.array([[2 / columns, 0, 1 / columns - 1], [0, 2 / rows, 1 / rows - 1], [0, 0, 1]])


def _warp_plane(  # noqa: PLR0913 - all by name
    source: Array,
    target: Array,
    planes: _Planes,
    *,
    maps: Array | None,
    way: _Ways,
    sample: int,
    scratch: Array,
) -> None:
    """Fill the target [rows, columns] from the source [height, width]."""
    import cv2  # noqa: PLC0415

    border = cv2.BORDER_REFLECT if planes.outside is None else cv2.BORDER_CONSTANT
    method = cv2.INTER_LINEAR if planes.linear else cv2.INTER_NEAREST
    value = planes.outside or (0.0,)
    matrix = way.plain_BEE[sample, :2]
    top, bottom, left, right = way.padding[sample]
    if (planes.linear or maps is not None) and (top or bottom or left or right):  # else not worth the copy
        matrix = way.matrix_BEE[sample, :2]
        room = _room(scratch, source, top + bottom, left + right)
        source = cv2.copyMakeBorder(source, top, bottom, left, right, border, dst=room, value=value)
    rule: dict[str, Any] = {"dst": target, "borderMode": border, "borderValue": value}
    if maps is None:
        cv2.warpAffine(source, matrix, way.size, flags=method | cv2.WARP_INVERSE_MAP, **rule)
    else:
        cv2.remap(source, maps[0], maps[1], method, **rule)
