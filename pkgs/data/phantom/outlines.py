"""Outlines of buildings: polygons in pixels, how they are moved, and which pixels they hold.

A corner is (x, y), x to the right, y down, from the upper left corner of the upper left pixel: the centre of
pixel [row, column] is (column + .5, row + .5). No colours here.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]
"""Corners [n, 2] of a simple polygon."""
Mask = NDArray[np.bool_]

GRID: Final = 16
"""Corners lie on sixteenths of a pixel: sums with whole numbers are then exact, so that an outline cut out
with its patch holds the very pixels that it holds in the whole tile."""


def snapped(outline: Outline) -> Outline:
    """Return `outline` with corners on the grid of sixteenths."""
    return np.round(outline * GRID) / GRID


def centre_of(outline: Outline) -> tuple[float, float]:
    """Return the centroid (x, y) of the area."""
    x, y = (outline - outline[0]).T
    x_next, y_next = np.roll(x, -1), np.roll(y, -1)
    cross = x * y_next - x_next * y
    area_6 = 3 * cross.sum()
    return (
        float(outline[0, 0] + ((x + x_next) * cross).sum() / area_6),
        float(outline[0, 1] + ((y + y_next) * cross).sum() / area_6),
    )


def turned(outline: Outline, angle: float) -> Outline:
    """Return `outline` turned about its centroid by `angle` radians."""
    centre, sine, cosine = np.array(centre_of(outline)), math.sin(angle), math.cos(angle)
    x, y = (outline - centre).T
    result: Outline = centre + np.stack([x * cosine - y * sine, x * sine + y * cosine], axis=1)
    return result


def scaled(outline: Outline, factor: float) -> Outline:
    """Return `outline` with all lengths multiplied by `factor`, its centroid kept."""
    centre = np.array(centre_of(outline))
    result: Outline = centre + (outline - centre) * factor
    return result


def moved(outline: Outline, dx: float, dy: float) -> Outline:
    result: Outline = outline + np.array([dx, dy])
    return result


def box_of(outline: Outline, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return rows and columns of the smallest box within `shape` that holds all pixels of `outline`."""
    low, high = np.floor(outline.min(axis=0)), np.ceil(outline.max(axis=0))
    x0, y0 = (max(int(value), 0) for value in low)
    x1, y1 = (max(min(int(value), length), 0) for value, length in zip(high, shape[1::-1], strict=True))
    return slice(y0, max(y1, y0)), slice(x0, max(x1, x0))


def inside(outline: Outline, box: tuple[slice, slice]) -> Mask:
    """Say for each pixel of `box` whether its centre lies within `outline` (even-odd rule, no smoothing).

    A centre on an edge belongs to the side below or to the right, so that of two polygons with a common edge
    exactly one holds it.
    """
    ys = np.arange(box[0].start, box[0].stop) + 0.5
    xs = np.arange(box[1].start, box[1].stop) + 0.5
    held = np.zeros((len(ys), len(xs)), np.bool_)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crossed = (y0 <= ys) != (y1 <= ys)
        where = x0 + (ys - y0) * (x1 - x0) / (y1 - y0)
        held ^= crossed[:, None] & (xs[None, :] < where[:, None])
    return held


def fill(mask: Mask, outline: Outline) -> None:
    """Set the pixels of `outline` in `mask` [H, W]; what lies outside is cut."""
    if not len(outline):
        return
    box = box_of(outline, mask.shape)
    if mask[box].size:
        mask[box] |= inside(outline, box)


def raster(outlines: list[Outline], shape: tuple[int, ...]) -> Mask:
    """Return the pixels that any of `outlines` holds."""
    mask = np.zeros(shape, np.bool_)
    for outline in outlines:
        fill(mask, outline)
    return mask
