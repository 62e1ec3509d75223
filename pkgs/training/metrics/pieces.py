"""Tensors in pieces that one thread of a CPU works through in its cache.

Torch shares out an operation on 2^15 elements or more, and waits for all threads at its end: where other
processes hold the cores, each wait costs a time slice, and a batch needs hundreds. Large temporaries cost
page faults besides. On a CUDA device pieces are large.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

SPAN: Final = 2**18
"""Columns per pass for which the sums of one pass have room."""

GRAIN: Final = 2**15
"""Elements from which on torch uses several threads (`at::internal::GRAIN_SIZE`)."""

LANES: Final = 64
"""A multiple of every vector width of float32."""


def spans(*tensors_BN: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield the tensors cut along N into at most SPAN columns."""
    return _cut(tensors_BN, SPAN)


def pieces(*tensors_BN: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield the tensors cut along N into at most SPAN columns, on a CPU into fewer than GRAIN elements."""
    if tensors_BN[0].is_cuda:
        return spans(*tensors_BN)
    step = GRAIN // (len(tensors_BN[0]) + 1)  # + 1: a scatter is shared out from GRAIN // columns rows on
    return _cut(tensors_BN, max(step - step % LANES, min(step, LANES), 1))


def _cut(tensors_BN: Sequence[Tensor], step: int) -> Iterator[tuple[Tensor, ...]]:
    for start in range(0, tensors_BN[0].shape[1], step):
        yield tuple(tensor[:, start : start + step] for tensor in tensors_BN)


def bounds(values: Tensor) -> tuple[float, float]:
    """Return the least and the largest value of a tensor that is not empty; NaN if there is one."""
    flat = values.reshape(1, -1)
    step = flat.numel() if flat.is_cuda else GRAIN - LANES
    lows, highs = zip(*(torch.aminmax(piece) for (piece,) in _cut((flat,), step)), strict=True)
    return torch.stack(lows).amin().item(), torch.stack(highs).amax().item()


def sigmoid(logits: Tensor) -> Tensor:
    """Return `torch.sigmoid`, with bits that depend on no neighbour and no number of threads.

    On a CPU torch computes the last few elements of each thread by other code than the rest, and the last
    bit differs: how a set is cut into batches would show. So pieces of whole vectors, one thread each.
    """
    if logits.is_cuda:
        return torch.sigmoid(logits)
    flat = F.pad(logits.flatten(), (0, -logits.numel() % LANES))
    done = torch.empty_like(flat)
    for piece, out in pieces(flat[None], done[None]):
        torch.sigmoid(piece, out=out)
    return done[: logits.numel()].view(logits.shape)
