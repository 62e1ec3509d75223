"""The last step of a turn: what Jobs.csv and live.json show, and who is told.

Written only when something changed.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pkgs.jobqueue.manager.book import progress_of, status_of
from pkgs.jobqueue.manager.forecast import forecast
from pkgs.jobqueue.manager.messages import message_of, reasons_of_ready
from pkgs.jobqueue.manager.starts import snapshot_of
from pkgs.jobqueue.table.jobs_file import ManagerCells
from pkgs.jobqueue.table.table_file import TableFileError

if TYPE_CHECKING:
    from pkgs.jobqueue.manager.engine import Engine

log = logging.getLogger(__name__)

TABLE_PAUSE_S: Final = 0.5
"""Between two writes of Jobs.csv: an editor asks its user at each of them whether to load the file again."""
TABLE_SHARE: Final = 20
"""A write of a large table takes time; at least twenty times as long goes by until the next."""
RETRY_PAUSE_S: Final = 2.0
"""Between two tries while the table cannot be written; each reads it anew."""
MAY_PASS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
)
LOCKED_S: Final = 1.5
"""Only somebody who holds the lock makes a write take so long and come to nothing."""
LIVE_PAUSE_S: Final = 1.0
LIVE_REST_S: Final = 4.0
"""So much longer where no run came or went: forecasts and device readings age slowly."""
REASONS: Final = 200
"""Jobs whose reason to wait is kept for `why`; those behind them wait for their turn."""


@dataclass(slots=True)
class WriteBack:
    """Remembers what was shown last."""

    shown: dict[str, ManagerCells] = field(default_factory=dict)
    next_table_s: float = 0.0
    next_live_s: float = 0.0
    live: str = ""
    seen: int = -1
    """`Engine.changes` when live.json was last written."""
    problem: str | None = None
    """Why Jobs.csv could not be written."""
    hopeless: bool = False
    """That will not pass by itself, as a full disk may."""

    def table(self, engine: Engine, *, now: bool = False) -> None:
        """Write changed cells of the manager's columns; `now` ignores the pause between writes."""
        hasty = now and self.problem is None
        if not engine.book.changed or (engine.clock.monotonic_s() < self.next_table_s and not hasty):
            return
        began_s = engine.clock.monotonic_s()
        wanted: dict[str, ManagerCells] = {}
        for job in engine.book.changed:
            entry = engine.book.entries.get(job)
            if entry is None or entry.removed:
                continue
            cells = ManagerCells(
                status=status_of(entry).value, progress=progress_of(entry), message=message_of(engine, entry)
            )
            if self.shown.get(job) != cells:
                wanted[job] = cells
        if not wanted or self._write(engine, wanted):
            self._tell(engine, wanted)
            self.shown.update(wanted)
            engine.book.changed.clear()
        took_s = engine.clock.monotonic_s() - began_s
        pause_s = TABLE_PAUSE_S if self.problem is None else RETRY_PAUSE_S
        self.next_table_s = began_s + max(pause_s, TABLE_SHARE * took_s)

    def _write(self, engine: Engine, wanted: dict[str, ManagerCells]) -> bool:
        """Return whether the table shows `wanted` now; if not, it is to be tried again."""
        began_s = engine.clock.monotonic_s()
        try:
            written = engine.jobs_file.write_back(wanted)
        except sqlite3.OperationalError:
            engine.read_table_anew()
            raise
        except (OSError, TableFileError) as error:
            engine.read_table_anew()
            self._note_problem(engine, error)
            return False
        if not written:
            locked = engine.clock.monotonic_s() - began_s >= LOCKED_S
            return engine.jobs_file.file.settled and not locked
        self.problem, self.hopeless = None, False
        return True

    def _note_problem(self, engine: Engine, error: Exception) -> None:
        problem = f"{engine.jobs_file.file.name} cannot be written ({error}): what it shows is out of date"
        self.hopeless = not (isinstance(error, OSError) and error.errno in MAY_PASS)
        if problem != self.problem:
            self.problem = problem
            engine.events.append(engine.say("table", problem))
            log.error("table cannot be written error=%s", error)

    def live_file(self, engine: Engine, *, running: bool = True) -> None:
        """Replace queue/live.json: what only a running manager knows, for `status` and `why`."""
        now_s = engine.clock.monotonic_s()
        nothing_new = self.seen == engine.changes and now_s < self.next_live_s + LIVE_REST_S
        if (now_s < self.next_live_s or nothing_new) and running:
            return
        began_s, self.seen = now_s, engine.changes
        coming = forecast(engine)
        engine.eta_words = str(coming["eta"])
        facts = {
            "pid": os.getpid() if running else None,
            "devices": device_facts(engine),
            "cpu_slots": {"all": engine.cpu_slots, "free": engine.cpu_slots_free()},
            "paused": engine.paused,
            "table_problem": engine.table_problem,
            "notices": engine.desk.notices[-5:],
            "why": reasons_of_ready(engine, snapshot_of(engine), most=REASONS),
            **coming,
        }
        text = json.dumps(facts)
        if text != self.live:
            path = engine.state.path.with_name("live.json")
            draft = path.with_name(".live.json.draft")
            draft.write_text(text)
            draft.replace(path)  # not synced: it is stale after a power cut anyway
            self.live = text
        took_s = engine.clock.monotonic_s() - began_s
        self.next_live_s = began_s + max(LIVE_PAUSE_S, TABLE_SHARE * took_s)

    def _tell(self, engine: Engine, wanted: dict[str, ManagerCells]) -> None:
        for job, cells in wanted.items():
            shown = self.shown.get(job)
            before = engine.book.entries[job].first_shown if shown is None else shown.status
            if before != cells.status:
                engine.notifier.send(job=job, status=cells.status, message=cells.message)


def device_facts(engine: Engine) -> list[dict[str, object]]:
    """Return each device as `status --json` prints it."""
    readings = {reading.uuid: reading for reading in engine.desk.inventory.readings}
    facts: list[dict[str, object]] = []
    for room in engine.desk.rooms:
        reading = readings.get(room.uuid)
        holders = [
            str(live.attempt.key) for live in engine.live.values() if room.uuid in live.attempt.devices
        ]
        facts.append(
            {
                "uuid": room.uuid,
                "index": room.index,
                "name": room.name,
                "state": room.state.value,
                "why": room.why,
                "runs": holders,
                "total_mib": room.total_mib,
                "used_mib": reading.used_mib if reading else None,
                "util_percent": reading.util_percent if reading else None,
                "power_w": reading.power_w if reading else None,
                "temperature_c": reading.temperature_c if reading else None,
            }
        )
    return facts
