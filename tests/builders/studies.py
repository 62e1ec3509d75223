"""The shipped demo study, made short, in a folder of its own: the same rows, programs and configurations."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.builders.managers import Queue, queue_in

REPOSITORY = Path(__file__).parents[2]
DEADLY = REPOSITORY / "tests/builders/deadly"
STUDY = "ke"
SEEDS = (3, 4)
RETRIES = 20
"""So many that no run is given up: a kill from outside uses one up."""
SHORT = (
    "data.size_px=32", "training.length='20 steps'", "training.validate_every='8 steps'",
    "training.save_every='3 steps'", "training.log_every='2 steps'",
)  # fmt: skip
WITH_POOL = ("expansion.monitor_every=7", "expansion.monitor_images=4")
POOLED = ("expansion", "continued", "committee", "ensemble_alternating")
LONGEST_S = 3600.0
TIMED = ("time_unix_s", "samples_per_s", "attempt")
"""Columns that are wall time, or count attempts."""
KEYS = ("step", "weights", "source")
RUNS_TABLE = "runs.csv"
"""The report's table of attempts, wall time and memory."""


@dataclass
class Study:
    """The study in `folder`; with a seed, its processes are struck as `deadly/sitecustomize.py` says."""

    queue: Queue
    seed: int | None = None
    totals: Path = field(default_factory=Path)
    """Where the numbers of acts are told, or known from an undisturbed study."""
    starts: int = 0

    @property
    def root(self) -> Path:
        return self.queue.root

    @property
    def log(self) -> Path:
        return self.queue.folder / "strikes.tsv"

    def run(self) -> None:
        """Run the queue to its end; a manager that was struck is started again."""
        while True:
            self.starts += 1
            ended = self._manage()
            if ended.returncode not in (-9, -15, 130):
                break
        assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"

    def _manage(self) -> subprocess.CompletedProcess[str]:
        deadly = {
            "PYTHONPATH": str(DEADLY), "DEADLY_BELOW": f"{self.queue.folder}/", "DEADLY_LOG": str(self.log),
            "DEADLY_TOTALS": str(self.totals), "DEADLY_START": str(self.starts),
        }  # fmt: skip
        if self.seed is not None:
            deadly["DEADLY_SEED"] = str(self.seed)
        flags = ("--gpus", "none", "--cpu-slots", "2", "--plain")
        return self.queue.command("run", "--until-idle", *flags, environment=deadly, within_s=LONGEST_S)

    def strikes(self) -> list[dict[str, str]]:
        """Return who was struck, at which act and how, oldest first."""
        if not self.log.exists():
            return []
        names = ("run", "program", "act", "how", "event", "path")
        return [dict(zip(names, line.split("\t"), strict=True)) for line in self.log.read_text().splitlines()]

    def figures(self) -> str:
        """Return what was struck, in a few lines."""
        strikes = self.strikes()
        hows = Counter(strike["how"] for strike in strikes)
        conditions = Counter(strike["run"].partition(":")[0] or "manager" for strike in strikes)
        causes = Counter(cause for (cause,) in self.queue.ask("SELECT cause FROM attempts"))
        lines = [f"{len(strikes)} strikes, {self.starts} managers; {dict(hows)}; {dict(conditions)}"]
        lines += [f"ends of attempts: {dict(causes)}"]
        lines += ["  ".join(strike.values()) for strike in strikes]
        return "\n".join(lines)

    def results(self) -> dict[str, object]:
        """Return all that may not depend on a stop, by its name below the study's folder."""
        found: dict[str, object] = {}
        study = self.root / STUDY
        for test in sorted(study.rglob("test.csv")):
            for path in sorted(_results_of_run(test.parent)):
                table = path.parent == test.parent and path.suffix == ".csv"
                found[str(path.relative_to(study))] = _last_rows(path) if table else path.read_bytes()
        for path in sorted((study / "report/tables").glob("*.csv")):
            if path.name != RUNS_TABLE:
                found[str(path.relative_to(study))] = path.read_bytes()
        return found


def _results_of_run(folder: Path) -> Iterator[Path]:
    names = ("train.csv", "val.csv", "test.csv", "alarms.json")
    yield from (folder / name for name in names if (folder / name).exists())
    for name in ("last", "best"):
        yield from (folder / "checkpoints" / name).glob("*.safetensors")
    yield from (folder / "predictions").glob("*")


def _last_rows(path: Path) -> list[dict[str, str]]:
    """Return the last row of each step, set of weights and source, without times."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = {
        tuple(row.get(name, "") for name in KEYS): {k: v for k, v in row.items() if k not in TIMED}
        for row in rows
    }
    return list(kept.values())


@contextmanager
def study_in(folder: Path, *, seed: int | None = None, totals: Path | None = None) -> Iterator[Study]:
    """Give the demo study in `folder`, none of whose processes is left afterwards.

    Args:
        folder: New; programs and configurations are links to the repository's.
        seed: Of the strikes; None: nothing is struck, acts are counted.
        totals: The counts of a study that nothing disturbed.
    """
    (folder / "configs").mkdir(parents=True)
    for name in ("pkgs", "utility", "tests", "QueueManager.py", f"configs/{STUDY}"):
        (folder / name).symlink_to(REPOSITORY / name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {"PATH": path, "XDG_CACHE_HOME": str(folder / "cache")}
    with queue_in(folder, environment=environment) as queue:
        queue.write(*(short(row) for row in shipped_rows()))
        yield Study(queue, seed=seed, totals=totals or folder / "acts.tsv")


def shipped_rows() -> list[dict[str, str]]:
    with (REPOSITORY / "Jobs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def short(row: dict[str, str]) -> dict[str, str]:
    """Return a row of the shipped table with few seeds, and its training or data made small."""
    name = row["id"].removeprefix(f"{STUDY}/")
    seeds = " ".join(map(str, SEEDS)) if row["seeds"] else ""
    command = row["command"]
    if name == "data":
        command = "python -m tests.builders.small_phantom datasets/cem_phantom"
    elif "pkgs.teacher" in command or "pkgs.student" in command:
        words = (*SHORT, *(WITH_POOL if name in POOLED else ()))
        command += "".join(f' --set "{word}"' for word in words)
    return {**row, "command": command, "seeds": seeds, "retries": str(RETRIES), "timeout": ""}
