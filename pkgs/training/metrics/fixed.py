"""Fixed point: sums of multiples of 2^-24 in int64, so that no order of adding changes a bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from pkgs.training.metrics.checks import IGNORE

UNIT: Final = 2**24
"""Sums hold multiples of 1 / UNIT, the step of float32 in [1/2, 1): good for 5e11 values up to 1."""

ROOM: Final = 2**39
"""The largest sum: UNIT times it is 2^63."""

PIECE_ELEMENTS: Final = 2**18
"""Elements per pass on a CPU: temporaries of 2 MiB stay in the cache, and the allocator keeps them."""

SERIAL_ELEMENTS: Final = 2**14
"""Below torch's grain of 2^15, so that one thread does a whole piece."""

LANES: Final = 64
"""A multiple of every vector width of float32."""


def fixed(value: float) -> int:
    """Return `value` in units of 1 / UNIT."""
    return round(value * UNIT)


def pieces(*tensors_BN: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield the tensors cut along N, small enough for a CPU's cache; at most PIECE_ELEMENTS per row."""
    rows, columns = tensors_BN[0].shape
    step = PIECE_ELEMENTS if tensors_BN[0].is_cuda else max(1, PIECE_ELEMENTS // rows)
    for start in range(0, columns, step):
        yield tuple(tensor[:, start : start + step] for tensor in tensors_BN)


def row_sums(term: Callable[..., Tensor], *tensors_BN: Tensor, seen: Tensor) -> list[int]:
    """Return the fixed-point sum of `term(*tensors)` over what is seen of each row.

    Scaling by a power of two and rounding are exact in float32 (beyond 2^23 there is nothing to round). The
    caller makes sure that no row reaches ROOM.
    """
    total_B = torch.zeros(len(seen), dtype=torch.long, device=seen.device)
    for *cut, kept in pieces(*tensors_BN, seen):
        codes = term(*cut).mul(UNIT).round_().long()
        total_B += torch.where(kept, codes, 0).sum(dim=1)
    sums: list[int] = total_B.tolist()
    return sums


def row_counts(mask_BN: Tensor) -> list[int]:
    """Return how many entries of each row are true."""
    total_B = torch.zeros(len(mask_BN), dtype=torch.long, device=mask_BN.device)
    for (mask,) in pieces(mask_BN):
        total_B += mask.sum(dim=1)
    counts: list[int] = total_B.tolist()
    return counts


def brier_sums(p_BN: Tensor, label_BN: Tensor) -> list[int]:
    """Return the sum of (p - y)^2 of each row."""
    return row_sums(
        lambda p, label: (p - (label == 1).float()).square_(), p_BN, label_BN, seen=label_BN != IGNORE
    )


def nll_sums(logits_BN: Tensor, label_BN: Tensor) -> list[int]:
    """Return the sum of -log p(y) of each row, from logits that are `within`."""
    return row_sums(
        lambda z, label: F.binary_cross_entropy_with_logits(z, (label == 1).float(), reduction="none"),
        logits_BN,
        label_BN,
        seen=label_BN != IGNORE,
    )


def within(values_BN: Tensor, what: str) -> None:
    """Refuse values that are not finite or whose sum over a row could exceed what int64 holds.

    Raises:
        ValueError: With the value.
    """
    low, high = (bound.item() for bound in torch.aminmax(values_BN))
    largest = max(abs(low), abs(high))
    if not largest < math.inf:  # also NaN, which aminmax passes on
        raise ValueError(f"{what} that are not finite cannot be measured; the network has diverged.")
    if (largest + 1) * values_BN.shape[1] >= ROOM:  # + 1: -log p is up to ln 2 beyond the logit
        raise ValueError(
            f"{what} up to {largest:.3g} over {values_BN.shape[1]} pixels exceed the exact sums (2^39); "
            "the network has diverged, or the unit is wrong."
        )


def sigmoid(logits: Tensor) -> Tensor:
    """Return `torch.sigmoid`, with bits that depend on no neighbour and no number of threads.

    On a CPU torch computes the last few elements of each thread by other code than the rest, and the last
    bit differs: how a set is cut into batches would show. So pieces of whole vectors, one thread each.
    """
    if logits.is_cuda:
        return torch.sigmoid(logits)
    flat = F.pad(logits.flatten(), (0, -logits.numel() % LANES))
    done = torch.empty_like(flat)
    for start in range(0, len(flat), SERIAL_ELEMENTS):
        torch.sigmoid(flat[start : start + SERIAL_ELEMENTS], out=done[start : start + SERIAL_ELEMENTS])
    return done[: logits.numel()].view(logits.shape)
