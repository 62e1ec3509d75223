"""What the ways of resampling have in common: where each pixel comes from, and how a batch is shared out."""

# ruff: noqa: N815 - arrays end in their axes, fields too
from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Numbers = NDArray[np.float64]
Sides = tuple[int, ...]
Pairs = Sequence[tuple[Tensor, Tensor]]
"""Sources [B, C, *sides] float32, or for labels [B, *sides] of any whole type, and contiguous targets."""

GRAIN: Final = 32768  # elements; torch works in the calling thread below it (at::internal::GRAIN_SIZE)
SHARE: Final = 8 * GRAIN  # elements; about 0.4 ms of warping, and to start a thread takes 0.1 ms


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


def share(work: Callable[[NDArray[np.int64]], None], items: NDArray[np.int64], *, elements: int) -> None:
    """Do the work on all items, split over as many threads as torch may use; the calling one included.

    Args:
        work: Does a share of the items.
        items: Numbers of samples.
        elements: Of one item; where all together have few, starting a thread takes longer than it saves.
    """
    threads = min(torch.get_num_threads(), len(items), max(1, len(items) * elements // SHARE))
    if threads <= 1:
        work(items)
        return
    with ThreadPoolExecutor(threads - 1) as pool:  # made anew: one that is kept would not survive a fork
        others = [pool.submit(work, items[start::threads]) for start in range(1, threads)]
        work(items[::threads])
        for other in others:
            other.result()
