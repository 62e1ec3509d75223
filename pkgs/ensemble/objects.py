"""Objects instead of pixels: how many true ones are found, and how many predicted ones are none.

A true object is found if a predicted one has an IoU of .5 or more with it. Predicted objects are the
connected pieces of the mask, corners included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from pkgs.training.metrics import Sums

Numbers = NDArray[np.int64]
MATCH: Final = 0.5
"""Least IoU."""
CORNERS: Final = np.ones((3, 3), dtype=np.int64)


@final
@dataclass(frozen=True, slots=True)
class ObjectSums(Sums):
    """Counts of any number of images."""

    true: int = 0
    found: int = 0
    predicted: int = 0
    false: int = 0
    """Predicted objects that match no true one."""

    def scores(self) -> dict[str, float]:
        """Return `objects_found`, a share of the true ones, and `objects_false`, of the predicted ones."""
        return {
            "objects_found": self.found / self.true if self.true else math.nan,
            "objects_false": self.false / self.predicted if self.predicted else math.nan,
        }

    def counts(self) -> dict[str, int]:
        return {"objects": self.true}


def measure_objects(predicted_HW: NDArray[np.bool_], true_HW: Numbers) -> ObjectSums:
    """Return the counts of one image.

    Args:
        predicted_HW: Foreground, none of it where the label is ignored.
        true_HW: 0 outside, objects 1 .. n.

    Raises:
        ValueError: If the shapes differ.
    """
    if predicted_HW.shape != true_HW.shape:
        raise ValueError(
            f"Prediction and objects must agree in shape, got {predicted_HW.shape} and {true_HW.shape}."
        )
    pieces, count = pieces_of(predicted_HW)
    sides = (int(true_HW.max(initial=0)) + 1, count + 1)
    both = np.bincount((true_HW * sides[1] + pieces).ravel(), minlength=sides[0] * sides[1]).reshape(sides)
    union = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    present = both[1:].sum(axis=1) > 0  # numbers may be left out by a crop
    matches = both[1:, 1:] >= MATCH * union[1:, 1:]
    found = int((matches.any(axis=1) & present).sum())
    return ObjectSums(int(present.sum()), found, count, int((~matches[present].any(axis=0)).sum()))


def true_objects(label_HW: NDArray[np.uint8], instances_HW: Numbers | None) -> Numbers:
    """Return the true objects 1 .. n; the pieces of the label where nobody numbered them.

    A label of two values counts as numbered by none: its one number holds all objects.
    """
    if instances_HW is not None and instances_HW.max(initial=0) > 1:
        return instances_HW.astype(np.int64)
    return pieces_of(label_HW == 1)[0]


def pieces_of(mask_HW: NDArray[np.bool_]) -> tuple[Numbers, int]:
    """Return the connected pieces of a mask, numbered from 1, and how many there are."""
    from scipy import ndimage  # noqa: PLC0415 - a third of a second, and only the test needs it

    pieces, count = ndimage.label(mask_HW, structure=CORNERS)
    return pieces.astype(np.int64), int(count)
