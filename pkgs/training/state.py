"""Where a training is, and where it writes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pkgs.foundation.registry import choose
from pkgs.training.config import TrainingConfig
from pkgs.training.durations import Duration
from pkgs.training.tables import CLOCK, Table


@dataclass(frozen=True, slots=True)
class Places:
    """Where the loop writes, and what it writes into each checkpoint about its origin."""

    checkpoints: Path
    train: Table
    val: Table
    nan: Path
    attempt: int
    command: tuple[str, ...]
    about: Mapping[str, str] = field(default_factory=dict)
    """Such as digests of configuration and data; a resume on data with another digest is refused."""

    def check_metric(self, metric: str) -> None:
        """Refuse a metric for `best` that no validation measures.

        Raises:
            ValueError: Names those that are measured.
        """
        try:
            choose("metric", {name: name for name in self.val.columns if name not in CLOCK}, metric)
        except ValueError as error:
            raise ValueError(f"training.best.metric: {error}") from None


@dataclass(slots=True)
class State:
    """Where the loop is; saved and resumed whole."""

    step: int = 0
    validated: int = 0
    """Step of the last validation that came to its end."""
    watched: int = -1
    """Step after which the watcher has looked last; -1: not even before the first."""
    best: float = math.inf
    best_step: int = 0
    without_best: int = 0
    """Validations in a row that found no new best."""
    history: list[tuple[int, float]] = field(default_factory=list)
    """After how many steps each validation came, and its value of the metric of `best`."""

    def stored(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cadence:
    """When what is due, in steps; durations are read once."""

    steps: int
    log: int
    validate: int
    save: int
    """0: never besides validation."""

    @classmethod
    def of(cls, config: TrainingConfig, *, samples: int) -> Cadence:
        def steps(text: str) -> int:
            return steps_in(text, config=config, samples=samples)

        if config.short_training:
            return cls(steps=1, log=1, validate=1, save=0)
        return cls(
            steps=steps(config.length),
            log=steps(config.log_every),
            validate=steps(config.validate_every),
            save=steps(config.save_every) if config.save_every else 0,
        )


def steps_in(text: str, *, config: TrainingConfig, samples: int) -> int:
    """Return a duration in steps."""
    return Duration.parse(text).steps(samples=samples, batch=config.batch_samples)
