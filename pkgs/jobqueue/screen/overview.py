"""What `status`, `why` and the dashboard show, read from Jobs.csv, queue.sqlite and live.json.

Loads neither YAML nor the planner: `status` must answer in a blink.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pkgs.foundation.files import read_json
from pkgs.jobqueue.manager.root_lock import is_held, read_holder
from pkgs.jobqueue.nearest import Nearest
from pkgs.jobqueue.state.records import Active, Attempt, Event, Failed, Run, Waiting
from pkgs.jobqueue.state.state import State
from pkgs.jobqueue.table.jobs_file import RowNews
from pkgs.jobqueue.table.rows_on_disk import read_rows
from pkgs.jobqueue.vocabulary import Job, RunKey

NO_MANAGER = "no manager runs; start one with `python QueueManager.py`"


@dataclass(slots=True)
class RunView:
    """One run, for people and for `--json`."""

    seed: int | None
    condition: str | None
    status: str
    cause: str | None = None
    sentence: str = ""
    attempts: int = 0
    devices: list[str] = field(default_factory=list)
    eta_unix_s: float | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "seed": self.seed, "condition": self.condition, "status": self.status, "cause": self.cause,
            "attempts": self.attempts, "devices": self.devices, "eta_unix_s": self.eta_unix_s,
        }  # fmt: skip

    def line(self) -> str:
        name = " ".join(
            ([] if self.seed is None else [f"seed {self.seed}"])
            + ([] if self.condition is None else [self.condition])
        )
        where = f" on {', '.join(self.devices)}" if self.devices and self.status == "running" else ""
        until = f" until about {clock_time(self.eta_unix_s)}" if self.eta_unix_s else ""
        again = f", {self.attempts} attempts" if self.attempts > 1 else ""
        return f"{name or 'run'}: {self.status}{where}{until}{again}"


@dataclass(slots=True)
class JobView:
    """One row."""

    id: str
    status: str
    progress: str
    message: str
    runs: list[RunView] = field(default_factory=list)
    eta_unix_s: float | None = None

    def as_json(self) -> dict[str, object]:
        runs = [run.as_json() for run in self.runs]
        return {
            "id": self.id, "status": self.status, "progress": self.progress, "message": self.message,
            "runs": runs,            "eta_unix_s": self.eta_unix_s,
        }  # fmt: skip


@dataclass(slots=True)
class Overview:
    """Everything that is shown."""

    jobs: list[JobView]
    devices: list[dict[str, Any]] = field(default_factory=list)
    eta_unix_s: float | None = None
    eta: str = ""
    manager_pid: int | None = None
    paused: str = ""
    problem: str = ""
    whys: dict[str, str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    cpu_slots: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        return {
            "jobs": [job.as_json() for job in self.jobs],
            "devices": self.devices,
            "eta_unix_s": self.eta_unix_s,
            "manager_pid": self.manager_pid,
            "paused": self.paused or None,
            "problem": self.problem or None,
        }

    def device_lines(self) -> list[tuple[str, str]]:
        """Return each device with who is on it, and the CPU slots."""
        lines = []
        for device in self.devices:
            runs = ", ".join(device["runs"])
            lines.append((f"GPU {device['index']}", runs or device["why"] or device["state"]))
        if self.cpu_slots:
            used = self.cpu_slots["all"] - self.cpu_slots["free"]
            lines.append(("CPU slots", f"{used} of {self.cpu_slots['all']} in use"))
        return lines

    def reason(self, view: JobView) -> str:
        """Return why a job does not run, never empty."""
        if view.id in self.whys:
            return self.whys[view.id]
        if view.message:
            return view.message
        if view.status == "completed":
            return f"completed; `rerun {view.id}` does it again"
        if view.status == "running":
            return "runs" + (f" until about {clock_time(view.eta_unix_s)}" if view.eta_unix_s else "")
        return "waits for its turn" if self.manager_pid else NO_MANAGER


def clock_time(unix_s: float) -> str:
    """Return a moment for people: the time, with its day when that is not today."""
    then = datetime.fromtimestamp(unix_s).astimezone()
    today = datetime.now().astimezone().date()
    return f"{then:%H:%M}" if then.date() == today else f"{then:%a %H:%M}"


def read_overview(jobs: Path, root: Path, *, ids: Sequence[str], with_runs: bool) -> Overview:
    """Read what is known now.

    Args:
        jobs: The table.
        root: The queue's root.
        ids: Only these; empty: all.
        with_runs: Also each run of each job.

    Raises:
        ValueError: If the table cannot be read or an id is unknown; the nearest one is named.
    """
    folder = root / "queue"
    live = read_json(folder / "live.json")
    facts: dict[str, Any] = live if isinstance(live, dict) and is_held(folder) else {}
    state = State.read(folder / "queue.sqlite")
    table_problem = facts.get("table_problem") or ""
    rows = _last_good_rows(state) if table_problem and state is not None else read_rows(jobs)
    views = _views(rows, ids, file=jobs)
    overview = Overview(
        [view for view, _ in views],
        devices=facts.get("devices", []),
        eta_unix_s=facts.get("eta_unix_s"),
        eta=facts.get("eta", ""),
        manager_pid=_manager_pid(folder),
        paused=facts.get("paused") or "",
        problem=table_problem,
        whys=facts.get("why", {}),
        cpu_slots=facts.get("cpu_slots", {}),
    )
    for view in overview.jobs:
        view.eta_unix_s = facts.get("jobs_eta_unix_s", {}).get(view.id)
    if state is not None:
        _fill_in(state, views)
        if with_runs:
            _add_runs(state, views, facts.get("runs_eta_unix_s", {}), one=len(ids) == 1)
        if len(ids) == 1:
            overview.events = [_event_line(event) for event in state.events(job=ids[0], newest=5)]
        state.close()
    elif with_runs:
        for view, job in views:
            view.runs = [RunView(key.seed, key.condition, "open") for key in (job.runs() if job else [])]
    for view in overview.jobs:
        view.status = view.status or "open"
    return overview


def _manager_pid(folder: Path) -> int | None:
    holder = read_holder(folder / "manager.lock") if is_held(folder) else None
    return None if holder is None else int(holder["pid"])


def _last_good_rows(state: State) -> Sequence[RowNews]:
    """Return what is in force while the file on the disk does not parse: the manager goes on with it."""
    from pkgs.jobqueue.state.row_memory import RowMemory  # noqa: PLC0415 - rarely needed
    from pkgs.jobqueue.table.rows import read_row  # noqa: PLC0415

    rows = []
    for line, (job, cells) in enumerate(RowMemory(state).currents().items(), start=2):
        found = read_row(cells, line=line)
        errors = () if isinstance(found, Job) else tuple(found)
        rows.append(RowNews(job, line, cells, found if isinstance(found, Job) else None, errors))
    return rows


def _views(rows: Sequence[RowNews], ids: Sequence[str], *, file: Path) -> list[tuple[JobView, Job | None]]:
    wanted = set(ids)
    unknown = sorted(wanted.difference(row.id for row in rows))
    if unknown:
        near = Nearest([row.id for row in rows]).to(unknown[0])
        hint = f" Did you mean {near!r}?" if near else ""
        raise ValueError(f"{file} has no job {unknown[0]!r}.{hint}")
    views = []
    for row in rows:
        if wanted and row.id not in wanted:
            continue
        view = JobView(row.id or f"line {row.line}", row.cells.status, row.cells.progress, row.cells.message)
        if row.errors:
            view.message = " ".join(str(error) for error in row.errors)
        views.append((view, row.job))
    return views


def _fill_in(state: State, views: list[tuple[JobView, Job | None]]) -> None:
    """Where the table has no columns for it, take status and progress from the state."""
    bare = [(view, job) for view, job in views if not view.status and job is not None]
    if not bare:
        return
    from pkgs.jobqueue.manager.book import Entry, progress_of, status_of  # noqa: PLC0415 - loads the planner

    records = state.jobs()
    runs: dict[str, dict[RunKey, Run]] = {}
    for run in state.runs():
        runs.setdefault(run.key.job, {})[run.key] = run
    for view, job in bare:
        if view.id in records:
            entry = Entry(view.id, records[view.id], job, runs=runs.get(view.id, {}))
            view.status, view.progress = status_of(entry).value, progress_of(entry)


def _add_runs(
    state: State, views: list[tuple[JobView, Job | None]], etas: dict[str, float], *, one: bool
) -> None:
    only = views[0][0].id if one and views else None
    known = {run.key: run for run in state.runs(only)}
    active = {attempt.id: attempt for attempt in state.attempts_not_ended()}
    for view, job in views:
        for key in job.runs() if job is not None else []:
            view.runs.append(_run_view(state, known.get(key) or Run(key), active, etas, count=one))


def _run_view(
    state: State, run: Run, active: dict[str, Attempt], etas: dict[str, float], *, count: bool
) -> RunView:
    view = RunView(run.key.seed, run.key.condition, "open", eta_unix_s=etas.get(str(run.key)))
    view.attempts = run.tries + run.free_tries
    match run.state:
        case Active(attempt=identifier):
            view.status = "running"
            attempt = active.get(identifier)
            view.devices = list(attempt.devices) if attempt else []
            view.attempts += 1
        case Failed(cause=cause, sentence=sentence):
            view.status, view.cause, view.sentence = "failed", cause.value, sentence
            view.attempts += 1
        case Waiting(cause=cause, sentence=sentence):
            view.cause, view.sentence = cause.value if cause else None, sentence
        case other:
            view.status = type(other).__name__.lower()
            view.attempts += 1
    if count:
        view.attempts = max(view.attempts, len(state.attempts(run.key)))
    return view


def _event_line(event: Event) -> str:
    return f"{clock_time(event.at_unix_s)} {event.text}"
