"""Flips and quarter turns by indexing: exact to the bit, and with an exact way back.

An orientation is a square of -1, 0 and 1, [D, D], x first: from place in the result to place in the source.
"""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Orientation = NDArray[np.int64]


def orientations(dimensions: int, *, turns: bool = True) -> list[Orientation]:
    """Return all flips, and with `turns` all exchanges of axes too: 4 or 8 in 2-D, 8 or 48 in 3-D.

    The first one changes nothing. For test-time augmentation: predict `reorient(image, o)`, then undo with
    `reorient(prediction, o.T)`; the transposed orientation is the exact inverse.
    """
    orders = permutations(range(dimensions)) if turns else [tuple(range(dimensions))]
    signs = list(product((1, -1), repeat=dimensions))
    return [np.diag(sign)[list(order)] for order in orders for sign in signs]


def reorient(tensor: Tensor, orientation: Orientation) -> Tensor:
    """Return the tensor with its last D axes flipped and exchanged. A view where nothing is flipped.

    Raises:
        ValueError: If axes of unequal length would be exchanged.
    """
    dimensions = len(orientation)
    last = tensor.ndim - 1
    reads = np.abs(orientation).argmax(axis=0)  # which source axis each axis of the result runs along
    sides = tensor.shape[-dimensions:][::-1]
    if any(sides[axis] != sides[read] for axis, read in enumerate(reads)):
        raise ValueError(
            f"A quarter turn needs equal sides, got {tuple(reversed(sides))}. "
            "Crop to equal sides first, or set quarter_turns to false."
        )
    order = [
        last - int(reads[last - axis]) if axis > last - dimensions else axis for axis in range(tensor.ndim)
    ]
    flipped = [last - axis for axis in range(dimensions) if orientation[reads[axis], axis] < 0]
    turned = tensor.permute(order)
    return turned.flip(flipped) if flipped else turned


def reorient_some(
    source: Tensor, target: Tensor, *, matrix_BEE: NDArray[np.float64], which: NDArray[np.int64]
) -> None:
    """Write the samples `which` of `source` into `target`, each by its own flips and quarter turns."""
    squares = matrix_BEE[which, :-1, :-1].astype(np.int64)
    kinds, kind_of = np.unique(squares, axis=0, return_inverse=True)
    for number, orientation in enumerate(kinds):
        chosen = torch.from_numpy(which[kind_of.reshape(-1) == number]).to(source.device)
        target[chosen] = reorient(source[chosen], orientation)
