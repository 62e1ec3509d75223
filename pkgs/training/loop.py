"""The loop: counts steps, asks cadences, calls verbs. It knows no method, no data and no network.

Three plus three steps equal six, bit for bit on a CPU: all that it needs to go on is in `last`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, final

import torch
from torch import Tensor, nn

from pkgs.training import checkpoints as stored
from pkgs.training.checkpoint_folder import Name
from pkgs.training.config import TrainingConfig
from pkgs.training.durations import Duration, is_due
from pkgs.training.heartbeat import Heartbeat
from pkgs.training.nan import NotFiniteError, keep_evidence
from pkgs.training.schedule import build_optimiser, lr_at, set_lr
from pkgs.training.stop import Stopped, StopRequest
from pkgs.training.tables import Table

AUTOCAST: Final = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class StepLoss:
    """What a method makes of one batch: the loss as sum and weight."""

    total: Tensor
    weight: Tensor


class Method(Protocol):
    """What makes a training the training that it is."""

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The networks whose weights are saved, by the name of their file."""

    @property
    def samples(self) -> int:
        """Number of training samples: the length of an epoch."""

    def loss(self, step: int) -> StepLoss:
        """Return the loss of the batch of `step`."""

    def inputs(self, step: int) -> Mapping[str, Tensor]:
        """Return the batch of `step` once more, to be kept after a NaN."""

    def validate(self) -> Mapping[str, float]:
        """Return the scores on val; `nll` decides about `best`, lower is better."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the loop writes."""

    checkpoints: Path
    train: Table
    val: Table
    nan: Path
    attempt: int
    command: tuple[str, ...]


@dataclass(slots=True)
class State:
    """Where the loop is; saved and resumed whole."""

    step: int = 0
    validated: int = 0
    """Step of the last validation that came to its end."""
    best: float = math.inf
    best_step: int = 0
    total: float = 0.0
    weight: float = 0.0
    """Loss since the last line of train.csv."""


@final
class Loop:
    """Trains one network with one optimiser."""

    def __init__(
        self, method: Method, config: TrainingConfig, *, places: Places, heart: Heartbeat, stop: StopRequest
    ) -> None:
        self.method, self.config, self.places, self.heart, self.stop = method, config, places, heart, stop
        self.state = State()
        self.steps = heart.steps = self._steps(config.length)
        self.parameters = [weight for module in method.modules.values() for weight in module.parameters()]
        self.optimiser = build_optimiser(config.optimiser, self.parameters)
        self.device = self.parameters[0].device
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")

    def run(self) -> None:
        """Go on from the state until the last step is made and validated.

        Raises:
            Stopped: If a stop was asked for; `last` is saved.
            NotFiniteError: If loss or gradient is not finite; nothing of that step was applied.
        """
        try:
            self.validate()  # one that a stop cut off
            while self.state.step < self.steps:
                self.train_step()
                self.log()
                self.validate()
                self.stop.check()
        except Stopped:
            self.save("last")
            raise

    def train_step(self) -> None:
        """Make one step, or hold it back if it is not finite."""
        started, step = time.perf_counter(), self.state.step
        set_lr(self.optimiser, self._lr(step))
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(
            self.device.type,
            dtype=AUTOCAST.get(self.config.precision),
            enabled=self.config.precision != "fp32",
        ):
            loss = self.method.loss(step)
        mean = loss.total.sum() / loss.weight.sum().clamp(min=1)
        self.scaler.scale(mean).backward()  # type: ignore[no-untyped-call]
        self._refuse_unless_finite(mean)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        state = self.state
        state.step = step + 1
        state.total += float(loss.total.detach().sum())
        state.weight += float(loss.weight.detach().sum())
        self.heart.moved(state.step, epoch=self._epoch(), seconds=time.perf_counter() - started)

    def log(self) -> None:
        """Append a line to train.csv if it is time."""
        state = self.state
        if not is_due(state.step, every=self._steps(self.config.log_every), last=self.steps):
            return
        loss = state.total / max(state.weight, 1)
        self.places.train.append({**self.clock(), "loss": loss})
        self.heart.measured({"loss": loss})
        state.total = state.weight = 0.0

    def validate(self) -> None:
        """Measure val, choose `best` and save `last` if it is time and was not done after this step."""
        state = self.state
        due = is_due(state.step, every=self._steps(self.config.validate_every), last=self.steps)
        if not due or state.validated == state.step:
            return
        scores = self.method.validate()
        self.places.val.append({**self.clock(), **scores})
        self.heart.measured({"val_iou": scores["iou"]})
        state.validated = state.step
        if state.best_step == 0 or scores["nll"] < state.best:
            state.best, state.best_step = scores["nll"], state.step
            self.save("best")
        self.save("last")

    def save(self, name: Name) -> None:
        """Write a checkpoint."""
        stored.save_checkpoint(
            self.places.checkpoints,
            name,
            step=self.state.step,
            modules=self.method.modules,
            state=self._stored(),
        )

    def resume(self) -> bool:
        """Take over `last` if there is one; say whether there was."""
        found = stored.load_checkpoint(self.places.checkpoints, "last")
        if found is None:
            return False
        for note in found.notes:
            self.heart.say(note)
        for name, module in self.method.modules.items():
            stored.load_weights(module, found.weights[name], where=str(self.places.checkpoints / "last"))
        self.optimiser.load_state_dict(found.state["optimiser"])
        self.scaler.load_state_dict(found.state["scaler"])
        stored.restore_generators(found.state["generators"])
        self.state = State(**found.state["loop"])
        self.heart.moved(self.state.step, epoch=self._epoch())
        return True

    def clock(self) -> dict[str, float | int | None]:
        """Return the first columns of a line (`tables.CLOCK`): when, which attempt, how far, how fast."""
        state = self.state
        pace = self.heart.seconds_per_step
        return {
            "time_unix_s": round(time.time(), 3),
            "attempt": self.places.attempt,
            "step": state.step,
            "epoch": self._epoch(),
            "lr": self._lr(max(state.step - 1, 0)),
            "samples_per_s": round(self.config.batch_samples / pace, 2) if pace else None,
        }

    def _refuse_unless_finite(self, mean: Tensor) -> None:
        gradients = [weight.grad for weight in self.parameters if weight.grad is not None]
        # the scaler of fp16 skips and counts its own infinite gradients
        watched = mean if self.scaler.is_enabled() else mean + torch.nn.utils.get_total_norm(gradients)
        if math.isfinite(watched.item()):
            return
        step = self.state.step
        batch = self.method.inputs(step)
        keep_evidence(
            self.places.nan,
            step=step,
            batch=batch,
            modules=self.method.modules,
            state=self._stored(),
            command=self.places.command,
        )
        raise NotFiniteError(
            f"Loss {mean.item():g} or its gradient is not finite at step {step + 1} of {self.steps}. "
            f"The batch and the weights before it are in {self.places.nan}. "
            "A lower training.optimiser.lr is the usual cure."
        )

    def _stored(self) -> dict[str, Any]:
        return {
            "loop": {name: getattr(self.state, name) for name in State.__dataclass_fields__},
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "generators": stored.generators(),
        }

    def _lr(self, step: int) -> float:
        schedule = self.config.schedule
        milestones = [self._steps(text) for text in schedule.milestones]
        start = self.config.optimiser.lr
        return lr_at(step, steps=self.steps, start=start, config=schedule, milestones=milestones)

    def _steps(self, text: str) -> int:
        return Duration.parse(text).steps(samples=self.method.samples, batch=self.config.batch_samples)

    def _epoch(self) -> int:
        return self.state.step * self.config.batch_samples // self.method.samples
