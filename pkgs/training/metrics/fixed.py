"""Fixed point: sums of multiples of 2^-24 in int64, so that no order of adding changes a bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from pkgs.training.metrics.checks import IGNORE
from pkgs.training.metrics.pieces import bounds, pieces

UNIT: Final = 2**24
"""Sums hold multiples of 1 / UNIT, the step of float32 in [1/2, 1): good for 5e11 values up to 1."""

ROOM: Final = 2**39
"""The largest sum: UNIT times it is 2^63."""


LARGEST: Final = 2**26
"""The largest value: UNIT times it is well within the bits that `codes` uses."""

SHIFT: Final = 1.5 * 2.0**52
"""Added to a smaller float64, it leaves the nearest whole number (a tie goes to the even) in the low bits."""

SHIFT_BITS: Final = 0x4338000000000000
"""SHIFT as the int64 of the same bits."""


def codes(values: Tensor, *, plus: int = 0) -> Tensor:
    """Return values up to LARGEST in units of 1 / UNIT, to the nearest, ties to even; `plus` is added.

    The same as `round().long()`, but torch rounds with all threads from 2048 elements on (see `pieces`).
    """
    return values.to(torch.float64, copy=True).mul_(UNIT).add_(SHIFT).view(torch.long).sub_(SHIFT_BITS - plus)


def fixed(value: float) -> int:
    """Return `value` in units of 1 / UNIT."""
    return round(value * UNIT)


def row_sums(term: Callable[..., Tensor], *tensors_BN: Tensor, seen: Tensor) -> list[int]:
    """Return the fixed-point sum of `term(*tensors)` over what is seen of each row.

    The caller makes sure that values and sums are `within`.
    """
    total_B = torch.zeros(len(seen), dtype=torch.long, device=seen.device)
    for *cut, kept in pieces(*tensors_BN, seen):
        total_B += torch.where(kept, codes(term(*cut)), 0).sum(dim=1)
    sums: list[int] = total_B.tolist()
    return sums


def brier_sums(p_BN: Tensor, label_BN: Tensor) -> list[int]:
    """Return the sum of (p - y)^2 of each row."""
    return row_sums(
        lambda p, label: (p - (label == 1).float()).square_(), p_BN, label_BN, seen=label_BN != IGNORE
    )


def nll_sums(logits_BN: Tensor, label_BN: Tensor) -> list[int]:
    """Return the sum of -log p(y) = (1 - y) z - log sigmoid(z) of each row; the logits z are `within`."""
    return row_sums(
        lambda z, log_p, label: (1 - (label == 1).float()).mul_(z).sub_(log_p),
        logits_BN,
        F.logsigmoid(logits_BN),  # in one piece: torch shares it out whatever its size
        label_BN,
        seen=label_BN != IGNORE,
    )


def within(values_BN: Tensor, what: str) -> None:
    """Refuse values that are not finite, beyond LARGEST, or whose sum over a row could exceed int64.

    Raises:
        ValueError: With the value.
    """
    low, high = bounds(values_BN)
    largest = max(abs(low), abs(high))
    if not largest < math.inf:  # also NaN, which is passed on
        raise ValueError(f"{what} that are not finite cannot be measured; the network has diverged.")
    room = min(LARGEST, ROOM / values_BN.shape[1])
    if largest + 1 >= room:  # + 1: -log p is up to ln 2 beyond the logit
        raise ValueError(
            f"{what} up to {largest:.3g} exceed what exact sums over {values_BN.shape[1]} pixels hold "
            f"({room:.3g}); the network has diverged, or the unit is wrong."
        )
