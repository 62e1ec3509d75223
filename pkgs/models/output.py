"""What every network returns: logits, never probabilities. A double sigmoid trains without any error."""

from __future__ import annotations

from typing import NamedTuple, final

from torch import Tensor, nn


class Output(NamedTuple):
    """The result of one forward pass; a tuple, so that replicas, compilers and exporters take it as it is."""

    logits: Tensor
    """[B, K, *space], or [B, K] where the whole image gets one answer."""
    features: Tensor | None = None
    """The deepest features, before the head or decoder."""
    auxiliary: tuple[Tensor, ...] = ()
    """Logits of further heads at full size (deep supervision), the finest first."""
    std_logits: Tensor | None = None
    """Scores of a head that predicts a standard deviation; softplus makes it one."""
    image_logits: Tensor | None = None
    """[B]: the answer for the whole image, of a network whose `logits` are a map."""


@final
class LogitsOnly(nn.Module):
    """A network whose forward pass gives the logits alone: for criteria, exporters and other programs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        output: Output = self.network(image)
        return output.logits
