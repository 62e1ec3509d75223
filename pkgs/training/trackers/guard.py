"""Between a tracker and the run: a thread, a bounded queue and a deadline, so that no run waits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Final, final

from pkgs.training.trackers.tracker import Outcome, TrackedRun, Tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one call may take, and how much may wait for its turn."""

    call_s: float = 2.0
    start_s: float = 20.0
    """Importing MLflow and making its database takes seconds on a busy machine; nobody waits for it."""
    exit_s: float = 10.0
    """How long the end of a run waits for a tracker that is at work and does not hang."""
    backlog: int = 1000
    """Calls that may wait; a tracker that is further behind is slower than the run and never catches up."""


LIMITS: Final = Limits()
POLL_S: Final = 0.05


@final
class Guard:
    """One tracker at work in a daemon thread. Nothing here raises, and only `finish` waits.

    A tracker that raises, hangs or falls behind is dropped: said once, and never called again.
    """

    def __init__(
        self,
        name: str,
        tracker: Tracker,
        *,
        say: Callable[[str], None],
        limits: Limits = LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.dropped = False
        self._tracker, self._say, self._limits, self._clock = tracker, say, limits, clock
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._running: tuple[float, float] | None = None
        """When the call that runs now began, and how long it may take."""
        self._trouble = ""
        self._started, self._ended = threading.Event(), threading.Event()

    def start(self, run: TrackedRun) -> None:
        """Begin; the tracker is imported and opened in its thread."""
        self._calls.put(partial(self._open, run))
        threading.Thread(target=self._work, name=f"tracker {self.name}", daemon=True).start()

    def wait_until_started(self, seconds: float) -> None:
        """Wait until the tracker is open or has failed, but not longer than this."""
        self._started.wait(seconds)
        self._look()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Hand over values; returns at once."""
        self._look()
        if not self.dropped:
            self._put(partial(self._tracker.scalars, step, dict(values)))

    def finish(self, outcome: Outcome) -> None:
        """Let the tracker end its work, and wait for it as long as it does not hang."""
        self._look()
        if self.dropped:
            return
        self._put(partial(self._tracker.finish, outcome))
        self._calls.put(None)
        latest = self._clock() + self._limits.exit_s
        while not self._ended.wait(POLL_S) and not self.dropped:
            self._look()
            if self._clock() > latest:
                self._drop(f"was not done {self._limits.exit_s:g} s after the end of the run")
        self._look()

    def _put(self, call: Callable[[], None]) -> None:
        self._calls.put(call)
        if self._calls.qsize() > self._limits.backlog:
            self._drop(f"is {self._limits.backlog} calls behind")

    def _look(self) -> None:
        """Drop a tracker that failed or hangs; said here, so that only the run's own thread prints."""
        running = self._running
        if self._trouble:
            self._drop(self._trouble)
        elif running is not None and self._clock() - running[0] > running[1]:
            self._drop(f"did not answer within {running[1]:g} s")

    def _drop(self, why: str) -> None:
        if self.dropped:
            return
        self.dropped = True
        self._say(f"Tracker {self.name} {why}. It is left out from here on; the CSV files have every value.")

    def _open(self, run: TrackedRun) -> None:
        run.folder.mkdir(parents=True, exist_ok=True)
        self._tracker.start(run)

    def _work(self) -> None:
        """Carry out calls one by one, in the tracker's own thread."""
        limit_s = self._limits.start_s
        try:
            while not self.dropped and (call := self._calls.get()) is not None:
                self._running = self._clock(), limit_s
                call()
                self._running = None
                self._started.set()
                limit_s = self._limits.call_s
        except BaseException as error:  # a foreign library: whatever it raises ends here
            log.info("tracker failed name=%s", self.name, exc_info=True)
            self._trouble = _told(error)
        finally:
            self._running = None
            self._started.set()
            self._ended.set()


def _told(error: BaseException) -> str:
    """Return what went wrong as the end of a sentence."""
    if isinstance(error, ModuleNotFoundError):
        return f"is not installed (no module named {error.name!r}); `pip install {error.name}` adds it"
    first, *_ = f"{type(error).__name__}: {error}".splitlines()
    return f"failed with {first[:300].rstrip('.')}"
