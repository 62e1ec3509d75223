"""Telling that the run lives: progress.json for the queue, a bar or now and then a line for people."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, final

from pkgs.foundation.progress import Progress, write_progress
from pkgs.foundation.run_folder import RunFolder

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

FILE_EVERY_S: Final = 1.0
"""progress.json is replaced at most this often."""
LINE_EVERY_S: Final = 10.0
"""Without a terminal a line is printed at most this often."""
BAR_EVERY_S: Final = 0.1
"""The bar moves at most this often."""


@final
class Heartbeat:
    """Shows how far the run is. Use as a context: the bar ends with it.

    Args:
        folder: Of the run.
        title: What people call it.
        steps: How many there will be.
        quiet: Neither writes nor speaks: all processes of a run but the first.
    """

    def __init__(self, folder: RunFolder, *, title: str, steps: int = 0, quiet: bool = False) -> None:
        self.folder = folder
        self.steps = steps
        self.title = title
        self.step = self.epoch = 0
        self.metrics: dict[str, float] = {}
        self.seconds_per_step: float | None = None
        self.quiet = quiet
        self._file_at = self._line_at = self._bar_at = float("-inf")
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        if sys.stdout.isatty() and not self.quiet:
            from rich import progress  # noqa: PLC0415 - only where somebody looks

            columns = (
                progress.TextColumn("{task.description}"),
                progress.BarColumn(bar_width=10),
                progress.MofNCompleteColumn(),
            )
            self._bar = progress.Progress(
                *columns, progress.TimeRemainingColumn(), progress.TextColumn("{task.fields[metrics]}")
            )
            self._bar.add_task(self.title, total=self.steps, completed=self.step, metrics="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.beat(final=True)
        if self._bar is not None:
            self._bar.stop()

    def moved(self, step: int, *, epoch: int, seconds: float | None = None) -> None:
        """Note that `step` steps are done, the last one in `seconds`."""
        self.step, self.epoch = step, epoch
        if seconds is not None:
            old = self.seconds_per_step
            self.seconds_per_step = seconds if old is None else 0.95 * old + 0.05 * seconds
        self.beat()

    def measured(self, metrics: Mapping[str, float]) -> None:
        """Note the newest values of what is measured."""
        self.metrics.update(metrics)
        self.beat()

    def beat(self, *, final: bool = False) -> None:
        """Refresh file and screen if it is time, or if this is the last time."""
        if self.quiet:
            return
        now = time.monotonic()
        if final or now - self._file_at >= FILE_EVERY_S:
            self._file_at = now
            write_progress(self.folder, self._progress())
        if self._bar is not None and (final or now - self._bar_at >= BAR_EVERY_S):
            self._bar_at = now
            self._bar.update(self._bar.task_ids[0], completed=self.step, metrics=self._told())
        elif self._bar is None and self.steps and (final or now - self._line_at >= LINE_EVERY_S):
            self._line_at = now
            self.say(f"{self.title}: step {self.step} of {self.steps}  {self._told()}".rstrip())

    def say(self, sentence: str) -> None:
        """Print one line, above the bar where there is one."""
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.console.print(sentence, highlight=False, markup=False)
        else:
            sys.stdout.write(sentence + "\n")
            sys.stdout.flush()

    def _progress(self) -> Progress:
        pace = self.seconds_per_step
        eta = None if pace is None else time.time() + pace * (self.steps - self.step)
        return Progress(self.step, self.steps, self.epoch, pace, eta, dict(self.metrics))

    def _told(self) -> str:
        return "  ".join(f"{name} {value:.3g}" for name, value in self.metrics.items())
