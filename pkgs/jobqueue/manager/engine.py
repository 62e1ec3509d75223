"""The parts that the manager's steps share, and the one way to change state: commit, then tell the book.

Each step is a module of functions over an Engine: ends.py, stops.py, table_news.py, starts.py, write_back.py.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pkgs.jobqueue.devices.usage import OurRun
from pkgs.jobqueue.manager.book import Book, expected_duration_s
from pkgs.jobqueue.manager.live import Live
from pkgs.jobqueue.manager.telemetry import families, read_usage
from pkgs.jobqueue.state.records import Attempt, Event, JobRecord, Run

if TYPE_CHECKING:
    from pkgs.jobqueue.attempts.processes import Host
    from pkgs.jobqueue.manager.clock import Clock
    from pkgs.jobqueue.manager.gpu_desk import GpuDesk
    from pkgs.jobqueue.manager.launch import Launcher
    from pkgs.jobqueue.manager.notify import Notifier
    from pkgs.jobqueue.manager.settings import Settings
    from pkgs.jobqueue.schedule.plan import Plan
    from pkgs.jobqueue.state.state import State
    from pkgs.jobqueue.table.jobs_file import JobsFile

EVENTS_ON_SCREEN = 200


@dataclass(slots=True)
class Engine:
    """Everything that lives as long as the manager."""

    root: Path
    settings: Settings
    clock: Clock
    host: Host
    state: State
    open_table: Callable[[], JobsFile]
    desk: GpuDesk
    launcher: Launcher
    notifier: Notifier
    cpu_slots: int
    jobs_file: JobsFile = field(init=False)
    book: Book = field(default_factory=Book)
    live: dict[str, Live] = field(default_factory=dict)
    """By attempt id; also attempts whose command has ended and whose leftovers are being ended."""
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=EVENTS_ON_SCREEN))
    plan: Plan | None = None
    """Of the last turn, for `why` and the screen."""
    paused: str | None = None
    """Why nothing new starts at all."""
    table_problem: str | None = None
    """Why the table is not read; the last good version is in force."""
    changes: int = 0
    """How often something was taken over; tells whether anything is new to show."""
    eta_words: str = ""
    """When the queue will be done, for the screen."""
    looked: bool = False
    """Whether the devices were judged since the last change of who holds them."""

    def __post_init__(self) -> None:
        self.jobs_file = self.open_table()

    def read_table_anew(self) -> None:
        """Forget what was read of Jobs.csv and not saved: the next look compares it with the state again."""
        self.jobs_file = self.open_table()

    def commit(
        self,
        *,
        jobs: Sequence[JobRecord] = (),
        runs: Sequence[Run] = (),
        attempts: Iterable[Attempt] = (),
        events: Sequence[Event] = (),
    ) -> None:
        """Make one transition durable, then take it over in memory.

        Raises:
            sqlite3.OperationalError: If it cannot be made durable; then nothing has changed.
        """
        with self.state.transaction():
            self.save(jobs=jobs, runs=runs, attempts=attempts, events=events)
        self.take_over(jobs=jobs, runs=runs, events=events)

    def save(
        self,
        *,
        jobs: Iterable[JobRecord] = (),
        runs: Iterable[Run] = (),
        attempts: Iterable[Attempt] = (),
        events: Iterable[Event] = (),
    ) -> None:
        """Write one transition into the transaction that the caller has begun."""
        self.state.save_jobs(jobs)
        self.state.save_runs(runs)
        self.state.save_attempts(attempts)
        for event in events:
            self.state.note(event)

    def take_over(
        self, *, jobs: Iterable[JobRecord] = (), runs: Iterable[Run] = (), events: Iterable[Event] = ()
    ) -> None:
        """Let the book know what has become durable."""
        self.changes += 1
        for job in jobs:
            entry = self.book.entries.get(job.id)
            if entry is not None:
                entry.record = job
        self.book.note_changed(job.id for job in jobs)
        self.book.set_runs(runs, now_unix_s=self.clock.unix_s())
        self.events.extend(events)

    def say(self, kind: str, text: str, *, job: str = "", run: str = "", attempt: str = "") -> Event:
        """Return an event of this moment."""
        return Event(self.clock.unix_s(), kind, text, job, run, attempt)

    def cpu_slots_free(self) -> int:
        """Return the slots that no command uses; what an ended command left behind does not count."""
        return self.cpu_slots - sum(live.attempt.cpu_slots for live in self.live.values() if not live.ended)

    def ours(self) -> dict[str, int]:
        """Return by UUID how many attempts of ours hold a device."""
        counts: dict[str, int] = {}
        for live in self.live.values():
            for uuid in live.attempt.devices:
                counts[uuid] = counts.get(uuid, 0) + 1
        return counts

    def expected_end_unix_s(self, live: Live) -> float | None:
        """Return when the attempt will probably end, by the durations seen so far."""
        entry = self.book.entries.get(live.attempt.key.job)
        expected_s = None if entry is None else expected_duration_s(entry.record)
        if expected_s is None:
            return None
        left_s = max(0.0, expected_s - live.elapsed_s(self.clock.monotonic_s()))
        return self.clock.unix_s() + left_s

    def busy_until(self) -> dict[str, float | None]:
        """Return by UUID when the last of our runs there will probably end; None where one is unknown."""
        until: dict[str, float | None] = {}
        for live in self.live.values():
            end = self.expected_end_unix_s(live)
            for uuid in live.attempt.devices:
                known = until.get(uuid, 0.0)
                until[uuid] = None if end is None or known is None else max(known, end)
        return until

    def look_at_devices(self) -> None:
        """Judge the devices anew if somebody came or went."""
        if self.looked:
            return
        self.looked = True
        our: dict[str, list[OurRun]] = {}
        holders = [live for live in self.live.values() if live.attempt.devices]
        pids = self._pids(holders) if self.desk.inventory.kind == "nvml" else {}
        for live in holders:
            run = OurRun(
                name=str(live.attempt.key),
                pids=pids.get(live.attempt.id, frozenset()),
                reserved_mib=live.attempt.reserve_mib,
            )
            for uuid in live.attempt.devices:
                our.setdefault(uuid, []).append(run)
        self.desk.look(self.clock.monotonic_s(), our)

    def _pids(self, holders: Sequence[Live]) -> dict[str, frozenset[int]]:
        table = read_usage()
        roots = {live.attempt.id: live.identity.pid for live in holders if live.identity is not None}
        found = families(table, roots.values())
        return {attempt: found[pid] for attempt, pid in roots.items()}

    def free_disk_mib(self) -> int:
        facts = os.statvfs(self.root)
        return facts.f_bavail * facts.f_frsize // 2**20
