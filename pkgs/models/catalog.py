"""The networks by name, and how they come to their initial weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from pkgs.foundation.registry import choose
from pkgs.foundation.seeds import Purpose, derive
from pkgs.models.swin_unetr import build_swin_unetr
from pkgs.models.unet2d import UNet2d


@dataclass(frozen=True, slots=True)
class Entry:
    """A network that can be chosen."""

    build: Callable[[], nn.Module]
    output: str
    """Name of the last layer, whose bias is the output's."""


STUDENTS: Final[Mapping[str, Entry]] = {
    "unet2d": Entry(UNet2d, "head"),
    "swin_unetr": Entry(build_swin_unetr, "out.conv.conv"),
}


def build_student(name: str, *, seed: int, foreground_share: float | None = None) -> nn.Module:
    """Return a student whose weights depend on `seed` alone, not on what was drawn or built before.

    Args:
        name: One of `STUDENTS`.
        seed: The run's; the purpose `init` is derived from it.
        foreground_share: Where the output's bias starts, as a probability; None leaves it as it was drawn.

    Raises:
        ValueError: If there is no such network, or a share is not within (0, 1).
    """
    entry = choose("student", STUDENTS, name)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive(seed, Purpose.INIT, "student"))
        network = entry.build()
    if foreground_share is not None:
        set_output_prior(network.get_submodule(entry.output), share=foreground_share)
    return network


def set_output_prior(layer: nn.Module, *, share: float) -> None:
    """Set the layer's bias to the logit of `share`.

    Raises:
        ValueError: If `share` is not within (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"The training masks' foreground share is {share:g}; expected one within (0, 1).")
    assert isinstance(layer.bias, nn.Parameter)
    with torch.no_grad():
        layer.bias.fill_(math.log(share / (1 - share)))


def count_parameters(network: nn.Module) -> int:
    """Return the number of trained numbers."""
    return sum(parameter.numel() for parameter in network.parameters())
