"""The trackers by name, and all those of a run together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self, final

from pkgs.training.stop import Stopped
from pkgs.training.trackers.config import TrackerConfig
from pkgs.training.trackers.guard import LIMITS, Guard, Limits
from pkgs.training.trackers.mlflow import MLflow
from pkgs.training.trackers.tensorboard import TensorBoard
from pkgs.training.trackers.tracker import TrackedRun, Tracker
from pkgs.training.trackers.visdom import Visdom
from pkgs.training.trackers.wandb import WeightsAndBiases

TRACKERS: Final[Mapping[str, Callable[[TrackerConfig], Tracker]]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
    "visdom": Visdom,
}
"""Building one imports nothing; its `start` does."""

START_WAIT_S: Final = 2.0
"""How long a run waits for its trackers to open, so that what is missing is said before the first step."""


@final
class Trackers:
    """All trackers of a run. A context: leaving it closes them. Nothing here raises; only the ends wait."""

    def __init__(self, guards: Sequence[Guard]) -> None:
        self._guards = guards

    def scalars(self, step: int, values: Mapping[str, object], *, part: str = "train") -> None:
        """Tell the numbers among `values` as `<part>/<name>`; returns at once.

        Args:
            step: Steps done.
            values: A row as it goes to a CSV file; text and empty cells are passed over.
            part: First part of the names: `train`, `val` or `test`.
        """
        if not self._guards:
            return
        numbers = {
            f"{part}/{key}": float(cell) for key, cell in values.items() if isinstance(cell, int | float)
        }
        for guard in self._guards:
            guard.scalars(step, numbers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stopped = kind is not None and issubclass(kind, Stopped)
        for guard in self._guards:
            guard.finish("finished" if kind is None else "stopped" if stopped else "failed")


def open_trackers(
    config: TrackerConfig, run: TrackedRun, *, say: Callable[[str], None], limits: Limits = LIMITS
) -> Trackers:
    """Open the trackers that `config` names; one that cannot be opened is said and left out.

    Args:
        config: Which ones, and where they send to.
        run: What they are told about the run. Its folder is made where it is missing.
        say: Prints one sentence; called from this thread only.
        limits: How long one call of a tracker may take.
    """
    guards = [
        Guard(name, TRACKERS[name](config), say=say, limits=limits) for name in dict.fromkeys(config.names)
    ]
    for guard in guards:
        guard.start(run)
    latest = time.monotonic() + START_WAIT_S
    for guard in guards:
        guard.wait_until_started(max(latest - time.monotonic(), 0))
    return Trackers(guards)
