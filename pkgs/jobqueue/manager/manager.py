"""The manager: one loop of named steps. Ends of runs wake it at once.

Tables, devices and telemetry at their pace.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, final

from pkgs.jobqueue.manager.ends import take_in_ends
from pkgs.jobqueue.manager.sampling import Sampling
from pkgs.jobqueue.manager.starts import start_what_can
from pkgs.jobqueue.manager.stops import stop_what_must_stop
from pkgs.jobqueue.manager.table_news import carry_out_orders, carry_out_reruns, note_code, take_in_table
from pkgs.jobqueue.manager.write_back import WriteBack
from pkgs.jobqueue.state.state import StateError
from pkgs.jobqueue.state.state_check import is_corrupt

if TYPE_CHECKING:
    from types import FrameType

    from pkgs.jobqueue.manager.engine import Engine

log = logging.getLogger(__name__)

DEFAULT_POLL_S: Final = 0.25
"""An edit of Jobs.csv has effect within a second; a look at an unchanged file costs one stat."""
LOOK_AT_ALL_S: Final = 1.0
"""A command may end while what it left behind keeps its shim, and so the pidfd, alive."""


@final
class Manager:
    """Runs the loop until told to stop, or until nothing is left to do."""

    def __init__(self, engine: Engine, *, poll_s: float = DEFAULT_POLL_S) -> None:
        self.engine = engine
        self.poll_s = poll_s
        self.sampling = Sampling()
        self.write_back = WriteBack()
        self.stop_signal: int | None = None
        self._problem: str | None = None
        """What the last turn could not write, and so did not finish."""
        self._next_look_s = 0.0
        self._waking: int | None = None

    def turn(self) -> None:
        """One turn of the queue. Order matters: what ended frees devices before they are handed out."""
        engine = self.engine
        try:
            take_in_ends(engine, look_at_all=self._time_to_look())
            engine.book.end_pauses(now_unix_s=engine.clock.unix_s())
            carry_out_orders(engine)
            take_in_table(engine)
            stop_what_must_stop(engine)
            carry_out_reruns(engine)
            self.sampling.devices(engine)
            start_what_can(engine)
            self.sampling.usage(engine)
            note_code(engine)
            self.write_back.table(engine, now=self._is_done())
        except (sqlite3.DatabaseError, OSError) as error:
            if not isinstance(error, sqlite3.OperationalError | OSError):
                self._give_up(error)
                raise
            self._note_problem(error)
        else:
            self._problem = None
        self._show()

    def run(self, *, until_idle: bool, after_turn: Callable[[Engine], None]) -> bool:
        """Turn until stopped by a signal, or until nothing will go on by itself.

        Args:
            until_idle: End when no run is active, ready or pausing.
            after_turn: Called after each turn, for the screen.

        Returns:
            Whether it ended because nothing was left to do.
        """
        with self._signals():
            while self.stop_signal is None:
                self.turn()
                after_turn(self.engine)
                if until_idle and self.is_idle():
                    return True
                self.wait()
        return False

    def is_idle(self) -> bool:
        """Tell whether nothing will go on by itself, and the table shows it."""
        shown = not self.engine.book.changed or self.write_back.hopeless
        return self._problem is None and self._is_done() and shown

    def _is_done(self) -> bool:
        """Tell whether no run will go on by itself, also not after the next look at the table."""
        engine = self.engine
        settled = engine.table_problem is None and engine.jobs_file.file.settled
        return settled and not engine.live and engine.book.is_idle()

    def finish(self) -> None:
        """Leave everything as the next manager wants to find it. The jobs go on."""
        try:
            self.write_back.table(self.engine, now=True)
            self.write_back.live_file(self.engine, running=False)
        except (sqlite3.OperationalError, OSError) as error:
            log.warning("last write failed error=%s", error)
        self.engine.desk.source.close()
        self.engine.state.close()

    def wait(self) -> None:
        """Sleep until an attempt ends, a signal comes, or something is due.

        An end that was seen and could not be noted is not waited for again: it would be there at once.
        """
        engine = self.engine
        poller = select.poll()
        watched = [live for live in engine.live.values() if not live.look]
        by_descriptor = {live.pidfd: live for live in watched if live.pidfd is not None}
        for descriptor in by_descriptor:
            poller.register(descriptor, select.POLLIN)
        if self._waking is not None:
            poller.register(self._waking, select.POLLIN)
        for descriptor, _ in poller.poll(max(1, int(1000 * self._pause_s()))):
            if descriptor == self._waking:
                os.read(descriptor, 4096)
            else:
                by_descriptor[descriptor].look = True

    def _pause_s(self) -> float:
        """Return how long nothing can be due."""
        due = self.engine.book.next_pause_unix_s
        until_due = self.poll_s if due is None else due - self.engine.clock.unix_s()
        return min(self.poll_s, max(0.0, until_due))

    def _time_to_look(self) -> bool:
        now_s = self.engine.clock.monotonic_s()
        if now_s < self._next_look_s:
            return False
        self._next_look_s = now_s + LOOK_AT_ALL_S
        return True

    def _note_problem(self, error: Exception) -> None:
        """Start nothing while something cannot be written; running runs are watched all the same."""
        what = self.engine.state.path if isinstance(error, sqlite3.Error) else self.engine.root
        sentence = f"{what} cannot be written ({error}): nothing new starts until it can"
        self.engine.paused = sentence
        if self._problem != sentence:
            self._problem = sentence
            self.engine.events.append(self.engine.say("paused", sentence))
            log.error("turn not finished", exc_info=error)

    def _give_up(self, error: sqlite3.DatabaseError) -> None:
        """Say what a state that has become unreadable means; anything else is a mistake of ours."""
        if is_corrupt(error):
            raise StateError(
                f"{self.engine.state.path} has become unreadable ({error}). The jobs go on; start the "
                "manager again: it sets the file aside and takes what has run from the run folders."
            ) from error

    def _show(self) -> None:
        """Keep live.json and the notifications going; neither may hurt the queue."""
        try:
            self.write_back.live_file(self.engine)
        except OSError as error:
            log.warning("live.json cannot be written error=%s", error)
        self.engine.notifier.tend(self.engine.clock.monotonic_s())

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C, SIGTERM and a lost terminal end the manager between two turns, never the jobs."""
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._waking = reading
        previous_wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        previous = {number: signal.signal(number, self._note_signal) for number in wanted}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(previous_wakeup)
            os.close(reading)
            os.close(writing)
            self._waking = None

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        self.stop_signal = number
