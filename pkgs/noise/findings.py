"""Suspect objects: where the objects of a label and those of a prediction do not agree, and in which way.

A patch at a time, numpy and scipy alone. What becomes of a finding: see `correction.py` and `geojson.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, final, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Kind = Literal["missing", "extra", "shifted", "rotated", "boundary"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
SUGGESTIONS: Final[dict[Kind, str]] = {
    "missing": "add",
    "extra": "remove",
    "shifted": "replace",
    "rotated": "replace",
    "boundary": "check",
}
"""What the correction does; `check`: nothing, a person should look."""

Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, x1 and y1 exclusive."""

FULL_SIDE_PX: Final = 256
"""The side for which the lengths and areas below are given; they scale with the patch."""
LEAST_AREA_PX: Final = 25.0
LEAST_PIXELS: Final = 4
"""Below this many pixels nothing has a shape, however small the patch."""
FOREGROUND: Final = 0.5
SURE: Final = 0.7
"""Least mean probability of an object that is added."""
DOUBTED: Final = 0.3
"""Mean probability below which a labelled object is removed."""
MATCHED: Final = 0.1
"""Least IoU of a pair; also the share of a predicted object under which it counts as not labelled."""
BOUNDARY: Final = (0.6, 0.85)
SAME_AREA: Final = 0.3
"""How far the two areas of one object may differ, as a share of the labelled one."""
FAR_PX: Final = 3.0
"""Centres further apart are a shift."""
TURNED_DEG: Final = 15.0
ELONGATED: Final = 1.2
"""Ratio of the axes below which an object has no direction."""
CORNERS: Final = np.ones((3, 3), dtype=bool)


@final
@dataclass(frozen=True, eq=False)
class Finding:
    """One object that a label has wrong."""

    kind: Kind
    confidence: float
    """Chance, 0-1, that the label is wrong: mean P of what is missing, 1 - mean P of what is extra, mean
    |P - label| where the two masks of a pair differ."""
    box: Box
    """Around the labelled and the predicted object, in pixels of the patch."""
    area_px: int
    """Of the labelled object, of the predicted one where none is labelled."""
    labelled: Mask | None
    """The object as it is labelled, within the box; None if missing."""
    predicted: Mask | None
    """The object as it should be, within the box; None if extra."""

    @property
    def window(self) -> tuple[slice, slice]:
        x0, y0, x1, y1 = self.box
        return slice(y0, y1), slice(x0, x1)


