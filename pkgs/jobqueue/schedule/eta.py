"""What ended runs teach: how long the next one takes, how much GPU memory it needs, when everything is done.

Not here: the words (when.py), the simulation itself (simulate.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import ceil, sqrt
from statistics import median
from typing import Final, final

from pkgs.foundation.progress import Progress
from pkgs.jobqueue.schedule.simulate import Entry, Timeline
from pkgs.jobqueue.vocabulary import Job, RunKey

LEARNED_FACTOR: Final = 1.1
LEARNED_EXTRA_MIB: Final = 256
"""Room above the highest peak seen: a tenth, at least this much. Peaks vary a little between seeds."""
LEARNED_STEP_MIB: Final = 128
"""Learned sizes are rounded up to this, so that seeds of one job ask for the same."""
NINE_IN_TEN: Final = 1.645
"""Standard deviations on either side that hold nine ends in ten."""
TRUST_IN_PROGRESS: Final = 2.0
"""The run's own forecast counts for its done share times this: at half time it is believed alone."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a run of a job takes."""

    duration_s: float
    runs: int
    """How many ended runs it rests on."""
    own: bool
    """False: learned from other jobs that run the same program."""


@final
class History:
    """Durations seen so far. Build it anew, or `add`, when a run has completed."""

    def __init__(self, jobs: Mapping[str, Job], durations_s: Mapping[str, Sequence[float]]) -> None:
        """Take over what was seen.

        Args:
            jobs: All valid jobs by id.
            durations_s: Of completed runs, by job id, newest last. Jobs may be missing.
        """
        self._jobs = jobs
        self._seen = {job: list(lengths) for job, lengths in durations_s.items() if lengths}
        self._known: dict[str, Estimate | None] = {}
        self._kin: dict[tuple[object, ...], list[float]] = {}
        self._kin_known = False

    def add(self, job: str, duration_s: float) -> None:
        """Note one more completed run."""
        self._seen.setdefault(job, []).append(duration_s)
        self._known.clear()
        self._kin_known = False

    def estimate(self, job_id: str) -> Estimate | None:
        """Return the median of the job's own runs; else of jobs with its program, in its study or any."""
        if job_id not in self._known:
            self._known[job_id] = self._estimate(job_id)
        return self._known[job_id]

    def duration_s(self, key: RunKey) -> float | None:
        """Return how long the run probably takes, None if nothing is known. It is `World.duration`."""
        found = self.estimate(key.job)
        return None if found is None else found.duration_s

    @property
    def scatter(self) -> float | None:
        """Relative standard deviation of runs of one job, over all jobs; None before any job has two."""
        squares, freedom = 0.0, 0
        for lengths in self._seen.values():
            middle = median(lengths)
            if len(lengths) > 1 and middle > 0:
                squares += sum((length / middle - 1) ** 2 for length in lengths)
                freedom += len(lengths) - 1
        return sqrt(squares / freedom) if freedom else None

    def _estimate(self, job_id: str) -> Estimate | None:
        own = self._seen.get(job_id)
        if own:
            return Estimate(median(own), len(own), own=True)
        if not self._kin_known:
            self._learn_kin()
        job = self._jobs.get(job_id)
        for relation in _relations(job) if job is not None else ():
            if relation in self._kin:
                return Estimate(median(self._kin[relation]), 1, own=False)
        return None

    def _learn_kin(self) -> None:
        self._kin_known = True
        self._kin = {}
        for job_id, lengths in self._seen.items():
            if job_id in self._jobs:
                for relation in _relations(self._jobs[job_id]):
                    self._kin.setdefault(relation, []).append(median(lengths))


def _relations(job: Job) -> tuple[tuple[object, ...], ...]:
    same = program(job.command), job.gpus
    return (job.study, *same), same


def program(command: str) -> tuple[str, ...]:
    """Return the words of a command up to its first option or placeholder: what it runs, not on what."""
    words = [word for word in command.split() if word not in {"-m", "-u"}]
    return tuple(takewhile(lambda word: not word.startswith("-") and "{" not in word, words[:6]))


