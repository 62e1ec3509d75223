"""The learning rate as a function of the step, for a plateau also of the recorded history.

Time t counts what the curve has behind it: steps since the warm-up, or whole epochs with `interval: epoch`.
T is its last one, a the optimiser's own rate, f `final_lr`, e the epochs behind it, P the period:

    constant         a
    cosine           f + (a - f) (1 + cos(pi t / T)) / 2
    cosine_to_zero   the same with f = 0
    multistep        a factor^(milestones passed)
    exponential      a decay_per_epoch^e
    warm_restarts    f + (a - f) (1 + cos(pi (t mod P) / P)) / 2
    decaying_cosine  the same with max(f, a decay_per_epoch^e) for a
    plateau          a factor^(times that `patience` was exceeded), not below `min_lr`
    warm-up of W     a (step + 1) / W in each of its steps, then the curve
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self, final

import torch

from pkgs.training.config import ScheduleConfig
from pkgs.training.durations import Duration

History = Sequence[tuple[int, float]]
"""Validations so far in their order: after how many steps, and the value that the plateau watches."""
NO_HISTORY: Final[History] = ()


@final
@dataclass(frozen=True, slots=True)
class Schedule:
    """A curve with all its durations in steps; a pure function, so that a resume cannot change it."""

    config: ScheduleConfig
    start: float
    """The optimiser's own rate."""
    steps: int
    samples: int = 1
    batch_samples: int = 1
    """Together the length of an epoch: step s belongs to epoch s * batch_samples // samples."""
    warmup: int = 0
    period: int = 1
    milestones: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, config: ScheduleConfig, *, start: float, steps: int, samples: int, batch_samples: int
    ) -> Self:
        """Return the schedule of a run.

        Args:
            config: Which curve.
            start: The optimiser's own rate.
            steps: Steps of the whole run.
            samples: Training samples of an epoch.
            batch_samples: Samples of a step, over all devices and micro-batches.

        Raises:
            ValueError: If the warm-up leaves nothing of the run.
        """

        def count(text: str) -> int:
            return Duration.parse(text).steps(samples=samples, batch=batch_samples)

        warmup = count(config.warmup) if config.warmup else 0
        if warmup and warmup >= steps:
            raise ValueError(
                f"schedule.warmup is {config.warmup!r}, {warmup} steps, and the whole run has {steps}. "
                "Shorten the warm-up or lengthen the run."
            )
        milestones = tuple(map(count, config.milestones))
        return cls(config, start, steps, samples, batch_samples, warmup, count(config.period), milestones)

    def lr_at(self, step: int, history: History = NO_HISTORY) -> float:
        """Return the rate of step `step`, counted from 0.

        Args:
            step: The step about to be made, or one of the past.
            history: For `plateau`. Validations after more than `step` steps are passed over, so the rate
                of a past step stays what it was.
        """
        if step < self.warmup:
            return self.start * (step + 1) / self.warmup
        config, rate = self.config, self.start
        match config.name:
            case "constant":
                pass
            case "cosine":
                rate = _cosine(self._share(step), high=rate, low=config.final_lr)
            case "cosine_to_zero":
                rate = _cosine(self._share(step), high=rate, low=0.0)
            case "multistep":
                rate *= float(config.factor ** sum(step >= milestone for milestone in self.milestones))
            case "exponential":
                rate *= config.decay_per_epoch ** self._epochs(step)
            case "warm_restarts":
                rate = _cosine(self._turn(step), high=rate, low=config.final_lr)
            case "decaying_cosine":
                high = max(config.final_lr, rate * config.decay_per_epoch ** self._epochs(step))
                rate = _cosine(self._turn(step), high=high, low=config.final_lr)
            case "plateau":
                rate = plateau(
                    [value for after, value in history if after <= step], start=rate, config=config
                )
        return rate

    def _share(self, step: int) -> float:
        """Return how much of the curve is behind this step, 0 to 1.

        Step by step the last one is at the end. Epoch by epoch the end comes after the last one, or a whole
        epoch would be spent at the final rate.
        """
        if self.config.interval == "step":
            return (step - self.warmup) / max(self.steps - self.warmup - 1, 1)
        epochs = math.ceil((self.steps - self.warmup) * self.batch_samples / self.samples)
        return self._epochs(step) / max(epochs, 1)

    def _epochs(self, step: int) -> float:
        """Return the epochs since the warm-up; whole ones where the curve moves by epochs.

        Whole epochs are counted where the run's epochs begin, wherever the warm-up ended.
        """
        if self.config.interval == "step":
            return (step - self.warmup) * self.batch_samples / self.samples
        return self._epoch_of(step) - self._epoch_of(self.warmup)

    def _epoch_of(self, step: int) -> int:
        return step * self.batch_samples // self.samples

    def _turn(self, step: int) -> float:
        """Return how much of its period is behind this step, 0 included and 1 not."""
        if self.config.interval == "step":
            return (step - self.warmup) % self.period / self.period
        in_epochs = max(round(self.period * self.batch_samples / self.samples), 1)
        return self._epochs(step) % in_epochs / in_epochs


def plateau(values: Sequence[float], *, start: float, config: ScheduleConfig) -> float:
    """Return the rate after these validations: lowered when more than `patience` in a row brought no best.

    A value is a new best if it is better by more than `threshold` times the size of the best; one that is not
    finite never is. Where values are positive, the rates are those of torch's ReduceLROnPlateau with `eps=0`
    (which takes a slightly worse negative value for a better one).
    """
    best = math.inf if config.better == "lower" else -math.inf
    rate, bad, cooling = start, 0, 0
    for value in values:
        better = _is_better(value, best, config)
        best = value if better else best
        bad = 0 if better else bad + 1
        if cooling:
            cooling, bad = cooling - 1, 0
        if bad > config.patience:
            rate, cooling, bad = max(rate * config.factor, min(rate, config.min_lr)), config.cooldown, 0
    return rate


def _is_better(value: float, best: float, config: ScheduleConfig) -> bool:
    if not math.isfinite(value) or not math.isfinite(best):
        return math.isfinite(value)
    margin = config.threshold * abs(best)
    return value < best - margin if config.better == "lower" else value > best + margin


def set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr


def _cosine(share: float, *, high: float, low: float) -> float:
    return low + (high - low) * (1 + math.cos(math.pi * share)) / 2