@dataclass(frozen=True, eq=False)
class _Objects:
    """Connected objects of a mask, numbered from 1; index 0 of what is per object stands for the ground."""

    numbers: NDArray[np.intp]
    """[H, W]."""
    areas: NDArray[np.intp]
    slices: Sequence[tuple[slice, slice]]
    """Of object i at i - 1."""
    large: list[int]
    """Numbers of those that are not too small to be judged."""

    def mean(self, values_HW: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.bincount(self.numbers.ravel(), values_HW.ravel(), minlength=len(self.areas))
        return np.asarray(sums / np.maximum(self.areas, 1))


def find(label_HW: NDArray[np.integer], probability_HW: NDArray[np.floating]) -> list[Finding]:
    """Return what label and prediction do not agree on, object by object, the surest first.

    Objects are 8-connected, of at least 25 px at 256 x 256 (by area elsewhere, never below 4 px). Labelled
    and predicted objects (P >= .5) are paired one to one, the largest IoU first, from .1 on. A pair of IoU
    .1-.6 and of areas within 30 % is `rotated` if its axes are more than 15 degrees apart and both are longer
    than 1.2 times their width, else `shifted` if the centres are more than 3 px apart; a pair of IoU .6-.85
    is `boundary`. A predicted object of mean P >= .7 of which less than a tenth is labelled is `missing`; an
    unpaired labelled object of mean P < .3 is `extra`.

    Args:
        label_HW: 1 inside, anything else outside.
        probability_HW: P of an object, 0-1, of the same shape.

    Raises:
        ValueError: If the shapes differ.
    """
    if label_HW.shape != probability_HW.shape:
        raise ValueError(
            f"Label and probability must agree in shape, got {label_HW.shape} and {probability_HW.shape}."
        )
    scale = math.sqrt(label_HW.size) / FULL_SIDE_PX
    inside_HW, p_HW = label_HW == 1, probability_HW.astype(np.float64)
    least = max(LEAST_PIXELS, LEAST_AREA_PX * scale**2)
    labelled = _objects(inside_HW, least=least)
    predicted = _objects(p_HW >= FOREGROUND, least=least)
    wrong_HW = np.abs(p_HW - inside_HW)
    pairs = _pairs(labelled, predicted)
    found = [
        *_missing(predicted, p_HW=p_HW, inside_HW=inside_HW),
        *_extra(labelled, {old for old, _, _ in pairs}, p_HW=p_HW),
    ]
    for old, new, iou in pairs:
        box, before, after = _both(labelled, old, predicted, new)
        kind = kind_of_pair(before, after, iou=iou, far_px=FAR_PX * scale)
        if kind is not None:
            x0, y0, x1, y1 = box
            confidence = float(wrong_HW[y0:y1, x0:x1][before != after].mean())
            found.append(Finding(kind, confidence, box, int(labelled.areas[old]), before, after))
    return sorted(found, key=lambda finding: (-finding.confidence, finding.box))


def _objects(mask_HW: Mask, *, least: float) -> _Objects:
    numbers_HW, count = ndimage.label(mask_HW, structure=CORNERS)
    areas = np.bincount(numbers_HW.ravel(), minlength=count + 1)
    large = [number for number in range(1, count + 1) if areas[number] >= least]
    return _Objects(numbers_HW, areas, ndimage.find_objects(numbers_HW), large)


def _pairs(labelled: _Objects, predicted: _Objects) -> list[tuple[int, int, float]]:
    """Return numbers and IoU of the pairs: greedy by IoU, each object once."""
    width = len(predicted.areas)
    joint = np.bincount((labelled.numbers * width + predicted.numbers).ravel())
    candidates: list[tuple[float, int, int]] = []
    for key in np.flatnonzero(joint).tolist():
        old, new = divmod(key, width)
        if old in labelled.large and new in predicted.large:
            both = int(joint[key])
            iou = both / int(labelled.areas[old] + predicted.areas[new] - both)
            candidates.append((iou, old, new))
    pairs: list[tuple[int, int, float]] = []
    taken: set[tuple[str, int]] = set()
    for iou, old, new in sorted(candidates, key=lambda one: (-one[0], one[1:])):
        if iou >= MATCHED and not {("old", old), ("new", new)} & taken:
            taken |= {("old", old), ("new", new)}
            pairs.append((old, new, iou))
    return pairs


def _missing(predicted: _Objects, *, p_HW: NDArray[np.float64], inside_HW: Mask) -> list[Finding]:
    sure, covered = predicted.mean(p_HW), predicted.mean(inside_HW.astype(np.float64))
    return [
        _alone("missing", predicted, number, confidence=float(sure[number]))
        for number in predicted.large
        if sure[number] >= SURE and covered[number] < MATCHED
    ]


def _extra(labelled: _Objects, paired: set[int], *, p_HW: NDArray[np.float64]) -> list[Finding]:
    sure = labelled.mean(p_HW)
    return [
        _alone("extra", labelled, number, confidence=1 - float(sure[number]))
        for number in labelled.large
        if sure[number] < DOUBTED and number not in paired
    ]


def _alone(kind: Kind, objects: _Objects, number: int, *, confidence: float) -> Finding:
    window = objects.slices[number - 1]
    pixels = objects.numbers[window] == number
    area = int(objects.areas[number])
    labelled, predicted = (None, pixels) if kind == "missing" else (pixels, None)
    return Finding(kind, confidence, _box(window), area, labelled, predicted)


def _both(labelled: _Objects, old: int, predicted: _Objects, new: int) -> tuple[Box, Mask, Mask]:
    """Return the box around two objects, and each of them within it."""
    first, second = _box(labelled.slices[old - 1]), _box(predicted.slices[new - 1])
    x0, y0, x1, y1 = (*map(min, first[:2], second[:2]), *map(max, first[2:], second[2:]))
    window = slice(y0, y1), slice(x0, x1)
    return (x0, y0, x1, y1), labelled.numbers[window] == old, predicted.numbers[window] == new


def kind_of_pair(before: Mask, after: Mask, *, iou: float, far_px: float) -> Kind | None:
    """Return what has befallen one object, None if nothing that has a name; both masks share their origin."""
    lower, upper = BOUNDARY
    if lower <= iou < upper:
        return "boundary"
    area, other = int(before.sum()), int(after.sum())
    if not MATCHED <= iou < lower or abs(other - area) > SAME_AREA * area:
        return None
    one, two = shape_of(before), shape_of(after)
    if min(one.elongation, two.elongation) > ELONGATED and _turn_deg(one, two) > TURNED_DEG:
        return "rotated"
    apart = math.hypot(one.x - two.x, one.y - two.y)
    return "shifted" if apart > far_px else None


@final
@dataclass(frozen=True, slots=True)
class Shape:
    """Centre in pixels, direction of the long axis (0-180 degrees), ratio of long to short axis."""

    x: float
    y: float
    axis_deg: float
    elongation: float


def shape_of(mask_HW: Mask) -> Shape:
    """Return centre and axes of an object from its second moments.

    Each pixel is a square, not a point: 1/12 on the diagonal, without which a line would have no width.
    """
    y, x = np.nonzero(mask_HW)
    x_centre, y_centre = float(x.mean()), float(y.mean())
    xx, yy = float(x.var()) + 1 / 12, float(y.var()) + 1 / 12
    xy = float(((x - x_centre) * (y - y_centre)).mean())
    half, root = (xx + yy) / 2, math.hypot((xx - yy) / 2, xy)
    axis_deg = math.degrees(0.5 * math.atan2(2 * xy, xx - yy)) % 180
    return Shape(x_centre, y_centre, axis_deg, math.sqrt((half + root) / (half - root)))


def _turn_deg(one: Shape, two: Shape) -> float:
    """Return the angle between two axes, 0-90: an axis has no front."""
    apart = abs(one.axis_deg - two.axis_deg)
    return min(apart, 180 - apart)


def _box(window: tuple[slice, slice]) -> Box:
    rows, columns = window
    return int(columns.start), int(rows.start), int(columns.stop), int(rows.stop)
