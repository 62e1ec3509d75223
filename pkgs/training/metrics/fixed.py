"""Fixed point: sums of multiples of 2^-24 in int64, so that no order of adding changes a bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

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


def row_sums(values_BN: Tensor, seen_BN: Tensor) -> list[int]:
    """Return the fixed-point sum of each row over what is seen.

    Scaling by a power of two and rounding are exact in float32 (beyond 2^23 there is nothing to round).

    Raises:
        ValueError: If a row could exceed what int64 holds.
    """
    within(values_BN, "Values")
    total_B = torch.zeros(len(values_BN), dtype=torch.long, device=values_BN.device)
    for values, seen in pieces(values_BN, seen_BN):
        codes = (values * UNIT).round_().long()
        total_B += torch.where(seen, codes, 0).sum(dim=1)
    sums: list[int] = total_B.tolist()
    return sums


def within(values_BN: Tensor, what: str) -> None:
    """Refuse values that are not finite or whose sum over a row could exceed what int64 holds.

    Raises:
        ValueError: With the value.
    """
    low, high = (bound.item() for bound in torch.aminmax(values_BN))
    largest = max(abs(low), abs(high))
    if not largest < float("inf"):  # also NaN, which aminmax passes on
        raise ValueError(f"{what} that are not finite cannot be measured; the network has diverged.")
    if largest * values_BN.shape[1] >= ROOM:
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
