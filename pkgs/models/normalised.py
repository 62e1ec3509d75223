"""Normalisation of colours as the first layer of a network, so that nobody else has to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, final

import torch
from torch import Tensor, nn

from pkgs.foundation.colours import Colours
from pkgs.models.image_check import check_image
from pkgs.models.output import Output

WHITE: Final = 255.0
INSIDE: Final = "network."
"""Before the keys of the wrapped network's weights."""


@final
class Normalised(nn.Module):
    """A network that takes images in [0, 1] and sees `(255 x - mean) / std`, per channel.

    The constants are saved with the weights: evaluation, teachers and exports need not be told. Returns what
    the network returns.

    Args:
        network: Takes [B, C, H, W] and returns an `Output`.
        mean: Of each channel, on 0-255.
        std: Likewise, above 0.

    Raises:
        ValueError: If the two differ in length, or a spread is not above 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or not mean or not min(std) > 0:
            raise ValueError(
                f"mean {list(mean)} and std {list(std)}; expected one of each per channel, every std above 0."
            )
        self.network = network
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))

    def forward(self, image_BCHW: Tensor) -> Output:
        check_image(image_BCHW, name="Normalised", channels=len(self.mean))
        # subtracted before it is divided: 255 x / std - mean / std would lose digits in half precision
        centred_BCHW = WHITE * image_BCHW - self.mean[:, None, None]
        output: Output = self.network(centred_BCHW / self.std[:, None, None])
        return output


class Unwrapped(NamedTuple):
    """The weights of a network, and by what its images are normalised."""

    weights: Mapping[str, Tensor]
    colours: Colours | None
    """None where the weights are of a bare network."""


def without_normalisation(weights: Mapping[str, Tensor]) -> Unwrapped:
    """Return the weights of a `Normalised` as those of the network inside; others as they are."""
    constants = {"mean", "std"}
    inner = {key.removeprefix(INSIDE): value for key, value in weights.items() if key.startswith(INSIDE)}
    if not inner or weights.keys() - constants != {INSIDE + key for key in inner}:
        return Unwrapped(weights, None)
    mean, std = (tuple(weights[name].tolist()) for name in ("mean", "std"))
    return Unwrapped(inner, Colours(mean, std))
