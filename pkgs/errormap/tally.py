"""Sums per bin, in double precision and in the order of the pixels: memory is that of the bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def tally(table_KN: Numbers, place: NDArray[np.int64], *values: Numbers) -> None:
    """Add pixels to a table: row 0 counts them, row k sums the k-th values.

    Args:
        table_KN: One row more than there are values; changed in place.
        place: The bin of each pixel.
        values: What is summed, one number per pixel each.
    """
    bins = table_KN.shape[1]
    table_KN[0] += np.bincount(place, minlength=bins)
    for row, each in enumerate(values, start=1):
        table_KN[row] += np.bincount(place, weights=each, minlength=bins)


def sigmoid(u: Numbers) -> Numbers:
    """Return 1 / (1 + exp(-u)) without overflow."""
    r: Numbers = np.exp(-np.logaddexp(0, -u))
    return r
