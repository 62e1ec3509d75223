"""The live board: jobs with progress and ETA, devices with who is on them, the last events. For terminals."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, final

from rich.console import Console, Group
from rich.live import Live as Display
from rich.table import Table
from rich.text import Text

from pkgs.foundation.progress import read_progress
from pkgs.foundation.run_folder import RunFolder
from pkgs.jobqueue.book import progress_of, status_of
from pkgs.jobqueue.messages import message_of
from pkgs.jobqueue.overview import clock_time
from pkgs.jobqueue.screen import moment, summary

if TYPE_CHECKING:
    from pkgs.jobqueue.book import Entry
    from pkgs.jobqueue.engine import Engine
    from pkgs.jobqueue.live import Live

BUSY_PAUSE_S: Final = 0.5
IDLE_PAUSE_S: Final = 5.0
"""Between two pictures when nothing runs: an idle queue must not cost a core."""
DRAW_SHARE: Final = 50
"""Drawing takes at most this fraction of a core."""
COLOURS: Final = {
    "running": "cyan", "completed": "green", "failed": "bold red", "hold": "yellow", "cancelled": "magenta",
    "cancel": "magenta", "open": "default",
}  # fmt: skip
URGENCY: Final = ("running", "failed", "cancel", "hold", "open", "cancelled", "completed")


@final
class Board:
    """Draws the whole queue at most twice a second, at the size that the terminal has at that moment."""

    def __init__(self, engine: Engine, *, console: Console | None = None) -> None:
        self.engine = engine
        self.console = console or Console()
        self._display = Display(
            console=self.console, auto_refresh=False, screen=False, vertical_overflow="crop", transient=True
        )
        self._next_s = 0.0
        self._pause_s = BUSY_PAUSE_S

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()

    def show(self, engine: Engine, *, last: bool = False) -> None:
        """Draw, if it is time. The last picture stays on the screen."""
        now_s = engine.clock.monotonic_s()
        if last:
            self._display.stop()
            self.console.print(self.picture(rows=max(12, len(engine.book.entries) + 12)))
            return
        if now_s < self._next_s:
            return
        self._display.update(self.picture(rows=self.console.size.height - 1), refresh=True)
        took_s = engine.clock.monotonic_s() - now_s
        pause_s = BUSY_PAUSE_S if engine.live else IDLE_PAUSE_S
        self._next_s = now_s + max(pause_s, DRAW_SHARE * took_s)

    def picture(self, *, rows: int) -> Group:
        """Return the board for a terminal of so many lines."""
        engine = self.engine
        devices = self._devices()
        events = list(engine.events)[-max(2, min(6, rows // 5)) :]
        notices = [Text(text, style="yellow", overflow="fold") for text in self._notices()]
        room = max(3, rows - len(devices) - len(events) - 2 * len(notices) - 5)
        header = Text(self._headline(), style="bold", no_wrap=True, overflow="ellipsis")
        lines: list[Text | Table] = [header, *notices, self._jobs(room), Text(""), *devices]
        if events:
            lines.append(Text(""))
        for event in events:
            line = f"{moment(event.at_unix_s)} {event.text}"
            lines.append(Text(line, style="dim", no_wrap=True, overflow="ellipsis"))
        return Group(*lines)

    def _headline(self) -> str:
        words = summary(self.engine)
        eta = self.engine.eta_words
        return f"{words}; {eta}" if eta else words

    def _notices(self) -> list[str]:
        said = [self.engine.paused, self.engine.table_problem, *self.engine.desk.notices[-1:]]
        return [text for text in said if text]

    def _jobs(self, room: int) -> Table:
        table = Table(box=None, padding=(0, 1), expand=True, show_edge=False)
        table.add_column("job", no_wrap=True, overflow="ellipsis", ratio=3)
        table.add_column("status", no_wrap=True, width=9)
        table.add_column("ended", no_wrap=True, justify="right", width=9)
        table.add_column("now", no_wrap=True, overflow="ellipsis", ratio=4)
        shown, hidden = self._chosen(room)
        lives = self._lives_by_job()
        for entry in shown:
            status = status_of(entry).value
            colour = COLOURS.get(status, "default")
            if self.engine.book.problem_of(entry):
                status, colour = "refused", "bold red"
            now = self._now(entry, lives.get(entry.id, []))
            table.add_row(entry.id, Text(status, style=colour), progress_of(entry), now)
        if hidden:
            table.add_row(f"... {hidden} more", "", "", "`status` shows all that matters now")
        return table

    def _chosen(self, room: int) -> tuple[list[Entry], int]:
        """Return the rows that fit: in the table's order if all do, the urgent ones otherwise."""
        entries = [entry for entry in self.engine.book.entries.values() if not entry.removed]
        entries.sort(key=lambda entry: entry.row)
        if len(entries) <= room:
            return entries, 0
        rank = {status: place for place, status in enumerate(URGENCY)}
        urgent = sorted(entries, key=lambda entry: rank[self.engine.book.status(entry)])
        chosen = sorted(urgent[: room - 1], key=lambda entry: entry.row)
        return chosen, len(entries) - len(chosen)

    def _lives_by_job(self) -> dict[str, list[Live]]:
        found: dict[str, list[Live]] = {}
        for live in self.engine.live.values():
            if not live.ended:
                found.setdefault(live.attempt.key.job, []).append(live)
        return found

    def _now(self, entry: Entry, lives: list[Live]) -> str:
        if not lives:
            return message_of(self.engine, entry)
        return "  ".join(self._progress(live) for live in lives[:4])

    def _progress(self, live: Live) -> str:
        key = live.attempt.key
        name = "" if key.seed is None else f"{key.seed}"
        if key.condition is not None:
            name = f"{name}:{key.condition}" if name else key.condition
        progress = read_progress(RunFolder(live.folder.path.parent.parent))
        if progress is None or not progress.steps:
            seconds = live.elapsed_s(self.engine.clock.monotonic_s())
            return f"{name} {int(seconds // 60)}:{int(seconds % 60):02d}".strip()
        until = f" until {clock_time(progress.eta_unix_s)}" if progress.eta_unix_s else ""
        return f"{name} {100 * progress.step // progress.steps}%{until}".strip()

    def _devices(self) -> list[Text]:
        engine = self.engine
        lines = []
        for room in engine.desk.rooms[:16]:
            runs = [
                str(live.attempt.key) for live in engine.live.values() if room.uuid in live.attempt.devices
            ]
            words = ", ".join(runs) or room.why or room.state.value
            lines.append(Text(f"GPU {room.index}  {words}", no_wrap=True, overflow="ellipsis"))
        used = engine.cpu_slots - engine.cpu_slots_free()
        on_cpu = [
            str(live.attempt.key)
            for live in engine.live.values()
            if live.attempt.cpu_slots and not live.ended
        ]
        words = f": {', '.join(on_cpu)}" if on_cpu else ""
        lines.append(
            Text(f"CPU    {used} of {engine.cpu_slots} slots{words}", no_wrap=True, overflow="ellipsis")
        )
        return lines
