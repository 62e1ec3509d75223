"""One update of one part: gradient of the whole step, clipped, judged by the guard, made.

gradient = (sum over processes and micro-batches of the summed loss's gradient) / weight of the step
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Final, Generic, TypeVar, final

import torch
from torch import Tensor, nn

from pkgs.foundation.registry import choose
from pkgs.training.config import TrainingConfig
from pkgs.training.guard import Guard, Tripped
from pkgs.training.method import Method, StepLoss, TrainedPart
from pkgs.training.optimisers import build_optimiser
from pkgs.training.ranks import Ranks
from pkgs.training.running import Running
from pkgs.training.schedule import NO_HISTORY, History, Schedule, set_lr
from pkgs.training.state import steps_in

B = TypeVar("B")
AUTOCAST: Final = {"bf16": torch.bfloat16, "fp16": torch.float16}
SKIPPED_IN_ROW: Final = 25
"""fp16 halves its scale of 65,536 with each skipped step: after so many in a row it is no help any more."""


@final
class Update(Generic[B]):
    """Optimiser, scaler and learning rate of one part.

    Args:
        part: What it minimises.
        weights: What it changes by name, each once.
        config: Precision and clipping.
        schedule: Its learning rate.
        ranks: The processes among which a step is shared.
        guard: Refuses what is not finite.
        running: Takes loss, norm and scalars for the log.
        suffix: Behind the names of the part's columns; empty for the first part.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        part: TrainedPart[B],
        *,
        weights: Sequence[tuple[str, nn.Parameter]],
        config: TrainingConfig,
        schedule: Schedule,
        ranks: Ranks,
        guard: Guard,
        running: Running,
        suffix: str,
    ) -> None:
        self.part, self.config, self.ranks, self.schedule = part, config, ranks, schedule
        self.weights = [weight for _, weight in weights]
        self.guard, self.running, self.suffix = guard, running, suffix
        self.optimiser = build_optimiser(part.optimiser, weights)
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=config.precision == "fp16")
        self.skipped = 0
        """Updates that fp16 skipped because a gradient was too large for it."""
        self.skipped_in_row = 0
        low = AUTOCAST.get(config.precision)
        self._autocast = torch.autocast(ranks.device.type, dtype=low) if low else nullcontext()

    def __call__(
        self, batches: Sequence[B], *, step: int, number: int, history: History = NO_HISTORY
    ) -> None:
        """Make update `number` of the run, counted over steps and parts, or hold it back.

        Args:
            batches: The micro-batches of the step.
            step: Counted from 0.
            number: Counted over steps and parts.
            history: Validations so far, for a schedule that looks at them.

        Raises:
            Tripped: If loss or gradient is not finite and the guard is not late.
        """
        set_lr(self.optimiser, self.schedule.lr_at(step, history))
        self.guard.before(number)
        sums_N2, names = self.gradients(batches)
        if self.scaler.is_enabled():
            self.scaler.unscale_(self.optimiser)
        norm = self._clip()
        watched = sums_N2[0, 0] if self.scaler.is_enabled() else sums_N2[0, 0] + norm
        self.guard.make(number, watched=watched, weights=self.weights, step=self._step)
        self.running.add((*names, f"grad_norm{self.suffix}"), _with(sums_N2, norm))
        if self.skipped_in_row >= SKIPPED_IN_ROW:
            raise Tripped(number)

    def gradients(self, batches: Sequence[B]) -> tuple[Tensor, tuple[str, ...]]:
        """Compute the step's gradient (times the scale of fp16) into `.grad`.

        Returns:
            The sums and weights of the whole step, over all processes, loss first, and their names.
        """
        self.optimiser.zero_grad(set_to_none=True)
        sums: list[Tensor] = []
        divisor: Tensor | None = None
        for batch in batches:
            with self._autocast:
                loss = self.part.loss(batch)
            total, weight = loss.total.sum(), loss.weight.detach().sum()
            if divisor is None:  # near the step's weight, so that fp16 keeps the gradient in its range
                divisor = _not_zero(weight) * (len(batches) * self.ranks.world)
            self.scaler.scale(total / divisor).backward()  # type: ignore[no-untyped-call]
            sums.append(_sums(loss, total.detach(), weight))
        assert divisor is not None
        step_N2 = self.ranks.sum(sums[0] if len(sums) == 1 else torch.stack(sums).sum(dim=0))
        if len(batches) * self.ranks.world > 1:
            self._weigh(divisor / _not_zero(step_N2[0, 1]))
        return step_N2, (f"loss{self.suffix}", *loss.scalars)

    def state(self) -> dict[str, Any]:
        """Return what `load` takes back."""
        return {
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "skipped": [self.skipped, self.skipped_in_row],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.skipped, self.skipped_in_row = state["skipped"]

    def said_of_skips(self) -> str:
        return f", fp16 skipped the last {self.skipped_in_row} updates" if self.skipped_in_row else ""

    def _weigh(self, factor: Tensor) -> None:
        """Turn this process's gradient into its share of the step's, and add the shares up."""
        with torch.no_grad():
            if self.ranks.world > 1:
                for weight in self.weights:  # a share without a gradient adds nothing, but takes part
                    weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
            gradients = [weight.grad for weight in self.weights if weight.grad is not None]
            torch._foreach_mul_(gradients, factor.to(gradients[0].dtype))
            self.ranks.sum_all(gradients)

    def _clip(self) -> Tensor:
        """Return the norm of the gradient, and cut it to `clip_norm` if that is set."""
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.config.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(self.weights, self.config.clip_norm, norm)
        return norm

    def _step(self) -> None:
        if not self.scaler.is_enabled():
            self.optimiser.step()
            return
        before = self.scaler.get_scale()  # fp16 waits for the device anyway: the scaler asks it
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.scaler.get_scale() < before:
            self.skipped += 1
            self.skipped_in_row += 1
        else:
            self.skipped_in_row = 0


def _sums(loss: StepLoss, total: Tensor, weight: Tensor) -> Tensor:
    """Return loss and scalars as sums and weights [N, 2] in double precision."""
    values = [total, weight]
    for pair in loss.scalars.values():
        values += [value.detach().sum() for value in pair]
    return torch.stack([value.double() for value in values]).reshape(-1, 2)


def _with(sums_N2: Tensor, norm: Tensor) -> Tensor:
    """Add the norm as a row with weight 1; without weight where fp16 skips an infinite gradient."""
    row_2 = torch.stack([norm, torch.ones_like(norm)])
    return torch.cat([sums_N2, torch.where(norm.isfinite(), row_2, 0)[None]])


def _not_zero(weight: Tensor) -> Tensor:
    """Return the weight, or 1 where a batch has nothing that counts."""
    return torch.where(weight > 0, weight, 1)


def updates_of(
    method: Method[B],
    config: TrainingConfig,
    *,
    ranks: Ranks,
    guard: Guard,
    running: Running,
) -> list[Update[B]]:
    """Return the updates of a step; the first part's columns in the log have no suffix."""
    updates: list[Update[B]] = []
    steps = steps_in(config.length, config=config, samples=method.samples)  # a short training keeps its rates
    for part in method.parts:
        modules = [choose("module", method.modules, name) for name in part.trains]
        named = [pair for module in modules for pair in module.named_parameters()]
        weights = {id(weight): (name, weight) for name, weight in reversed(named) if weight.requires_grad}
        schedule = Schedule.of(
            part.schedule,
            start=part.optimiser.lr,
            steps=steps,
            samples=method.samples,
            batch_samples=config.batch_samples,
        )
        updates.append(
            Update(
                part,
                weights=list(weights.values())[::-1],
                config=config,
                schedule=schedule,
                ranks=ranks,
                guard=guard,
                running=running,
                suffix=f"_{part.name}" if updates else "",
            )
        )
    return updates
