"""Real managers for tests: QueueManager.py in a folder of its own, impatient, and nothing left behind."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pkgs.foundation.run_folder import AttemptFolder, RunFolder
from pkgs.jobqueue.attempts.processes import ProcessIdentity, kill_all, process_table
from pkgs.jobqueue.table.table import COLUMNS

T = TypeVar("T")

PROGRAM = Path(__file__).parents[2] / "QueueManager.py"
PATIENCE_S = 20.0
"""Until something must have happened: the machine that tests is a busy one."""
IMPATIENT: Mapping[str, object] = {
    "grace_s": 2.0,
    "free_disk_floor_mib": 0,
    "retry_pauses_s": [0.1],
    "device_poll_s": 0.2,
    "telemetry_s": 0.3,
}
LONGEST_CELL = 1 << 28


def eventually(look: Callable[[], T | None], *, what: str, within_s: float = PATIENCE_S) -> T:
    """Return the first true answer of `look`; fail when there is none in time."""
    deadline_s = time.monotonic() + within_s
    while True:
        answer = look()
        if answer:
            return answer
        assert time.monotonic() < deadline_s, f"{what} did not come true within {within_s} s"
        time.sleep(0.02)


@dataclass
class Manager:
    """A running `QueueManager.py run`."""

    process: subprocess.Popen[str]
    output: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def wait(self, *, within_s: float = 60.0) -> int:
        return self.process.wait(within_s)


@dataclass
class Queue:
    """One folder with Jobs.csv, settings and the root of its run folders."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def jobs(self) -> Path:
        return self.folder / "Jobs.csv"

    @property
    def root(self) -> Path:
        return self.folder / "logs_and_checkpoints"

    # -- the table -----------------------------------------------------------------------------------------

    def write(self, *rows: Mapping[str, str], text: str | None = None) -> None:
        """Save the table as an editor like vim does: written beside, then renamed."""
        draft = self.folder / ".Jobs.csv.swp"
        with draft.open("w", newline="", encoding="utf-8") as file:
            if text is not None:
                file.write(text)
            else:
                writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
        draft.replace(self.jobs)

    def rows(self) -> dict[str, dict[str, str]]:
        """Return the table as it stands on the disk, by id."""
        before = csv.field_size_limit(LONGEST_CELL)
        try:
            with self.jobs.open(newline="", encoding="utf-8") as file:
                return {row["id"]: row for row in csv.DictReader(file)}
        finally:
            csv.field_size_limit(before)

    def edit(self, job: str, **cells: str) -> None:
        """Change cells of one row and leave the others as they are, like a careful editor."""
        table = self.rows()
        table[job].update(cells)
        self.write(*table.values())

    def row(self, job: str) -> dict[str, str]:
        return self.rows()[job]

    def await_status(self, job: str, status: str, *, within_s: float = PATIENCE_S) -> dict[str, str]:
        """Wait until the row shows `status`, and return it."""
        eventually(lambda: self.row(job)["status"] == status, what=f"{job} {status}", within_s=within_s)
        return self.row(job)

    # -- commands ------------------------------------------------------------------------------------------

    def settings(self, **changes: object) -> None:
        """Write configs/queue.yaml: impatient, and with its own leases."""
        values = {"lease_folder": str(self.folder / "leases"), **IMPATIENT, **changes}
        path = self.folder / "configs" / "queue.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(values))  # JSON is YAML, too

    def command(
        self,
        *words: str,
        within_s: float = 60.0,
        environment: Mapping[str, str] | None = None,
        interpreter: str = sys.executable,
        user: int | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Carry out one command to its end."""
        return subprocess.run(
            [interpreter, str(PROGRAM), *words],
            cwd=self.folder,
            user=user,
            env=self._environment(environment or {}),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=within_s,
            check=False,
        )

    def run_until_idle(self, *flags: str, within_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        return self.command("run", "--until-idle", *flags, within_s=within_s)

    @contextmanager
    def manager(
        self, *flags: str, environment: Mapping[str, str] | None = None, within_s: float = PATIENCE_S
    ) -> Iterator[Manager]:
        """Start a manager and wait until it works; stop it afterwards."""
        output = self.folder / f"manager-{time.monotonic_ns()}.out"
        with output.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, str(PROGRAM), "run", *flags],
                cwd=self.folder,
                env=self._environment(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                text=True,
                start_new_session=True,
            )
        manager = Manager(process, output)
        try:
            eventually(lambda: self._works(manager), what="the manager's first turn", within_s=within_s)
            yield manager
        finally:
            manager.stop(signal.SIGKILL)

    def _works(self, manager: Manager) -> bool:
        assert manager.process.poll() is None, f"the manager ended: {manager.said()}"
        return self.live().get("pid") == manager.pid

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("QUEUE_", "CUDA_", "NVIDIA_", "PYTEST", "COV_"))
        }
        return {**inherited, **self.environment, **more}

    # -- what it leaves ------------------------------------------------------------------------------------

    def live(self) -> dict[str, Any]:
        """Return live.json, empty before the first turn."""
        try:
            facts = json.loads((self.root / "queue" / "live.json").read_text())
        except (OSError, ValueError):
            return {}
        assert isinstance(facts, dict)
        return facts

    def status(self, *ids: str) -> dict[str, Any]:
        answer = self.command("status", *ids, "--json")
        assert answer.returncode == 0, answer.stderr
        facts = json.loads(answer.stdout)
        assert isinstance(facts, dict)
        return facts

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Read the state; empty before there is one."""
        path = self.root / "queue" / "queue.sqlite"
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
            try:
                return db.execute(query, values).fetchall()
            except sqlite3.OperationalError:  # not yet made
                return []

    def events(self, *kinds: str) -> list[str]:
        """Return the texts of the events of these kinds, oldest first."""
        return [
            text for kind, text in self.ask("SELECT kind, text FROM events ORDER BY seq") if kind in kinds
        ]

    def attempts(self, job: str) -> list[dict[str, Any]]:
        """Return the attempts of a job as the state holds them, oldest first."""
        names = ("cause", "code", "signal", "devices", "reserve_mib", "stop_reason", "seed", "state")
        query = f"SELECT {', '.join(names)} FROM attempts WHERE job = ? ORDER BY rowid"  # noqa: S608 - constants
        found = self.ask(query, job)
        return [dict(zip(names, row, strict=True)) for row in found]

    def attempt(
        self, job: str, number: int = 1, *, seed: int | None = None, condition: str | None = None
    ) -> AttemptFolder:
        return RunFolder.of(self.root, job, condition=condition, seed=seed).attempt(number)

    def log(self, job: str, number: int = 1, *, seed: int | None = None) -> str:
        """Return what the job itself printed, without the queue's own lines."""
        lines = self.attempt(job, number, seed=seed).output.read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines if not line.startswith("[queue] "))

    def processes(self) -> list[ProcessIdentity]:
        """Return every living process of any attempt below this root."""
        return processes_of_root(self.root)


