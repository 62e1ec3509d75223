"""TensorBoard: event files in the run folder; `tensorboard --logdir logs_and_checkpoints` shows all runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, final

from pkgs.training.trackers.config import TrackerConfig
from pkgs.training.trackers.tracker import Outcome, TrackedRun

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FLUSH_EVERY_S = 10


@final
class TensorBoard:
    """Writes `tensorboard/` with the writer that comes with torch."""

    def __init__(self, _config: TrackerConfig) -> None:
        self._writer: SummaryWriter | None = None

    def start(self, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an extra

        # after a resume the viewer hides what the earlier attempt wrote for steps that come again
        purge = run.first_step + 1 if run.first_step else None
        folder = str(run.folder / "tensorboard")
        self._writer = SummaryWriter(folder, purge_step=purge, flush_secs=FLUSH_EVERY_S)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        assert self._writer is not None
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def finish(self, _outcome: Outcome) -> None:
        assert self._writer is not None
        self._writer.close()
