"""The NaN guard: no update from a loss or gradient that is not finite, and no wait to know it on a GPU.

On a CPU the answer is read at once. On a GPU reading would stop the pipeline at every step, so there updates
are made void on the device: from the first bad one on, all later ones too, until the loop reads the mark at
its log cadence. Then the weights are still those before the bad update.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from pkgs.training.generators import snapshot, storable

BITS: Final = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Whole numbers of the same width: bits can be multiplied by 0, NaN cannot."""


class Tripped(Exception):  # noqa: N818 - found, not failed; the loop turns it into NotFiniteError
    """An update was not finite and was held back."""

    def __init__(self, update: int) -> None:
        super().__init__(update)
        self.update = update


@final
class Guard:
    """Watches updates, numbered over the whole run (step x parts + part).

    Args:
        modules: Networks whose buffers a bad forward pass must not spoil (running statistics).
        late: Whether the mark stays on the device until `check`; else a bad update raises at once.
    """

    def __init__(self, modules: Iterable[nn.Module], *, device: torch.device, late: bool) -> None:
        self.late = late
        self._buffers = list({id(b): b for module in modules for b in module.buffers()}.values())
        self._kept_buffers = [torch.empty_like(buffer) for buffer in self._buffers]
        self._first = torch.full((), -1, dtype=torch.int64, device=device)
        self._generators: dict[int, tuple[Any, ...]] = {}

    def before(self, update: int) -> None:
        """Keep what the forward pass of this update moves: buffers and generators."""
        if not self.late:
            self._generators.clear()
        self._generators[update] = snapshot()
        if self._buffers:
            torch._foreach_copy_(self._kept_buffers, self._buffers)

    def make(
        self, update: int, *, watched: Tensor, weights: Sequence[nn.Parameter], step: Callable[[], object]
    ) -> None:
        """Make an update if `watched`, one number, is finite.

        Args:
            update: Its number.
            watched: Not finite if the loss or any gradient is not.
            weights: What `step` changes.
            step: Makes the update.

        Raises:
            Tripped: If it is not finite and the guard is not late.
        """
        if not self.late:
            if not math.isfinite(watched.item()):
                if self._buffers:
                    torch._foreach_copy_(self._buffers, self._kept_buffers)
                raise Tripped(update)
            step()
            return
        with torch.no_grad():
            bad = (self._first < 0) & ~torch.isfinite(watched)
            self._first.copy_(torch.where(bad, update, self._first))
            fine = (self._first < 0).int()
            kept = [weight.detach().clone() for weight in weights]
            _times([weight.grad for weight in weights if weight.grad is not None], fine)
            step()
            _choose([weight.detach() for weight in weights], kept, fine)
            _choose(self._buffers, self._kept_buffers, fine)

    @property
    def happened(self) -> Tensor | None:
        """Whether the last update was made, a boolean on the device; None where a bad one raises at once."""
        return self._first < 0 if self.late else None

    def check(self) -> None:
        """Read the mark; a wait for the device where the guard is late.

        Raises:
            Tripped: With the number of the first bad update.
        """
        if not self.late:
            return
        first = int(self._first.item())
        if first >= 0:
            raise Tripped(first)
        self._generators.clear()

    def generators_before(self, update: int) -> dict[str, Any]:
        """Return the generators as `before(update)` found them."""
        return storable(self._generators[update])


def _times(tensors: Sequence[Tensor], one: Tensor) -> None:
    """Multiply the bits of all tensors, in place, by `one`, which is 1 or 0: NaN becomes 0 as well."""
    if tensors:
        torch._foreach_mul_([tensor.view(BITS[tensor.element_size()]) for tensor in tensors], one)


def _choose(tensors: Sequence[Tensor], others: Sequence[Tensor], one: Tensor) -> None:
    """Leave the tensors as they are where `one` is 1, or make them the others; the others are used up."""
    if not tensors:
        return
    _times(tensors, one)
    _times(others, 1 - one)
    mine, theirs = ([t.view(BITS[t.element_size()]) for t in side] for side in (tensors, others))
    torch._foreach_add_(mine, theirs)
