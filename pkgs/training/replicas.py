"""One forward pass on a CPU, on one device or on several, with the criterion inside the replica."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from pkgs.training.compiling import compiled
from pkgs.training.config import TrainingConfig
from pkgs.training.ranks import Ranks

Criterion = Callable[[Any, Tensor], tuple[Tensor, Tensor]]
"""The network's answer in float32 and labels to a loss sum and its weight."""


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
        total, weight = self.criterion(in_float32(self.network(image)), label)
        return total.reshape(1), weight.reshape(1)


def in_float32(answer: Any) -> Any:  # noqa: ANN401 - a tensor, None, or a tuple of these
    """Return a network's answer in float32, in which losses are computed."""
    if isinstance(answer, Tensor):
        return answer.float()
    if isinstance(answer, tuple):
        values = [in_float32(value) for value in answer]
        return type(answer)(*values) if hasattr(answer, "_fields") else tuple(values)
    return answer


def placed(
    network: nn.Module,
    criterion: Criterion,
    *,
    config: TrainingConfig,
    ranks: Ranks,
    say: Callable[[str], None],
) -> nn.Module:
    """Return network and criterion as they run: laid out, compiled, on one device or on all visible GPUs.

    The network itself keeps its weights and their names.
    """
    return spread(Replica(laid_out(network, config=config, ranks=ranks, say=say), criterion), ranks=ranks)


def laid_out(
    network: nn.Module, *, config: TrainingConfig, ranks: Ranks, say: Callable[[str], None]
) -> nn.Module:
    """Return one network of a step as it runs: channels last, compiled; it keeps its weights and their names.

    Under DataParallel, which copies modules at each step, there is nothing to compile once.
    """
    if config.channels_last:
        lay_channels_last(network)
    return network if ranks.replicas else compiled(network, config.compile, device=ranks.device, say=say)


def spread(step: nn.Module, *, ranks: Ranks) -> nn.Module:
    """Return a step that returns sums of shape [1], on one device or on all visible GPUs (DataParallel)."""
    return nn.DataParallel(step) if ranks.replicas else step


def lay_channels_last(network: nn.Module) -> None:
    """Lay all convolution weights out with channels last, 2-D and 3-D; the layers pass the layout on."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
        elif isinstance(layer, nn.Conv3d | nn.ConvTranspose3d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last_3d)


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
