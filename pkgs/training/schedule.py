"""Optimisers by name, and the learning rate as a function of the step: nothing to resume wrongly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import torch
from torch import nn

from pkgs.foundation.registry import choose
from pkgs.training.config import OptimiserConfig, ScheduleConfig

OPTIMISERS: Final[Mapping[str, Callable[..., torch.optim.Optimizer]]] = {
    "radam": torch.optim.RAdam,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}


def build_optimiser(config: OptimiserConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser over `parameters`."""
    make = choose("optimiser", OPTIMISERS, config.name)
    return make(parameters, lr=config.lr, weight_decay=config.weight_decay)


def lr_at(
    step: int, *, steps: int, start: float, config: ScheduleConfig, milestones: Sequence[int] = ()
) -> float:
    """Return the learning rate of step `step`, counted from 0, of `steps`.

    Args:
        step: The step about to be made.
        steps: How many there are in all.
        start: The optimiser's own rate.
        config: Which curve.
        milestones: For `multistep`: the first step of each lower rate.
    """
    match config.name:
        case "constant":
            return start
        case "cosine":
            share = step / max(steps - 1, 1)
            return config.final_lr + (start - config.final_lr) * (1 + math.cos(math.pi * share)) / 2
        case "multistep":
            return start * config.factor ** sum(step >= milestone for milestone in milestones)


def set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr
