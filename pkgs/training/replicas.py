"""One forward pass on a CPU, on one device or on several, with the criterion inside the replica."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

Criterion = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Logits and labels to a loss sum and its weight."""


@final
class Replica(nn.Module):
    """A network and its criterion; the whole of what runs on one device.

    Returns loss sum and weight with shape [1] each: DataParallel concatenates them, so the caller's
    `total.sum() / weight.sum()` weighs a short last shard rightly. Scalars would warn and lose that.
    """

    def __init__(self, network: nn.Module, criterion: Criterion) -> None:
        super().__init__()
        self.network = network
        self.criterion = criterion

    def forward(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        total, weight = self.criterion(self.network(image).float(), label)
        return total.reshape(1), weight.reshape(1)


def spread(replica: Replica, device: torch.device) -> nn.Module:
    """Return the replica on all visible GPUs if `device` is CUDA and there are several, else as it is."""
    if device.type == "cuda" and torch.cuda.device_count() > 1:
        return nn.DataParallel(replica)
    return replica


def pick_device(wish: str) -> torch.device:
    """Return the device of `auto`, `cpu` or `cuda`.

    Raises:
        ValueError: If CUDA was asked for and there is none.
    """
    if wish == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "--device cuda: torch sees no CUDA device. Use --device auto, or check CUDA_VISIBLE_DEVICES."
        )
    return torch.device("cuda" if wish == "cuda" or (wish == "auto" and torch.cuda.is_available()) else "cpu")


def set_numerics(*, threads: int) -> None:
    """Set CPU threads (0: as the environment says), and make fp32 mean fp32 on GPUs too."""
    if threads:
        torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
