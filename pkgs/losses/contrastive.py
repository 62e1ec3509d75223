"""NT-Xent: each view must find the other view of its image among all others. Names its number of negatives.

Local or gathered: with `gathered`, the negatives come from all processes of torch.distributed, with gradient.
Under DataParallel, call it in the replica (negatives of one device), or outside, on the joined projections.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from pkgs.losses.loss_sum import check_equal


class Contrast(NamedTuple):
    """A contrastive loss before it is averaged, and what it depends on."""

    total: Tensor
    weight: Tensor
    """Anchors: two per image of this process."""
    negatives: int
    """Per anchor. Losses of runs with different numbers cannot be compared."""


def nt_xent_sum(
    first_BD: Tensor, second_BD: Tensor, *, temperature: float = 0.5, gathered: bool = False
) -> Contrast:
    r"""Return the summed NT-Xent of two views of B images, over 2B anchors.

        sum_i  -log( exp(s_ij / T) / sum_{k != i} exp(s_ik / T) ),    s = cosine, j the other view of i

    Args:
        first_BD: Projections of the first view, [B, D], any length: they are normalised here. Gets gradient.
        second_BD: Those of the second view, the same images in the same order. Gets gradient.
        temperature: T, > 0.
        gathered: Whether the other processes' projections are negatives too. Every process needs the same B.
            Summed over the processes, the gradient is that of one process with the whole batch.

    Raises:
        ValueError: If the shapes differ or are not [B, D], a view is alone, or T is not positive.

    Source: Chen et al. 2020, arXiv:2002.05709, equation 1.
    """
    check_equal(first_BD, second_BD, names=("The first views", "the second views"))
    if first_BD.ndim != 2 or first_BD.shape[0] == 0:
        raise ValueError(f"Projections must be [B, D] with B > 0, got {tuple(first_BD.shape)}.")
    if not temperature > 0:
        raise ValueError(f"The temperature is {temperature:g}; expected a number above 0.")
    with torch.autocast(first_BD.device.type, enabled=False):  # its matmul would be in half precision
        own = F.normalize(torch.cat([first_BD, second_BD]).to(_wide(first_BD)), dim=1)
        everyone, start = _gather(own) if gathered else (own, 0)
        images, anchors = first_BD.shape[0], own.shape[0]
        rows = torch.arange(anchors, device=own.device).unsqueeze(1)
        scores = own @ everyone.T / temperature
        scores = scores.scatter(1, rows + start, -torch.inf)  # nobody is its own negative
        positive = (rows + images) % anchors + start
        log_p = F.log_softmax(scores, dim=1).gather(1, positive)
    return Contrast(-log_p.sum(), own.new_tensor(float(anchors)), everyone.shape[0] - 2)


def _wide(projections: Tensor) -> torch.dtype:
    """Half precision has too few digits for a sum over thousands of exponentials."""
    return torch.float64 if projections.dtype == torch.float64 else torch.float32


def _gather(own: Tensor) -> tuple[Tensor, int]:
    """Return the rows of all processes, and where one's own begin."""
    if not (dist.is_available() and dist.is_initialized()):
        raise ValueError(
            "gathered=True needs torch.distributed, which is not initialised. Start the run with torchrun, "
            "or take the negatives of one device."
        )
    everyone: Tensor = _AllGather.apply(own)  # type: ignore[no-untyped-call]
    return everyone, dist.get_rank() * own.shape[0]


class _AllGather(torch.autograd.Function):
    """Rows of all processes; the gradients that they all have for one's own rows are summed."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:  # noqa: ANN401 - torch's context has no type
        ctx.rows = own.shape[0]
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401
        whole = gradients[0].contiguous().clone()
        dist.all_reduce(whole)
        start = dist.get_rank() * ctx.rows
        return whole[start : start + ctx.rows]
