"""Outlines of a mask along the edges of its pixels, as polygons that every map program takes for valid."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from scipy import ndimage

from pkgs.noise.findings import Mask

Point = tuple[int, int]
"""x, y; a pixel (row r, column c) is the square from (c, r) to (c + 1, r + 1)."""
Ring = list[Point]
"""Corners in order, the first one again at the end."""

EDGES: Final = (
    ((-1, 0), (0, 0), (1, 0)),
    ((0, 1), (1, 0), (1, 1)),
    ((1, 0), (1, 1), (0, 1)),
    ((0, -1), (0, 1), (0, 0)),
)
"""Of a pixel: the neighbour (row, column) beyond the edge, the edge's start and end (x, y); inside is on its
right as a person sees it, where y points down."""


def polygons(mask_HW: Mask) -> list[list[Ring]]:
    """Return the polygons of a mask: each a list of rings, the outer one first, then its holes.

    Pixels that touch at a corner alone are parts of different polygons, and no ring meets a point twice: both
    would be invalid in the sense of simple features.
    """
    parts, count = ndimage.label(mask_HW)
    return [_polygon(parts[window] == number, window) for number, window in _windows(parts, count)]


def _windows(parts: np.ndarray, count: int) -> list[tuple[int, tuple[slice, slice]]]:
    return list(zip(range(1, count + 1), ndimage.find_objects(parts), strict=True))


def _polygon(part: Mask, window: tuple[slice, slice]) -> list[Ring]:
    y0, x0 = window[0].start, window[1].start
    loops = [loop for walk in _walks(_edges(part)) for loop in _simple(walk)]
    loops.sort(key=lambda loop: -abs(doubled_area(loop)))  # the outer one holds all others
    return [[(x + x0, y + y0) for x, y in _corners(loop)] for loop in loops]


def _edges(part: Mask) -> dict[Point, list[Point]]:
    """Return where the border goes on from each of its points."""
    padded = np.pad(part, 1)
    following: dict[Point, list[Point]] = {}
    for (down, right), start, end in EDGES:
        beyond = np.roll(padded, (-down, -right), axis=(0, 1))
        for row, column in zip(*(index.tolist() for index in np.nonzero(padded & ~beyond)), strict=True):
            x, y = column - 1, row - 1
            following.setdefault((x + start[0], y + start[1]), []).append((x + end[0], y + end[1]))
    return following


def _walks(following: dict[Point, list[Point]]) -> list[Ring]:
    """Return closed walks that use each edge once; a walk may meet a point twice."""
    walks: list[Ring] = []
    while following:
        first = point = next(iter(following))
        walk = [first]
        while True:
            ends = following[point]
            target = ends.pop()
            if not ends:
                del following[point]
            walk.append(target)
            point = target
            if point == first:
                break
        walks.append(walk)
    return walks


def _simple(walk: Ring) -> list[Ring]:
    """Cut a closed walk wherever it meets a point again."""
    loops: list[Ring] = []
    path: Ring = []
    place: dict[Point, int] = {}
    for point in walk:
        if point in place:
            at = place[point]
            loops.append([*path[at:], point])
            for passed in path[at + 1 :]:
                del place[passed]
            del path[at + 1 :]
        else:
            place[point] = len(path)
            path.append(point)
    return loops


def _corners(loop: Ring) -> Ring:
    """Drop the points within straight lines."""
    open_loop = loop[:-1]
    kept = [
        here
        for before, here, after in zip(open_loop[-1:] + open_loop[:-1], open_loop, loop[1:], strict=True)
        if not (before[0] == here[0] == after[0] or before[1] == here[1] == after[1])
    ]
    return [*kept, kept[0]]


def doubled_area(ring: list[Point] | list[tuple[float, float]]) -> float:
    """Return twice the signed area of a closed ring; positive if it runs from x axis towards y axis."""
    return float(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring)))