def processes_of_root(root: Path) -> list[ProcessIdentity]:
    """Return the living processes that carry QUEUE_ROOT=`root`."""
    mark = f"QUEUE_ROOT={root}".encode()
    found = []
    for stat in process_table():
        try:
            raw = Path(f"/proc/{stat.pid}/environ").read_bytes()
        except OSError:
            continue
        if mark in raw.split(b"\0"):
            found.append(ProcessIdentity(_boot_id(), stat.pid, stat.start_ticks))
    return found


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@contextmanager
def queue_in(
    folder: Path, *, environment: Mapping[str, str] | None = None, **settings: object
) -> Iterator[Queue]:
    """Give a queue in `folder`; afterwards none of its processes is left."""
    queue = Queue(folder.resolve(), environment or {})
    queue.settings(**settings)
    try:
        yield queue
    finally:
        kill_all(queue.processes)
        eventually(lambda: not queue.processes(), what="an empty process table")


@contextmanager
def queue_for_module(*, environment: Mapping[str, str] | None = None, **settings: object) -> Iterator[Queue]:
    """Give a queue that several tests look at; its folder is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="queue_"))
    try:
        with queue_in(folder, environment=environment, **settings) as queue:
            yield queue
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def row(id: str, command: str, **cells: str) -> dict[str, str]:
    """Return a row of Jobs.csv."""
    return {"id": id, "status": "open", "command": command, **cells}


def script(folder: Path, name: str, lines: Sequence[str]) -> str:
    """Write a Python program and return the command that runs it."""
    (folder / name).write_text("\n".join(lines) + "\n")
    return f"{sys.executable} {name}"
