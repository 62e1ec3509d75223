"""The manager's view of all jobs and runs in memory: what may start next, and what a row should show.

Decides nothing about devices (plan.py) and writes nothing: state.py keeps the truth, the manager saves there
first and then tells the book.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pkgs.jobqueue.schedule import waiting
from pkgs.jobqueue.schedule.eta import learned_mib
from pkgs.jobqueue.schedule.fanout import Fanout, Order, resolve, set_ranks
from pkgs.jobqueue.schedule.waiting import Candidate
from pkgs.jobqueue.state.records import Active, Cancelled, Completed, Failed, JobRecord, Run, Waiting
from pkgs.jobqueue.vocabulary import Alone, Job, JobStatus, RunKey, Share, Wish

LONGEST_PAUSE_S: Final = 7200.0
"""No retry waits longer."""


@dataclass(slots=True)
class Entry:
    """A row that the queue knows."""

    id: str
    record: JobRecord
    job: Job | None = None
    """None while the row has an error."""
    row: int = 0
    line: int = 0
    refused: str = ""
    """Why the row cannot run: bad cells, a circle, a device that does not exist."""
    doubt: str = ""
    """What the user should write, where his edit could be read in two ways."""
    runs: dict[RunKey, Run] = field(default_factory=dict)
    """Those that are no longer fresh."""
    first_shown: str = JobStatus.OPEN.value
    """The status that the row showed when this manager first read it."""
    listed_unix_s: float = 0.0
    """When the manager first saw the row: rows added later must not starve a large run."""
    removed: bool = False
    """No longer in the table; what still runs may end."""

    def run(self, key: RunKey) -> Run:
        return self.runs.get(key) or Run(key)

    def members(self) -> list[Run]:
        """Return the job's runs in the order of its row; none while the row has an error."""
        return [] if self.job is None else [self.run(key) for key in self.job.runs()]

    def active(self) -> list[Run]:
        """Return what runs now, also runs whose seed was taken out of the row."""
        return [run for run in self.runs.values() if isinstance(run.state, Active)]


