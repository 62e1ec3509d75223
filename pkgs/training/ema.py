"""A second network whose weights are the moving average of a first one's: steadier, and better calibrated."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn


@final
class Ema:
    r"""The exponential moving average of a network, as a network of its own.

        d_n = min(decay, (1 + n) / (10 + n)),    average = average + (1 - d_n) (weight - average)

    n counts the steps that happened. The growing d_n lets a young average forget its random start; without
    `warm_up`, d_n = decay from the first step on: for a network that was trained before.
    Weights are averaged; buffers (statistics of batch norm) are copied. `module` is ready to be called: in
    evaluation mode, without gradients.

    Args:
        module: The trained network itself, without DataParallel, DDP or compile around it.
        decay: Upper limit of d, 0 to below 1.
        warm_up: Whether d grows to it.

    Raises:
        ValueError: If decay is outside of that.

    Source: the warm-up is that of tf.train.ExponentialMovingAverage(num_updates=n).
    """

    def __init__(self, module: nn.Module, *, decay: float, warm_up: bool = True) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ema decay must be at least 0 and below 1, got {decay:g}; 0.999 is usual.")
        self.decay, self.warm_up = decay, warm_up
        self.source = module
        self.module = copy.deepcopy(module).requires_grad_(requires_grad=False).eval()
        self._averages: list[Tensor] = list(self.module.parameters())
        self._weights: list[Tensor] = list(module.parameters())
        self._buffers = list(zip(self.module.buffers(), module.buffers(), strict=True))
        where = self._weights[0].device if self._weights else torch.device("cpu")
        self.updates = torch.zeros((), dtype=torch.int64, device=where)
        """n, on the device: it may depend on a flag that nobody has read yet."""

    @torch.no_grad()
    def update(self, happened: Tensor | None = None) -> None:
        """Follow the step that was just made.

        Args:
            happened: A boolean scalar on the weights' device, False if the step was held back; the host does
                not read it. None: the step happened.
        """
        n = self.updates.double()
        share = 1 - (torch.clamp((1 + n) / (10 + n), max=self.decay) if self.warm_up else self.decay + 0 * n)
        if happened is not None:
            share = share * happened
        apart = torch._foreach_sub(self._weights, self._averages)
        torch._foreach_mul_(apart, share.float())
        torch._foreach_add_(self._averages, list(apart))
        for old, new in self._buffers:
            old.copy_(new if happened is None else torch.where(happened, new, old))
        self.updates += 1 if happened is None else happened.long()

    @contextmanager
    def swapped_in(self) -> Iterator[nn.Module]:
        """Give the trained network the averaged weights; afterwards it has its own again, bit for bit."""
        pairs = list(zip(_tensors(self.source), _tensors(self.module), strict=True))
        with torch.no_grad():
            kept = [own.clone() for own, _ in pairs]
            for own, average in pairs:
                own.copy_(average)
        try:
            yield self.source
        finally:
            with torch.no_grad():
                for (own, _), before in zip(pairs, kept, strict=True):
                    own.copy_(before)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs; only tensors and text, as `weights_only=True` wants them."""
        return {"updates": self.updates.cpu(), "weights": dict(self.module.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved average.

        Raises:
            RuntimeError: If it is the average of another network; torch lists the keys.
        """
        self.module.load_state_dict(state["weights"])
        self.updates.copy_(state["updates"])


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
