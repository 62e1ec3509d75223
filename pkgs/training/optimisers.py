"""Optimisers by name, and which parameters they train and decay."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import torch
from torch import nn

from pkgs.foundation.registry import choose
from pkgs.training.config import OptimiserConfig
from pkgs.training.lars import Lars

Parameters = nn.Module | Iterable[nn.Parameter] | Iterable[tuple[str, nn.Parameter]]

OPTIMISERS: Final[Mapping[str, Callable[..., torch.optim.Optimizer]]] = {
    "radam": torch.optim.RAdam,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "lars": Lars,
}
LARS_MOMENTUM: Final = 0.9


def build_optimiser(config: OptimiserConfig, parameters: Parameters) -> torch.optim.Optimizer:
    """Return the optimiser over those of `parameters` that are not frozen, each once.

    All decay alike in one group; with `decay_norm_and_bias: false`, and always for `lars`, there are two
    groups: what `is_norm_or_bias` names does not decay (and has ratio 1 in `lars`), the rest does.

    Args:
        config: Which optimiser and with which numbers.
        parameters: A module, or parameters with or without their names. Several modules:
            `[pair for module in modules for pair in module.named_parameters()]`.

    Raises:
        ValueError: If nothing is left to train.
    """
    make = choose("optimiser", OPTIMISERS, config.name)
    groups = _groups(config, _trainable(parameters))
    return make(groups, lr=config.lr, weight_decay=config.weight_decay, **_own_options(config))


def is_norm_or_bias(name: str, parameter: nn.Parameter) -> bool:
    """Say whether a parameter is a bias, a scale or shift of a norm, or a scalar, by its shape and name.

    At most one axis, or the last part of the name is `bias`. Tables of position (two axes and more) decay.
    """
    return parameter.ndim <= 1 or name.rpartition(".")[2] == "bias"


def sqrt_rule_lr(batch_samples: int) -> float:
    """Return the rate for contrastive training with LARS: 0.075 times the root of the samples of a step.

    4096 samples over all devices give 4.8. Source: Chen et al. 2020, arXiv:2002.05709, appendix B.1.
    """
    return 0.075 * math.sqrt(batch_samples)


def _trainable(parameters: Parameters) -> list[tuple[str, nn.Parameter]]:
    """Return what is not frozen, each once, in the order given."""
    source = parameters.named_parameters() if isinstance(parameters, nn.Module) else parameters
    named = [entry if isinstance(entry, tuple) else ("", entry) for entry in source]
    once = {id(parameter): (name, parameter) for name, parameter in reversed(named)}
    kept = [pair for pair in reversed(once.values()) if pair[1].requires_grad]
    if not kept:
        raise ValueError(
            f"Nothing to train: {len(named)} parameters were given and all of them are frozen. "
            "Unfreeze some, or leave this optimiser out."
        )
    return kept


def _groups(config: OptimiserConfig, named: list[tuple[str, nn.Parameter]]) -> list[dict[str, Any]]:
    lars = config.name == "lars"
    if config.decay_norm_and_bias and not lars:
        return [{"params": [parameter for _, parameter in named]}]
    plain = [parameter for name, parameter in named if not is_norm_or_bias(name, parameter)]
    apart = [parameter for name, parameter in named if is_norm_or_bias(name, parameter)]
    without: dict[str, Any] = {"params": apart, "weight_decay": 0.0}
    if lars:
        without["adapt"] = False
    return [group for group in ({"params": plain}, without) if group["params"]]


def _own_options(config: OptimiserConfig) -> dict[str, Any]:
    """Return what only some optimisers take."""
    match config.name:
        case "sgd":
            return {"momentum": config.momentum or 0.0, "nesterov": config.nesterov}
        case "lars":
            return {"momentum": LARS_MOMENTUM if config.momentum is None else config.momentum}
        case _:
            return {}