class Book:
    """All jobs, their runs, and the list of runs that are ready to start."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.ready = waiting.Waiting()
        self.changed: set[str] = set()
        """Jobs whose row may have to show something else; emptied by the manager when it writes."""
        self.without_digests: set[str] = set()
        """Jobs whose code was not noted yet; done a few at a time."""
        self.to_rerun: set[str] = set()
        """Jobs whose old run folders are still to be set aside."""
        self._statuses: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._unsure: set[str] = set()
        self.lingering: set[RunKey] = set()
        """Runs whose last attempt has left something behind that still ends; they must not start anew yet."""
        self.slices: frozenset[str] = frozenset()
        self.whole_cards = 0
        self.fanout: Fanout = resolve({})
        self._order: Order = set_ranks({})
        self._pauses: list[tuple[float, RunKey]] = []
        self._ready_since: dict[RunKey, float] = {}

    # -- what the manager tells ----------------------------------------------------------------------------

    def set_table(self, refused_lines: Mapping[str, int], *, now_unix_s: float) -> None:
        """Take over the entries' jobs after the table changed: fan-out, order and readiness anew."""
        jobs = {
            entry.id: entry.job
            for entry in sorted(self.entries.values(), key=lambda entry: entry.row)
            if entry.job is not None and not entry.removed
        }
        self.fanout = resolve(jobs, refused_lines)
        self._order = set_ranks(jobs)
        self.rebuild(now_unix_s=now_unix_s)

    def rebuild(self, *, now_unix_s: float) -> None:
        """Look at every run anew, after many of them changed at once."""
        self._pauses.clear()
        found: list[Candidate] = []
        for entry in self.entries.values():
            found.extend(self._candidates(entry, now_unix_s=now_unix_s))
        self.ready = waiting.Waiting(found)

    def set_runs(self, runs: Iterable[Run], *, now_unix_s: float) -> None:
        """Take over runs in a new state, and look again at what waits for them."""
        touched: dict[str, None] = {}
        for run in runs:
            entry = self.entries[run.key.job]
            entry.runs[run.key] = run
            self.ready.discard(run.key)
            self._ready_since.pop(run.key, None)
            touched[entry.id] = None
            touched.update(
                dict.fromkeys(self._waiting_for(entry.id, far=isinstance(run.state, Failed | Cancelled)))
            )
        for job in touched:
            self.refresh(job, now_unix_s=now_unix_s)

    def _waiting_for(self, job: str, *, far: bool) -> list[str]:
        """Return the jobs that wait for this one; with `far` also those that wait for them, and so on."""
        found = dict.fromkeys(self.fanout.children(job))
        todo = list(found) if far else []
        while todo:
            new = [child for child in self.fanout.children(todo.pop()) if child not in found]
            found.update(dict.fromkeys(new))
            todo += new
        return list(found)

    def refresh(self, job: str, *, now_unix_s: float) -> None:
        """Look again at one job's runs: its wish, its parents or its pauses have changed."""
        self.note_changed([job])
        entry = self.entries.get(job)
        if entry is None:
            return
        for run in entry.members():
            self.ready.discard(run.key)
        for candidate in self._candidates(entry, now_unix_s=now_unix_s):
            self.ready.add(candidate)

    def note_changed(self, jobs: Iterable[str]) -> None:
        """Note jobs of which anything that people see may have changed."""
        jobs = list(jobs)
        self.changed.update(jobs)
        self._unsure.update(jobs)

    def set_slices(self, slices: frozenset[str], *, whole_cards: int, now_unix_s: float) -> None:
        """Note which devices are MIG slices: a run on several GPUs gets whole cards only, or is refused."""
        if (slices, whole_cards) == (self.slices, self.whole_cards):
            return
        self.slices, self.whole_cards = slices, whole_cards
        self.rebuild(now_unix_s=now_unix_s)
        self.note_changed(entry.id for entry in self.entries.values() if entry.job and entry.job.gpus > 1)

    def end_pauses(self, *, now_unix_s: float) -> None:
        """Make ready what has waited long enough for its retry."""
        due = set()
        while self._pauses and self._pauses[0][0] <= now_unix_s:
            due.add(heapq.heappop(self._pauses)[1].job)
        for job in due:
            self.refresh(job, now_unix_s=now_unix_s)

    @property
    def next_pause_unix_s(self) -> float | None:
        return self._pauses[0][0] if self._pauses else None

    # -- what it answers -----------------------------------------------------------------------------------

    def problem_of(self, entry: Entry) -> str:
        """Return why the row is refused, or nothing."""
        if entry.refused:
            return entry.refused
        if self.slices and entry.job is not None and entry.job.gpus > max(1, self.whole_cards):
            return (
                f"column 'gpus': '{entry.job.gpus}' is not possible here: {self.whole_cards} of the GPUs are "
                "whole, and of MIG slices a run can use one only. Ask for fewer, or leave MIG mode."
            )
        problems = self.fanout.problems.get(entry.id, ())
        return " ".join(str(problem) for problem in problems)

    def is_done(self, key: RunKey) -> bool:
        """Tell whether a run counts as completed for those that wait for it."""
        entry = self.entries.get(key.job)
        if entry is None or entry.removed:
            return False
        return entry.record.wish is Wish.COMPLETED or isinstance(entry.run(key).state, Completed)

    def missing_parents(self, key: RunKey) -> list[RunKey]:
        """Return the runs that `key` still waits for."""
        return [
            parent
            for parent in self.fanout.parents(key)
            if not self.is_done(parent)
            and not (self.fanout.end_is_enough(key, parent) and self.cannot_come(parent))
        ]

    def cannot_come(self, key: RunKey) -> bool:
        """Tell whether a run will not complete by itself: it or one it waits for failed or was cancelled."""
        seen, todo = {key}, [key]
        while todo:
            one = todo.pop()
            entry = self.entries.get(one.job)
            if entry is None or entry.removed or entry.job is None:
                continue  # its row may come back; until then nothing is known
            state = entry.run(one).state
            if isinstance(state, Failed | Cancelled) and entry.record.wish is Wish.OPEN:
                return True
            if entry.record.wish is Wish.CANCEL and not isinstance(state, Active):
                return True
            if isinstance(state, Waiting) and not self.fanout.problems.get(one.job):
                needed = [
                    parent
                    for parent in self.fanout.parents(one)
                    if parent not in seen
                    and not self.is_done(parent)
                    and not self.fanout.end_is_enough(one, parent)
                ]
                seen.update(needed)
                todo += needed
        return False

    def outdated(self, key: RunKey) -> list[Run]:
        """Return the ended runs that wait for ends of this job (`id:ended`): they have not seen this one."""
        return [
            replace(run, state=Waiting(), tries=0, free_tries=0)
            for child in self.fanout.children(key.job)
            if (entry := self.entries.get(child)) is not None and entry.record.wish is Wish.OPEN
            for run in entry.members()
            if isinstance(run.state, Completed | Failed) and self.fanout.end_is_enough(run.key, key)
        ]

    def is_idle(self) -> bool:
        """Tell whether no run is ready or pausing before a retry; what runs is the engine's to know."""
        return not len(self.ready) and not any(self._still_pauses(*pause) for pause in self._pauses)

    def _still_pauses(self, until_unix_s: float, key: RunKey) -> bool:
        """Tell whether a noted pause is still waited for: the job may have been held or cancelled."""
        entry = self.entries.get(key.job)
        if entry is None or not self.may_start(entry):
            return False
        state = entry.run(key).state
        return isinstance(state, Waiting) and state.not_before_unix_s == until_unix_s

    def anything_failed(self) -> bool:
        """Tell whether a run failed, a row is refused, or something still waits for what will not come."""
        return any(
            status_of(entry) in (JobStatus.FAILED, JobStatus.OPEN)
            or bool(self.problem_of(entry) or entry.doubt)
            for entry in self.entries.values()
            if not entry.removed
        ) or any(e.record.held_after_failures for e in self.entries.values() if not e.removed)

    def status(self, entry: Entry) -> str:
        """Return what `status_of` says, remembered from one change of the job to the next."""
        if entry.id in self._unsure or entry.id not in self._statuses:
            self._recount(entry)
        return self._statuses[entry.id]

    def status_counts(self) -> Counter[str]:
        """Return how many rows are in each status; costs what has changed, not what there is."""
        for job in list(self._unsure):
            entry = self.entries.get(job)
            if entry is not None:
                self._recount(entry)
        return +self._counts

    def _recount(self, entry: Entry) -> None:
        self._unsure.discard(entry.id)
        before = self._statuses.get(entry.id)
        if before:
            self._counts[before] -= 1
        now = "" if entry.removed else status_of(entry).value
        self._statuses[entry.id] = now
        if now:
            self._counts[now] += 1

    def may_start(self, entry: Entry) -> bool:
        """Tell whether the job's waiting runs are allowed to start at all."""
        return (
            entry.job is not None
            and not entry.removed
            and not entry.doubt
            and entry.record.wish is Wish.OPEN
            and not entry.record.held_after_failures
            and not self.problem_of(entry)
        )

    def _candidates(self, entry: Entry, *, now_unix_s: float) -> Iterator[Candidate]:
        if not self.may_start(entry) or entry.job is None:
            return
        for run in entry.members():
            if not isinstance(run.state, Waiting) or run.key in self.lingering:
                continue
            if self.missing_parents(run.key):
                continue
            pause_s = run.state.not_before_unix_s - now_unix_s
            if 0 < pause_s <= LONGEST_PAUSE_S:  # a longer one means that the clock was set back
                heapq.heappush(self._pauses, (run.state.not_before_unix_s, run.key))
                continue
            yield Candidate(
                key=run.key,
                order=self._order.of(run.key),
                gpus=entry.job.gpus,
                memory_mib=memory_needed(entry, run),
                ready_unix_s=self._ready_since.setdefault(run.key, now_unix_s),
                expected_s=expected_duration_s(entry.record),
                avoid=run.avoid | self.slices if entry.job.gpus > 1 else run.avoid,
                least_mib=(run.needs_mib or 0) if run.alone else 0,
                listed_unix_s=entry.listed_unix_s,
            )


