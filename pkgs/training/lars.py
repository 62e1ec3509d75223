"""LARS: layer-wise adaptive rates for large batches. Every norm stays on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, final

import torch
from torch import Tensor

TRUST: Final = 0.001
"""Share of a weight's own norm that one step of rate 1 may move it."""


@final
class Lars(torch.optim.Optimizer):
    r"""Stochastic gradient descent whose step is scaled by each tensor's own norm.

        d     = g + weight_decay w
        ratio = trust |w| / |d|     if the group adapts and both norms are > 0, else 1
        v     = momentum v + lr ratio d
        w     = w - v

    A tensor whose norm is zero would never leave zero under a ratio of 0; here it is trained with ratio 1.
    The rate is inside the momentum, so that a new rate acts on new gradients only.

    Args:
        parameters: Parameters, or groups. `adapt: False` in a group gives ratio 1, as biases and norms need.
        lr: Learning rate.
        momentum: Share of the last step that is kept.
        weight_decay: Pull towards zero, part of `d`.
        trust: The factor of the ratio.

    Source: You, Gitman and Ginsburg 2017, arXiv:1708.03888, algorithm 1.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        *,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = TRUST,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust": trust,
            "adapt": True,
        }
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make one step; parameters without a gradient are passed over."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                self._move(weights, group)
        return loss

    def _move(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        directions = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
        if group["adapt"]:
            torch._foreach_mul_(directions, _ratios(weights, directions, trust=group["trust"]))
        velocities = [self._velocity(weight) for weight in weights]
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, directions, alpha=group["lr"])
        torch._foreach_sub_(weights, velocities)

    def _velocity(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(weight, memory_format=torch.preserve_format)
        return state["velocity"]  # type: ignore[no-any-return]


def _ratios(weights: list[Tensor], directions: list[Tensor], *, trust: float) -> list[Tensor]:
    """Return one ratio per tensor, each a scalar on the tensor's device."""
    of_weights = torch.stack(torch._foreach_norm(weights))
    of_directions = torch.stack(torch._foreach_norm(directions))
    usable = (of_weights > 0) & (of_directions > 0)
    ratio = torch.where(usable, trust * of_weights / of_directions, torch.ones_like(of_weights))
    return list(ratio.unbind())
