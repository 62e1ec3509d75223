"""Label noise on raster masks, object by object: what an annotator misses, moves, turns, sizes or invents.

`draw_object_noise` decides, `apply_object_noise` does it and decides nothing. Lengths are shares of the
shorter side, so that 64 and 256 px look alike. Serves the training of error teachers and the injection of
noise into labels; noise on polygons, of which synthetic sets are made, lies elsewhere. Loads no torch.
"""

# ruff: noqa: N815 - arrays end in their axes, fields too
from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.ndimage import label as connected

from pkgs.foundation.registry import choose

Mask = NDArray[np.uint8]
Places = NDArray[np.int64]
Numbers = NDArray[np.float64]
Box = tuple[slice, slice]

OPERATIONS: Final = ("drop", "shift", "rotate", "resize", "add")
"""The last one invents an object, each other one changes an object that is there."""
ON_OBJECTS: Final = OPERATIONS[:-1]
STAYS: Final = -1
CORNERS: Final = np.ones((3, 3), dtype=np.uint8)
"""Pixels that touch at a corner are one object."""

SHIFT: Final = (0.02, 0.08)
"""Length of a shift; at least one pixel."""
TURN: Final = (math.radians(20), math.radians(90))
"""Angle of a rotation about the object's centre, either way."""
LARGER: Final = (1.2, 1.5)
SMALLER: Final = (0.55, 0.8)
"""Factors of an object's lengths; larger and smaller are equally likely."""
PHANTOMS: Final = 0.7
"""Mean number of invented objects per mask."""
LONG: Final = (0.10, 0.28)
"""Length of an invented rectangle."""
ASPECT: Final = (0.5, 1.0)
"""Its width to its length."""
GAP_PX: Final = 1.5
"""Least distance of an invented object from any other: it must touch none, or it would only enlarge it."""
TRIES: Final = 8
"""Places at which an invented object is tried."""


@dataclass(frozen=True, slots=True)
class Phantoms:
    """Invented rectangles, [M] each."""

    length_M: Numbers
    width_M: Numbers
    angle_M: Numbers
    centre_MTD: Numbers
    """Where each is tried, as shares of the sides; [M, TRIES, 2]."""


@dataclass(frozen=True, slots=True)
class ObjectNoise:
    """What happens to each object, [N] in the order of their numbers, and what is invented."""

    operation_N: Places
    """Place in `OPERATIONS`, or STAYS."""
    angle_N: Numbers
    """Of a rotation, or the direction of a shift; radians."""
    amount_N: Numbers
    """Length of a shift, or the factor of a new size."""
    phantoms: Phantoms


def corrupt_objects(
    mask_HW: Mask,
    rng: np.random.Generator,
    *,
    rate: float,
    without: Iterable[str] = frozenset(),
    phantoms: float = PHANTOMS,
) -> Mask:
    """Return the mask with some of its objects (8-connected) wrong, and some invented; uint8, 0 and 1.

    Each object is hit with the chance `rate`, by one of drop, shift (.02-.08 of the side), rotate (20-90
    degrees) and resize (x 1.2-1.5 or x .55-.8), all equally likely. Invented ones are rectangles of .10-.28
    of the side, their number is drawn from a Poisson law.

    Args:
        mask_HW: Not 0 is foreground.
        rng: Owns the draws.
        rate: Chance of each object, within [0, 1].
        without: Operations, by name, that never happen.
        phantoms: Mean number of invented objects, whatever the rate; one that finds no room is left out.

    Raises:
        ValueError: If there is no such operation, or a number is out of its range.
    """
    labels_HW, count = objects_of(mask_HW)
    noise = draw_object_noise(count, rng, rate=rate, without=without, phantoms=phantoms)
    return apply_object_noise(labels_HW, noise)