def memory_needed(entry: Entry, run: Run) -> int | None:
    """Return the room in MiB that a run needs on each of its GPUs; None when it needs them alone."""
    if entry.job is None or run.alone:
        return None
    match entry.job.gpu_mem:
        case Alone():
            return None
        case Share(mib=declared):
            return max(declared, run.needs_mib or 0)
        case _:
            peak = entry.record.peak_gpu_mib
            learned = None if peak is None else learned_mib([peak])
            return None if learned is None else max(learned, run.needs_mib or 0)


def expected_duration_s(record: JobRecord) -> float | None:
    """Return the median duration of the job's completed runs, None before the first."""
    if not record.durations_s:
        return None
    ordered = sorted(record.durations_s)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def count_states(entry: Entry) -> Counter[str]:
    """Return how many of the job's runs are `waiting`, `active`, `completed`, `failed`, `cancelled`."""
    return Counter(type(run.state).__name__.lower() for run in entry.members())


def status_of(entry: Entry) -> JobStatus:  # noqa: PLR0911 - one return per word
    """Return what the column `status` should hold."""
    counts = count_states(entry)
    if entry.record.wish is Wish.COMPLETED:
        return JobStatus.COMPLETED
    if entry.record.wish is Wish.CANCEL:
        return JobStatus.CANCEL if entry.active() else JobStatus.CANCELLED
    if entry.record.wish is Wish.HOLD or entry.record.held_after_failures:
        return JobStatus.HOLD
    if counts["active"]:
        return JobStatus.RUNNING
    if counts["waiting"] or not counts.total():
        return JobStatus.OPEN
    if counts["failed"]:
        return JobStatus.FAILED
    return JobStatus.CANCELLED if counts["cancelled"] else JobStatus.COMPLETED


def progress_of(entry: Entry) -> str:
    """Return what the column `progress` should hold: runs ended of all, as no spreadsheet mangles it."""
    counts = count_states(entry)
    total = counts.total()
    ended = counts["completed"] + counts["failed"] + counts["cancelled"]
    return f"{ended} of {total}" if total else ""


def reopened(run: Run) -> Run:
    """Return the run as it is when the user asks for another try: what went wrong before no longer counts."""
    match run.state:
        case Failed() | Cancelled():
            return replace(run, state=Waiting(), tries=0, free_tries=0, avoid=frozenset())
        case Waiting():
            return replace(run, state=Waiting(), tries=0, free_tries=0)
        case _:
            return run
