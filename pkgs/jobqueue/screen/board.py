"""The live board: jobs with progress and ETA, devices with who is on them, the last events. For terminals.

How much of it fits is decided here; what a running job shows stands in board_words.py.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from heapq import nsmallest
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, final

from rich.console import Console, Group, RenderableType
from rich.live import Live as Display
from rich.table import Table
from rich.text import Text

from pkgs.jobqueue.manager.book import progress_of
from pkgs.jobqueue.manager.messages import message_of, reasons_of_ready
from pkgs.jobqueue.manager.starts import snapshot_of
from pkgs.jobqueue.screen.board_words import (
    device_words,
    devices_in_a_line,
    middle_cut,
    running_words,
    slot_words,
)
from pkgs.jobqueue.screen.screen import farewell, moment, summary

if TYPE_CHECKING:
    from pkgs.jobqueue.manager.book import Entry
    from pkgs.jobqueue.manager.engine import Engine
    from pkgs.jobqueue.manager.live import Live

log = logging.getLogger(__name__)

BUSY_PAUSE_S: Final = 0.5
IDLE_PAUSE_S: Final = 5.0
"""Between two pictures when nothing runs: an idle queue must not cost a core."""
DRAW_SHARE: Final = 50
"""Drawing takes at most this fraction of a core."""
SMALL: Final = 20
"""A terminal with fewer lines gets no empty ones."""
CELL: Final = 38
"""Columns that a device needs; what is wider holds several side by side."""
MOST_AT_THE_END: Final = 60
"""Rows of the picture that stays when the manager ends."""
STATUS_WIDTH: Final = 9
COLOURS: Final = {
    "running": "cyan", "completed": "green", "failed": "bold red", "hold": "yellow", "cancelled": "magenta",
    "cancel": "magenta", "open": "default", "refused": "bold red",
}  # fmt: skip
URGENCY: Final = ("running", "failed", "cancel", "hold", "open", "cancelled", "completed")


@final
class Board:
    """Draws the whole queue at most twice a second, at the size that the terminal has at that moment."""

    def __init__(self, engine: Engine, *, console: Console | None = None) -> None:
        self.engine = engine
        if console is None and hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # an ASCII terminal shows `?`, it does not end the queue
        # COLUMNS and LINES, where a shell exports them, are the size that the terminal had once.
        environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.console = console or Console(_environ=environ)
        self._display = Display(
            console=self.console, auto_refresh=False, screen=False, vertical_overflow="crop", transient=True
        )
        self._next_s = 0.0
        self._size = self.console.size

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()

    def show(self, engine: Engine, *, last: bool = False) -> None:
        """Draw, if it is time or the terminal was resized. The last picture stays on the screen."""
        now_s, size = engine.clock.monotonic_s(), self.console.size
        if now_s < self._next_s and size == self._size and not last:
            return
        try:
            if last:
                self._display.stop()
                self.console.print(self.picture(rows=min(MOST_AT_THE_END, len(engine.book.entries) + 14)))
                self.console.print(farewell(engine), highlight=False)
                return
            if size != self._size:
                self._size = size
                self.console.clear()  # a terminal folds the old picture's lines anew: it cannot be drawn over
            self._display.update(self.picture(rows=size.height - 1), refresh=True)
        except OSError as error:  # the terminal has gone; SIGHUP tells the manager if it is to end
            log.info("board not shown error=%s", error)
        took_s = engine.clock.monotonic_s() - now_s
        pause_s = BUSY_PAUSE_S if engine.live else IDLE_PAUSE_S
        self._next_s = now_s + max(pause_s, DRAW_SHARE * took_s)

    def picture(self, *, rows: int) -> Group:
        """Return the board for a terminal of so many lines."""
        width, gap = self.console.size.width, [Text("")] if rows >= SMALL else []
        above = [*self._headlines(width), *self._notices()]
        events = self._events(max(1, min(6, rows // 6)))
        devices = self._devices(width, most=max(1, rows // 3))
        used = len(above) + len(events) + len(devices) + 2 * len(gap) + 1
        below: list[RenderableType] = [*gap, *devices, *gap, *events]
        return Group(*above, self._jobs(max(2, rows - used), width), *below)

    def _headlines(self, width: int) -> list[Text]:
        """Return how the queue stands and when it will be done: in one line if it is wide enough."""
        words, eta = summary(self.engine), self.engine.eta_words
        lines = [f"{words}; {eta}"] if eta and len(words) + len(eta) + 2 <= width else [words, eta]
        return [_line(line, "bold") for line in lines if line]

    def _notices(self) -> list[Text]:
        desk = self.engine.desk
        machine = desk.inventory.problem or "".join(desk.notices[-1:])
        said = [self.engine.paused, self.engine.table_problem, machine]
        return [_line(text, "yellow") for text in said if text]

    def _events(self, most: int) -> list[Text]:
        newest = list(self.engine.events)[-most:]
        return [_line(f"{moment(event.at_unix_s)} {event.text}", "dim") for event in newest]

    def _devices(self, width: int, *, most: int) -> list[Text]:
        """Return the devices, side by side where there is room, and the CPU slots."""
        engine = self.engine
        slots = _line(slot_words(engine))
        if not engine.desk.rooms:
            return [slots]
        cells = [device_words(engine, room) for room in engine.desk.rooms]
        columns = 1 if len(cells) <= 2 else max(1, min(len(cells), width // CELL))
        if -(-len(cells) // columns) > most:
            return [_line(devices_in_a_line(engine)), slots]
        wide = width // columns - 2
        padded = [f"{cell[: wide - 1]}…" if len(cell) > wide else cell.ljust(wide) for cell in cells]
        rows = range(0, len(cells), columns)
        return [*(_line("  ".join(padded[row : row + columns])) for row in rows), slots]

    def _jobs(self, room: int, width: int) -> Table:
        shown, hidden = self._chosen(room)
        progress = {entry.id: progress_of(entry) for entry in shown}
        more = f"... {hidden:,} more" if hidden else ""
        longest = max((len(entry.id) for entry in shown), default=3)
        name_width = max(len(more), min(longest, max(12, 3 * width // 10)))
        ended_width = max(len("ended"), *map(len, progress.values())) if progress else len("ended")
        now_width = max(10, width - name_width - STATUS_WIDTH - ended_width - 6)
        table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
        table.add_column("job", no_wrap=True, width=name_width)
        table.add_column("status", no_wrap=True, width=STATUS_WIDTH)
        table.add_column("ended", no_wrap=True, width=ended_width)
        table.add_column("now", no_wrap=True, overflow="ellipsis", width=now_width)
        lives, waits = self._lives_by_job(), self._reasons(shown)
        for entry in shown:
            status = self.engine.book.status(entry)
            if self.engine.book.problem_of(entry):
                status = "refused"
            here = lives.get(entry.id)
            now = running_words(self.engine, here, now_width) if here else message_of(self.engine, entry)
            if not here and status == "open":
                now = waits.get(entry.id, now)
            name = Text(middle_cut(entry.id, name_width))
            table.add_row(name, Text(status, style=COLOURS[status]), progress[entry.id], Text(now))
        if more:
            table.add_row(Text(more, style="dim"))
        return table

    def _reasons(self, shown: Sequence[Entry]) -> dict[str, str]:
        """Return why waiting jobs among the shown ones wait for devices."""
        if not len(self.engine.book.ready):
            return {}
        return reasons_of_ready(self.engine, snapshot_of(self.engine), most=4 * len(shown))

    def _chosen(self, room: int) -> tuple[list[Entry], int]:
        """Return the rows that fit: in the table's order if all do, the urgent ones otherwise."""
        entries = [entry for entry in self.engine.book.entries.values() if not entry.removed]
        chosen = entries
        if len(entries) > room:
            rank, book = {status: place for place, status in enumerate(URGENCY)}, self.engine.book
            chosen = nsmallest(room - 1, entries, key=lambda entry: (rank[book.status(entry)], entry.row))
        return sorted(chosen, key=lambda entry: entry.row), len(entries) - len(chosen)

    def _lives_by_job(self) -> dict[str, list[Live]]:
        found: dict[str, list[Live]] = {}
        for live in self.engine.live.values():
            if not live.ended:
                found.setdefault(live.attempt.key.job, []).append(live)
        return found


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
