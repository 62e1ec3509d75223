"""From valid rows to runs: which run waits for which, in what order runs go, and which rows can never run.

Lazy on purpose: 100,000 rows are indexed, never expanded into runs. Not here: how a cell is read (rows.py),
how far a run has come (state.py), which device it gets (plan.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, final

from pkgs.jobqueue.nearest import Nearest
from pkgs.jobqueue.schedule.circles import circles
from pkgs.jobqueue.vocabulary import After, Job, RunKey

NO_LINES: Final[Mapping[str, int]] = {}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row cannot run: which cell, what stands there, what could, and what to do."""

    column: str
    value: str
    expected: str
    """Completes the sentence `<value> is not ...`."""
    remedy: str
    """A whole sentence."""

    def __str__(self) -> str:
        return f"column {self.column!r}: {self.value!r} is not {self.expected}. {self.remedy}"


@final
class Fanout:
    """Who waits for whom. Built by `resolve`."""

    def __init__(
        self,
        jobs: Mapping[str, Job],
        problems: Mapping[str, tuple[Problem, ...]],
        children: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.jobs = jobs
        self.problems = problems
        """By job id: why that row alone is refused. A job that is not here can run."""
        self._children = children

    def parents(self, key: RunKey) -> tuple[RunKey, ...]:
        """Return the runs that must be completed before `key` starts, each once, in the order of `after`.

        Of some of them the end is enough (`end_is_enough`).

        Raises:
            ValueError: If the job is refused: it has no parents that one could wait for.
        """
        job = self.jobs[key.job]
        if not job.after:
            return ()
        if job.id in self.problems:
            raise ValueError(f"{job.id} is refused: {self.problems[job.id][0]}")
        found = dict.fromkeys(
            parent for after in job.after for parent in _matching(self.jobs[after.job], key, after=after)
        )
        return tuple(found)

    def end_is_enough(self, key: RunKey, parent: RunKey) -> bool:
        """Tell whether `key` waits only until `parent` has ended, completed or not."""
        return any(after.end_is_enough and after.job == parent.job for after in self.jobs[key.job].after)

    def children(self, job_id: str) -> tuple[str, ...]:
        """Return the ids of the jobs that name `job_id` in `after`: what to look at again when it ends."""
        return self._children.get(job_id, ())


def resolve(jobs: Mapping[str, Job], refused: Mapping[str, int] = NO_LINES) -> Fanout:
    """Work out who waits for whom among all valid jobs.

    Args:
        jobs: By id, in the order of the file.
        refused: Lines of the rows that are not valid, by id; what waits for one of them cannot run either.

    Returns:
        The fan-out. A bad job is refused alone and named in `problems`; the others go on.
    """
    problems: dict[str, tuple[Problem, ...]] = {}
    children: dict[str, list[str]] = {}
    nearest = Nearest(jobs)
    for job in jobs.values():
        if not job.after:
            continue
        for parent_id in dict.fromkeys(after.job for after in job.after):
            children.setdefault(parent_id, []).append(job.id)
        found = [
            problem for after in job.after for problem in _problems_of(job, after, jobs, nearest, refused)
        ]
        if found:
            problems[job.id] = tuple(dict.fromkeys(found))
    edges = {
        job.id: [after.job for after in job.after if after.job in jobs and after.job != job.id]
        for job in jobs.values()
        if job.after
    }
    for member, circle in circles(edges).items():
        problems[member] = (*problems.get(member, ()), _circle_problem(circle))
    _pass_on(problems, children)
    return Fanout(jobs, problems, {parent: tuple(ids) for parent, ids in children.items()})


def _matching(parent: Job, key: RunKey, *, after: After) -> Iterator[RunKey]:
    """Yield the runs of `parent` that belong to `key`: same seed and condition, where both have them."""
    if after.all_runs:
        yield from parent.runs()
        return
    seed = key.seed if parent.seeds else None
    conditions: tuple[str | None, ...] = parent.conditions or (None,)
    if parent.conditions and key.condition is not None:
        conditions = (key.condition,)
    for condition in conditions:
        yield RunKey(parent.id, condition, seed)


def _problems_of(
    job: Job, after: After, jobs: Mapping[str, Job], nearest: Nearest, refused: Mapping[str, int]
) -> Iterator[Problem]:
    """Yield what is wrong with one id of the column `after`, circles apart."""
    name = str(after)
    if after.job == job.id:
        yield Problem("after", name, "another row: a job cannot wait for itself", "Take it out of `after`.")
    elif after.job in refused:
        yield _refused_parent(after.job, f"in line {refused[after.job]}")
    elif after.job not in jobs:
        near = nearest.to(after.job)
        hint = f"Did you mean {near!r}?" if near else "Correct the id, or take it out of `after`."
        yield Problem("after", name, "the id of a row in this table", hint)
    elif not after.all_runs:
        yield from _mismatches(job, jobs[after.job])


def _mismatches(job: Job, parent: Job) -> Iterator[Problem]:
    """Yield the seeds and conditions of `job` that have no partner in `parent`."""
    cure = f"Write `{parent.id}:all` to wait for all of its runs"
    if parent.seeds and not job.seeds:
        expected = f"a job without seeds, as {job.id} is: it has a run for each of {len(parent.seeds)} seeds"
        yield Problem("after", parent.id, expected, f"{cure}.")
    elif parent.seeds and job.seeds != parent.seeds:
        known = set(parent.seeds)
        lacking = [str(seed) for seed in job.seeds if seed not in known]
        if lacking:
            expected = f"a job that has every seed of {job.id}: it lacks {_listed(lacking)}"
            yield Problem("after", parent.id, expected, f"{cure}, or give it these seeds, too.")
    if parent.conditions and job.conditions and job.conditions != parent.conditions:
        lacking = [name for name in job.conditions if name not in parent.conditions]
        if lacking:
            expected = f"a job that has every condition of {job.id}: it lacks {_listed(lacking)}"
            yield Problem("after", parent.id, expected, f"{cure}, or give it these conditions, too.")


def _listed(words: list[str], *, most: int = 8) -> str:
    shown = ", ".join(words[:most])
    return shown if len(words) <= most else f"{shown} and {len(words) - most} more"


def _circle_problem(circle: tuple[str, ...]) -> Problem:
    most = 12  # a circle of thousands must not fill a cell
    shown = " -> ".join(circle) if len(circle) <= most else " -> ".join([*circle[:most], "...", circle[-1]])
    expected = f"an order that has a beginning: {len(circle) - 1} jobs wait in a circle, each for the next"
    return Problem("after", shown, expected, "Take one of these ids out of `after`.")


def _refused_parent(parent_id: str, where: str) -> Problem:
    expected = f"a job that can run: waits for {parent_id}, whose row has an error {where}"
    return Problem("after", parent_id, expected, "Mend that row, or take it out of `after`.")


def _pass_on(problems: dict[str, tuple[Problem, ...]], children: Mapping[str, list[str]]) -> None:
    """Refuse also what waits, directly or not, for a refused job; each names the parent that stops it."""
    unseen = list(problems)
    while unseen:
        parent_id = unseen.pop()
        for child in children.get(parent_id, ()):
            if child not in problems:
                problems[child] = (_refused_parent(parent_id, "in column 'after'"),)
                unseen.append(child)


@final
class Order:
    """In what order runs are looked at: priority, then matched sets, then rows. Built by `set_ranks`."""

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        self._jobs = jobs
        self._rows = {job_id: row for row, job_id in enumerate(jobs)}
        self._studies: dict[str, dict[int, int]] = {}
        self._alone: dict[str, dict[int, int]] = {}
        for job in jobs.values():
            if job.seeds and job.study:
                ranks = self._studies.setdefault(job.study, {})
                for seed in job.seeds:
                    ranks.setdefault(seed, len(ranks))

    def rank(self, key: RunKey) -> int:
        """Return the matched set of a run, counted from 0: the place of its seed among those of its study.

        Without seeds it is 0; in a job without a study, the place among the job's own seeds.
        """
        job = self._jobs[key.job]
        if key.seed is None:
            return 0
        if job.study:
            return self._studies[job.study][key.seed]
        if job.id not in self._alone:
            self._alone[job.id] = {seed: rank for rank, seed in enumerate(dict.fromkeys(job.seeds))}
        return self._alone[job.id][key.seed]

    def of(self, key: RunKey) -> tuple[int, int, int, int]:
        """Return (-priority, matched set, row, condition): sorting by it gives the order of starts."""
        job = self._jobs[key.job]
        condition = 0 if key.condition is None else job.conditions.index(key.condition)
        return -job.priority, self.rank(key), self._rows[job.id], condition


def set_ranks(jobs: Mapping[str, Job]) -> Order:
    """Return the order of the runs of `jobs`, which are given by id in the order of the file."""
    return Order(jobs)
