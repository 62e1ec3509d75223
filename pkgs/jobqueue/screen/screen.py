"""What `run` shows: a live board in a terminal, one line per event elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, final

if TYPE_CHECKING:
    from pkgs.jobqueue.manager.engine import Engine
    from pkgs.jobqueue.state.records import Event


log = logging.getLogger(__name__)


class Screen(Protocol):
    """Shown after each turn."""

    def show(self, engine: Engine, *, last: bool = False) -> None:
        """Show what is new; `last` is the final time."""


@contextmanager
def choose_screen(engine: Engine, *, plain: bool) -> Iterator[Screen]:
    """Yield the board for a terminal, else lines: `| tee` and log files get no escape codes."""
    if plain or not sys.stdout.isatty():
        yield Lines()
        return
    from pkgs.jobqueue.screen.board import Board  # noqa: PLC0415 - rich is for terminals only

    with Board(engine) as board:
        yield board


@final
class Lines:
    """One line per event."""

    def __init__(self) -> None:
        self._last: Event | None = None
        self._notices = 0

    def show(self, engine: Engine, *, last: bool = False) -> None:
        """Print the events since the last turn."""
        for notice in engine.desk.notices[self._notices :]:
            self._print(notice)
        self._notices = len(engine.desk.notices)
        for event in events_after(engine, self._last):
            self._print(f"{moment(event.at_unix_s)} {event.kind:<10} {event.text}")
        if engine.events:
            self._last = engine.events[-1]
        if last:
            self._print(farewell(engine))

    def _print(self, line: str) -> None:
        try:
            print(line, flush=True)  # noqa: T201 - this is the screen
        except OSError as error:  # a full disk, or a `| head` that has gone: the queue goes on without
            log.info("line not shown error=%s line=%s", error, line)


def events_after(engine: Engine, last: Event | None) -> list[Event]:
    """Return the events since `last`, which is recognised by identity; all when it has scrolled away."""
    fresh: list[Event] = []
    for event in reversed(engine.events):
        if event is last:
            break
        fresh.append(event)
    return fresh[::-1]


def moment(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s).astimezone().strftime("%H:%M:%S")


def summary(engine: Engine) -> str:
    """Return how the queue stands, in one line."""
    counts = engine.book.status_counts()
    words = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return words or "no jobs"


def farewell(engine: Engine) -> str:
    """Return how the queue stands when the manager leaves it."""
    left = sum(not live.ended for live in engine.live.values())
    go_on = f"; {left} run{'s go' if left != 1 else ' goes'} on without the manager" if left else ""
    return f"{summary(engine)}{go_on}"