def objects_of(mask_HW: Mask) -> tuple[NDArray[np.int32], int]:
    """Return numbered objects (8-connected, from 1; 0 outside) and how many there are."""
    labels_HW, count = connected(mask_HW, structure=CORNERS)
    return labels_HW, int(count)


def draw_object_noise(
    count: int,
    rng: np.random.Generator,
    *,
    rate: float,
    without: Iterable[str] = frozenset(),
    phantoms: float = PHANTOMS,
) -> ObjectNoise:
    """Return what happens to `count` objects; the other arguments and errors as of `corrupt_objects`."""
    if not 0 <= rate <= 1:
        raise ValueError(f"The rate is {rate:g}; expected a chance within [0, 1].")
    if not 0 <= phantoms < math.inf:
        raise ValueError(f"{phantoms:g} phantoms; expected their mean number per mask, at least 0.")
    left_out = {choose("operation", dict.fromkeys(OPERATIONS, name), name) for name in without}
    allowed = np.array(
        [place for place, name in enumerate(ON_OBJECTS) if name not in left_out], dtype=np.int64
    )
    hit, which, angle, amount, sign = rng.random((5, count))
    if not len(allowed):
        operation = np.full(count, STAYS)
    else:
        operation = np.where(hit < rate, allowed[(which * len(allowed)).astype(np.int64)], STAYS)
    way = np.where(sign < 0.5, -1.0, 1.0)
    shifts, rotates = (operation == OPERATIONS.index(name) for name in ("shift", "rotate"))
    factor = np.where(sign < 0.5, _between(amount, SMALLER), _between(amount, LARGER))
    return ObjectNoise(
        operation_N=operation,
        angle_N=np.where(rotates, way * _between(angle, TURN), 2 * math.pi * angle),
        amount_N=np.where(shifts, _between(amount, SHIFT), factor),
        phantoms=_draw_phantoms(rng, mean=0.0 if "add" in left_out else phantoms),
    )


def apply_object_noise(labels_HW: NDArray[np.int32], noise: ObjectNoise) -> Mask:
    """Return the mask of the objects after `noise`: uint8, 0 and 1. What leaves the image is lost.

    Args:
        labels_HW: Numbered objects, as of `objects_of`.
        noise: For as many objects.
    """
    changed_HW = (labels_HW > 0).astype(np.uint8)
    side = min(labels_HW.shape)
    hit = np.flatnonzero(noise.operation_N != STAYS)
    boxes = find_objects(labels_HW) if len(hit) else []
    shapes = {place: labels_HW[boxes[place]] == place + 1 for place in hit}
    for place, shape in shapes.items():  # all go before any comes: a moved one may lie where another was
        changed_HW[boxes[place]][shape] = 0
    for place, shape in shapes.items():
        box = boxes[place]
        angle, amount = float(noise.angle_N[place]), float(noise.amount_N[place])
        match OPERATIONS[noise.operation_N[place]]:
            case "shift":
                _paste_shifted(changed_HW, shape, box, steps=_steps(angle, amount * side))
            case "rotate":
                _paste_turned(changed_HW, shape, box, angle=angle, factor=1.0)
            case "resize":
                _paste_turned(changed_HW, shape, box, angle=0.0, factor=amount)
    _invent(changed_HW, labels_HW, noise.phantoms)
    return changed_HW


def _between(unit: Numbers, limits: tuple[float, float]) -> Numbers:
    return limits[0] + (limits[1] - limits[0]) * unit


def _draw_phantoms(rng: np.random.Generator, *, mean: float) -> Phantoms:
    count = int(rng.poisson(mean))
    length, aspect, angle = rng.random((3, count))
    length = _between(length, LONG)
    return Phantoms(length, length * _between(aspect, ASPECT), math.pi * angle, rng.random((count, TRIES, 2)))


def _steps(angle: float, length_px: float) -> tuple[int, int]:
    """Return whole pixels along both axes, at least one: an object that stays is no change."""
    way = length_px * math.sin(angle), length_px * math.cos(angle)
    steps = round(way[0]), round(way[1])
    if any(steps):
        return steps
    one = [int(math.copysign(1, each)) for each in way]
    return (one[0], 0) if abs(way[0]) > abs(way[1]) else (0, one[1])


