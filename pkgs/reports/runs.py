"""Finding the runs of a study on disk: which conditions, which seeds, how far each came.

Not here: what a run measured (results.py) and what is wrong with it (problems.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from pkgs.foundation.run_folder import RunFolder
from pkgs.reports.attempts import Ending, State, Usage, read_ending, read_usage
from pkgs.reports.results import RunResults, read_results

SEED = re.compile(r"seed_(\d+)")
MOVED = re.compile(r"(.+)\.\d+")
"""A rerun moves the old folder to `<folder>.<k>`."""
QUEUE_FOLDER = "queue"
"""The manager's own folder beside the studies."""
REPORT_PAGE = "report.html"


class StudyError(ValueError):
    """A study that cannot be reported; the message says why and what to do."""


@dataclass(frozen=True)
class Run:
    """One run folder, read."""

    condition: str
    """Path between study and seed: the last part of the job's id, with the condition where it has one."""
    seed: int | None
    folder: RunFolder
    ending: Ending
    usage: Usage
    results: RunResults

    @property
    def name(self) -> str:
        return self.condition if self.seed is None else f"{self.condition}, seed {self.seed}"


@dataclass(frozen=True)
class Study:
    """All that the report stands on."""

    name: str
    runs: tuple[Run, ...]
    """Trainings, by condition in the order of first start, then by seed."""
    other_jobs: tuple[Run, ...]
    """Jobs of the study that train nothing, such as preparing its data."""
    set_aside: tuple[str, ...]
    """Folders of earlier runs that a rerun has moved away; not read."""

    @cached_property
    def conditions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(run.condition for run in self.runs))

    @cached_property
    def seeds(self) -> tuple[int | None, ...]:
        found = {run.seed for run in self.runs}
        return tuple(sorted(found, key=lambda seed: (seed is not None, seed or 0)))

    @cached_property
    def paired_seeds(self) -> tuple[int | None, ...]:
        """Seeds that conditions are paired by; a run without one, such as a reference, stands beside them."""
        return tuple(seed for seed in self.seeds if seed is not None) or self.seeds

    def starting_with(self, condition: str) -> Study:
        """Return the same study with `condition` in the first place, so that it leads tables and figures."""
        return replace(self, runs=tuple(sorted(self.runs, key=lambda run: run.condition != condition)))

    def in_order(self, order: Sequence[str]) -> Study:
        """Return the same study with the conditions in `order`; those that it does not name follow."""
        places = {condition: place for place, condition in enumerate(order)}
        last = len(places)
        return replace(self, runs=tuple(sorted(self.runs, key=lambda run: places.get(run.condition, last))))

    def only(self, conditions: Sequence[str]) -> Study:
        """Return the same study with these of its conditions."""
        return replace(self, runs=tuple(run for run in self.runs if run.condition in conditions))

    def with_jobs(self, conditions: Sequence[str]) -> Study:
        """Return the same study where `conditions` count as jobs that train nothing.

        Of one that no queue watched nothing tells how it ended: it has no test result to wait for.
        """
        found = [run for run in (*self.other_jobs, *self.runs) if run.condition in conditions]
        jobs = [
            run if run.usage.attempts else replace(run, ending=Ending(State.COMPLETED, "")) for run in found
        ]
        others = tuple(run for run in self.other_jobs if run.condition not in conditions)
        runs = tuple(run for run in self.runs if run.condition not in conditions)
        return replace(self, runs=runs, other_jobs=(*others, *jobs))

    def of(self, condition: str) -> list[Run]:
        return [run for run in self.runs if run.condition == condition]


def read_study(root: Path, name: str, *, out: Path) -> Study:
    """Read every run folder under `<root>/<name>/`.

    Args:
        root: Where the run folders lie.
        name: The study, for instance `ke`.
        out: Where the report goes; not a run of the study, even if the queue started it there.

    Raises:
        StudyError: If there is no such study, or no training in it yet.
    """
    place = _place(root, name)
    set_aside: list[Path] = []
    paths = [place] if _is_run_folder(RunFolder(place)) else _run_folders(place, out.resolve(), set_aside)
    found = [_read_run(place, path) for path in paths]
    runs = [run for run in found if run.seed is not None or run.results.is_training]
    if not runs:
        raise StudyError(
            f"Study {name!r}: {place} holds no training yet (no run folder with a config.yaml, a CSV or a "
            "seed). Run some of its jobs first."
        )
    first_start = {run.condition: float("inf") for run in runs}
    for run in runs:
        first_start[run.condition] = min(first_start[run.condition], _start(run))
    runs.sort(key=lambda run: (first_start[run.condition], run.condition, run.seed or 0))
    others = tuple(run for run in found if run not in runs)
    moved = tuple(str(path.relative_to(place)) for path in set_aside)
    return Study(name, tuple(runs), others, moved)


def _place(root: Path, name: str) -> Path:
    if not root.is_dir():
        raise StudyError(f"--root {root}: no such folder. Expected the folder that holds the run folders.")
    if not re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*", name) or ".." in name.split("/"):
        raise StudyError(
            f"Study {name!r}: expected the part of a job's id before its last '/', such as 'ke'."
        )
    if (root / name).is_dir():
        return root / name
    known = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and entry.name != QUEUE_FOLDER)
    near = get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise StudyError(f"Unknown study {name!r}.{hint} Studies in {root}: {', '.join(known) or 'none'}.")


def _run_folders(place: Path, out: Path, set_aside: list[Path]) -> Iterator[Path]:
    """Yield the run folders below `place`, sorted; folders that a rerun moved away are only noted."""
    folders = sorted(entry for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    names = {folder.name for folder in folders}
    for folder in folders:
        moved = MOVED.fullmatch(folder.name)
        if moved and (moved[1] in names or SEED.fullmatch(moved[1])):
            set_aside.append(folder)
        elif folder.resolve() == out or (folder / REPORT_PAGE).exists():
            continue
        elif _is_run_folder(RunFolder(folder)):
            yield folder
        else:
            yield from _run_folders(folder, out, set_aside)


def _is_run_folder(folder: RunFolder) -> bool:
    signs = (
        folder.config,
        folder.provenance,
        folder.attempts,
        folder.train_csv,
        folder.val_csv,
        folder.test_csv,
    )
    return any(sign.exists() for sign in signs)


def _read_run(place: Path, path: Path) -> Run:
    seed = SEED.fullmatch(path.name)
    condition = str((path.parent if seed else path).relative_to(place))
    folder = RunFolder(path)
    results = read_results(folder)
    ending = read_ending(folder)
    if ending is None:  # by hand: no queue watched it, so the test result is the sign of its end
        done = bool(results.tests)
        ending = Ending(State.COMPLETED, "") if done else Ending(State.UNFINISHED, "no test results yet")
    if condition == ".":  # a job without a study: its runs lie directly under its id
        condition = place.name
    return Run(condition, int(seed[1]) if seed else None, folder, ending, read_usage(folder), results)


def _start(run: Run) -> float:
    """Return when the run started, as far as anything tells; later than all others when nothing does."""
    times = [run.usage.start_unix_s, run.results.first_unix_s]
    return min((time for time in times if time == time), default=float("inf"))  # noqa: PLR0124 - drops NaN
