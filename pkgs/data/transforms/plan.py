"""What the ways of resampling have in common: where each pixel comes from."""

# ruff: noqa: N815 - arrays end in their axes, fields too
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Numbers = NDArray[np.float64]
Sides = tuple[int, ...]
Pairs = Sequence[tuple[Tensor, Tensor]]
"""Sources [B, C, *sides] float32, or for labels [B, *sides] of any whole type, and contiguous targets."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where each pixel of the result comes from, for the samples of one batch."""

    which: NDArray[np.int64]
    """Samples to write; the others are left alone."""
    matrix_BEE: Numbers
    size: Sides
    """Of the result."""
    offsets_px: Tensor | None
    """Further way of each pixel in the source, [B, D, *size], x first; from an elastic field."""
    bent_B: NDArray[np.bool_]
    """Which samples have such a way: what happens to the others must not depend on their neighbours."""
    outside: float | None
    """Value of linear tensors outside of the source; None: reflect."""
    outside_label: int