def _paste_shifted(changed_HW: Mask, shape: NDArray[np.bool_], box: Box, *, steps: tuple[int, int]) -> None:
    target, source = [], []
    for cut, step, side in zip(box, steps, changed_HW.shape, strict=True):
        first, last = max(cut.start + step, 0), min(cut.stop + step, side)
        target.append(slice(first, max(last, first)))
        source.append(slice(first - cut.start - step, max(last, first) - cut.start - step))
    changed_HW[target[0], target[1]] |= shape[source[0], source[1]]


def _paste_turned(
    changed_HW: Mask, shape: NDArray[np.bool_], box: Box, *, angle: float, factor: float
) -> None:
    """Lay the object down turned about its centre of mass and enlarged, by the nearest pixel."""
    rows, columns = np.nonzero(shape)
    centre = np.array([rows.mean(), columns.mean()])
    cos, sin = math.cos(angle), math.sin(angle)
    forth = factor * np.array([[cos, -sin], [sin, cos]])
    half = (np.array(shape.shape) - 1) / 2
    middle = forth @ (half - centre)
    reach = np.abs(forth) @ (half + 0.5)
    corner = np.array([box[0].start, box[1].start]) + centre  # of the object's centre, in the image
    low = np.maximum(np.floor(corner + middle - reach), 0).astype(np.int64)
    high = np.minimum(np.ceil(corner + middle + reach) + 1, changed_HW.shape).astype(np.int64)
    y = np.arange(low[0], high[0])[:, None] - corner[0]
    x = np.arange(low[1], high[1])[None] - corner[1]
    row = np.rint((cos * y + sin * x) / factor + centre[0]).astype(np.int64)
    column = np.rint((cos * x - sin * y) / factor + centre[1]).astype(np.int64)
    inside = (row >= 0) & (row < shape.shape[0]) & (column >= 0) & (column < shape.shape[1])
    inside[inside] = shape[row[inside], column[inside]]
    changed_HW[low[0] : high[0], low[1] : high[1]] |= inside


def _invent(changed_HW: Mask, labels_HW: NDArray[np.int32], phantoms: Phantoms) -> None:
    """Draw each rectangle where it touches neither an object as it was nor one as it is, if there is room."""
    side = min(changed_HW.shape)
    sizes = zip(phantoms.length_M, phantoms.width_M, phantoms.angle_M, phantoms.centre_MTD, strict=True)
    for length, width, angle, centres_TD in sizes:
        for centre in centres_TD * changed_HW.shape:
            box, along, across = _seen_from(
                centre, reach=(length + width) * side / 2 + GAP_PX, angle=angle, sides=changed_HW.shape
            )
            outside = np.maximum(along - length * side / 2, across - width * side / 2)
            taken = (labels_HW[box] > 0) | (changed_HW[box] > 0)
            if not (taken & (outside <= GAP_PX)).any():
                changed_HW[box] |= outside <= 0
                break


def _seen_from(
    centre: Numbers, *, reach: float, angle: float, sides: tuple[int, ...]
) -> tuple[Box, Numbers, Numbers]:
    """Return the box around a point, and how far its pixels lie from it along a direction and across it."""
    low = np.maximum(np.floor(centre - reach), 0).astype(np.int64)
    high = np.minimum(np.ceil(centre + reach) + 1, sides).astype(np.int64)
    y = np.arange(low[0], high[0])[:, None] - centre[0]
    x = np.arange(low[1], high[1])[None] - centre[1]
    cos, sin = math.cos(angle), math.sin(angle)
    box = slice(low[0], high[0]), slice(low[1], high[1])
    return box, np.abs(cos * x + sin * y), np.abs(cos * y - sin * x)