def learned_mib(peaks_mib: Iterable[int]) -> int | None:
    """Return the room that `auto` in `gpu_mem` asks for, from peaks of earlier seeds; None before them."""
    highest = max(peaks_mib, default=0)
    if highest <= 0:
        return None
    needed = max(highest * LEARNED_FACTOR, highest + LEARNED_EXTRA_MIB)
    return ceil(needed / LEARNED_STEP_MIB) * LEARNED_STEP_MIB


def expected_end_unix_s(
    start_unix_s: float, now_unix_s: float, *, duration_s: float | None, progress: Progress | None
) -> float | None:
    """Return when a running run will probably end; it may lie in the past: the run is overdue.

    Args:
        start_unix_s: Of its attempt.
        now_unix_s: The present.
        duration_s: What `History` expects of a whole run.
        progress: What the run says of itself, if it does.

    Returns:
        A mean of both, in which the run's own forecast counts the more, the further it is; None without both.
    """
    by_history = None if duration_s is None else start_unix_s + duration_s
    own = None if progress is None else _own_end_unix_s(start_unix_s, now_unix_s, progress=progress)
    if own is None or progress is None:
        return by_history
    if by_history is None:
        return own
    weight = min(1.0, TRUST_IN_PROGRESS * _share_done(progress))
    return weight * own + (1 - weight) * by_history


def _share_done(progress: Progress) -> float:
    return min(1.0, max(0.0, progress.step / progress.steps)) if progress.steps > 0 else 0.0


def _own_end_unix_s(start_unix_s: float, now_unix_s: float, *, progress: Progress) -> float | None:
    share = _share_done(progress)
    if progress.eta_unix_s is not None:
        return progress.eta_unix_s
    if progress.seconds_per_step is not None and progress.steps > 0:
        return now_unix_s + max(0, progress.steps - progress.step) * progress.seconds_per_step
    return start_unix_s + (now_unix_s - start_unix_s) / share if share > 0 else None


@dataclass(frozen=True, slots=True)
class Eta:
    """When something is done."""

    end_unix_s: float
    give_or_take_s: float | None
    """Nine ends in ten lie within; None while no job has shown how its runs scatter."""
    guessed: tuple[str, ...]
    """Jobs on the way of which no run has ended yet; the median of the others stands in."""


def eta_of(
    timeline: Timeline, history: History, *, now_unix_s: float, jobs: Collection[str] | None = None
) -> Eta | None:
    """Return when the queue, or only `jobs`, will be done; None while nobody can know.

    The uncertainty is that of the chain of runs which leads to the end: each scatters by itself, and the
    median of a job, learned from few runs, is wrong for all of its runs together.
    """
    if timeline.assumed_s is None:
        return None
    wanted = [entry for entry in timeline.entries if jobs is None or entry.key.job in jobs]
    if not wanted:
        return None
    last = max(wanted, key=lambda entry: entry.end_unix_s)
    chain = _chain(timeline, last)
    left: dict[str, list[float]] = {}
    for entry in chain:
        left.setdefault(entry.key.job, []).append(entry.end_unix_s - max(now_unix_s, entry.start_unix_s))
    guessed = tuple(sorted(timeline.guessed.intersection(entry.key.job for entry in wanted)))
    scatter = history.scatter
    if scatter is None:
        return Eta(last.end_unix_s, None, guessed)
    variance = 0.0
    for job, lengths in left.items():
        found = history.estimate(job)
        variance += sum(length**2 for length in lengths) + sum(lengths) ** 2 / (found.runs if found else 1)
    return Eta(last.end_unix_s, NINE_IN_TEN * scatter * sqrt(variance), guessed)


def _chain(timeline: Timeline, last: Entry) -> list[Entry]:
    """Return the runs that lead to `last`, backwards: each started because the next one in the list ended."""
    ended: dict[float, list[Entry]] = {}
    for entry in timeline.entries:
        ended.setdefault(entry.end_unix_s, []).append(entry)
    chain, seen = [last], {last.key}
    while True:
        devices = set(chain[-1].devices)
        before = [entry for entry in ended.get(chain[-1].start_unix_s, ()) if entry.key not in seen]
        if not before:
            return chain
        chain.append(max(before, key=lambda entry: len(devices.intersection(entry.devices))))
        seen.add(chain[-1].key)
