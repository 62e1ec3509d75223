"""A real queue for tests: manager, shims and jobs as processes in a temporary folder, and what is true.

Each job adds a line to `ledger` when it starts and when it is about to end, by one write with O_APPEND. So
the ledger knows every execution, also those that the queue has forgotten. It is compared with exit.json,
queue.sqlite and Jobs.csv.
"""

from __future__ import annotations

import atexit
import csv
import functools
import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from pkgs.jobqueue.attempts.processes import Host, ProcessIdentity, identify, kill_all, process_table
from pkgs.jobqueue.manager.assemble import Options, begin, build, open_state
from pkgs.jobqueue.manager.clock import SystemClock
from pkgs.jobqueue.manager.engine import Engine
from pkgs.jobqueue.manager.manager import Manager as InProcess
from pkgs.jobqueue.manager.settings import load_settings

T = TypeVar("T")
DEADLINE_S = 60.0
"""Generous: it only ends tests that hang; the machine may be busy with other things."""
CODE = Path(__file__).parents[2]
JOB = """\
# job.sh TIME END [WEAK]: TIME is seconds or a file to wait for, END is `exit N` or `die SIGNAL`; the first
# WEAK executions die by SIGKILL instead.
run="$QUEUE_JOB:$QUEUE_SEED"
moment() { now=${EPOCHREALTIME//[.,]/}; }
moment; printf 'start %s %s %s\\n' "$run" "$QUEUE_ATTEMPT" "$now" >> ledger
case "$1" in
  0) ;;
  [0-9]*) sleep "$1" ;;
  *) until [ -e "$1" ]; do sleep 0.02; done ;;
esac
mapfile -t lines < ledger
executions=0
for line in "${lines[@]}"; do [[ $line == "start $run "* ]] && executions=$((executions + 1)); done
moment; printf 'end %s %s %s\\n' "$run" "$QUEUE_ATTEMPT" "$now" >> ledger
if [ "$executions" -le "${3:-0}" ]; then kill -KILL $$; fi
case "$2" in
  exit*) exit "${2#exit }" ;;
  die*) kill -"${2#die }" $$ ;;
esac
"""
COLUMNS = ("id", "status", "command", "seeds", "after", "gpus", "retries", "progress", "message", "rev")
SETTINGS = {
    "retry_pauses_s": "[0.05]",
    "grace_s": "0.5",
    "lease_folder": "leases",
    "free_disk_floor_mib": "0",
    "failures_to_hold": "100",
}


def eventually(look: Callable[[], T | None], *, what: str, within_s: float = DEADLINE_S) -> T:
    """Return the first true answer of `look`; fail when there is none in time."""
    deadline_s = time.monotonic() + within_s
    while True:
        answer = look()
        if answer:
            return answer
        assert time.monotonic() < deadline_s, f"{what} did not come true within {within_s} s"
        time.sleep(0.004)


@dataclass(frozen=True)
class Job:
    """A row, and what the rules make of it."""

    id: str
    time: float | str = 0.0
    """Seconds, or the file that it waits for."""
    end: str = "exit 0"
    """`exit N` or `die SIGNAL`, as job.sh takes it."""
    weak: int = 0
    """So many executions die by SIGKILL first."""
    seeds: tuple[int, ...] = ()
    after: str = ""
    retries: int = 1
    status: str = "open"
    gpus: int = 0

    @property
    def runs(self) -> list[str]:
        """The names of its runs in the ledger."""
        return [f"{self.id}:{seed}" for seed in self.seeds] or [f"{self.id}:"]

    @property
    def executions(self) -> int:
        """How often the rules let each run be executed: SIGKILL is tried again, everything else is not."""
        if self.status != "open":
            return 0
        deaths = self.retries + 1 if self.end == "die KILL" else self.weak
        return min(deaths + (self.end != "die KILL"), self.retries + 1)

    @property
    def final_status(self) -> str:
        if self.status != "open":
            return self.status
        return "completed" if self.end == "exit 0" and self.weak <= self.retries else "failed"

    @property
    def last_end(self) -> tuple[int | None, int | None]:
        """Code and signal of the last execution."""
        word, value = self.end.split()
        if self.weak > self.retries:
            return None, int(signal.SIGKILL)
        return (int(value), None) if word == "exit" else (None, int(signal.Signals[f"SIG{value}"]))

    def row(self) -> dict[str, str]:
        time = self.time if isinstance(self.time, str) else f"{self.time:g}"
        words = ["bash", "job.sh", time, self.end, str(self.weak)]
        return {
            "id": self.id,
            "status": self.status,
            "command": shlex.join(words),
            "seeds": " ".join(map(str, self.seeds)),
            "after": self.after,
            "gpus": str(self.gpus),
            "retries": str(self.retries),
        }


@dataclass(frozen=True)
class Execution:
    """One time that a job really ran, by its own account."""

    run: str
    attempt: str
    start_us: int
    end_us: int | None


@dataclass
class Manager:
    """A manager's process, with its screen in a file."""

    process: subprocess.Popen[bytes]
    screen: Path
    born_s: float = field(default_factory=time.time)
    identity: ProcessIdentity | None = None

    def wait(self, within_s: float = DEADLINE_S) -> int:
        """Return its exit code; negative: the signal."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"the manager did not end within {within_s} s; it said:\n{self.said()}"
            ) from None

    def kill(self) -> None:
        """SIGKILL, as often as you like."""
        self.process.kill()
        self.process.wait()

    def said(self) -> str:
        return self.screen.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self.process.pid


@dataclass
class Queue:
    """One root with its Jobs.csv."""

    folder: Path
    jobs: Sequence[Job]
    slots: int = 3
    gpus: str = "none"
    """As `--gpus` takes it."""
    managers: list[Manager] = field(default_factory=list)

    @property
    def screens(self) -> Path:
        """What managers print; not on the disk that tests fill."""
        return self.folder.with_name(f"{self.folder.name}.screens")

    @property
    def root(self) -> Path:
        return self.folder / "logs_and_checkpoints"

    @property
    def state(self) -> Path:
        return self.root / "queue" / "queue.sqlite"

    @property
    def table(self) -> Path:
        return self.folder / "Jobs.csv"

    def write(self, **settings: str) -> None:
        """Write Jobs.csv, job.sh and configs/queue.yaml."""
        (self.folder / "configs").mkdir(parents=True, exist_ok=True)
        (self.folder / "tmp").mkdir(exist_ok=True)
        self.screens.mkdir(exist_ok=True)
        (self.folder / "job.sh").write_text(JOB)
        (self.folder / "ledger").touch()
        lines = [f"{name}: {value}\n" for name, value in {**SETTINGS, **settings}.items()]
        (self.folder / "configs" / "queue.yaml").write_text("".join(lines))
        with self.table.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(job.row() for job in self.jobs)

    def environment(self) -> dict[str, str]:
        """Return what a process of this queue finds; byte code and temporary files are its own."""
        foreign = ("QUEUE_", "CUDA_", "PYTHON")
        base = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return base | {
            "PYTHONPATH": str(CODE),
            "PYTHONPYCACHEPREFIX": str(byte_code()),
            "TMPDIR": str(self.folder / "tmp"),
        }

    def start(self, *arguments: str, **environment: str) -> Manager:
        """Start a manager that ends when nothing is left to do."""
        screen = self.screens / str(len(self.managers))
        command = [sys.executable, str(CODE / "QueueManager.py"), "run", "--until-idle", "--plain"]
        command += ["--gpus", self.gpus, "--cpu-slots", str(self.slots), "--poll", "0.05", *arguments]
        with screen.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment() | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.managers.append(Manager(process, screen))
        return self.managers[-1]

    def command(self, *words: str, within_s: float = DEADLINE_S) -> subprocess.CompletedProcess[str]:
        """Carry out one command of QueueManager.py beside the manager."""
        return subprocess.run(
            [sys.executable, str(CODE / "QueueManager.py"), *words],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=within_s,
        )

    def run_to_end(self, *arguments: str, **environment: str) -> int:
        """Start a manager and return its exit code."""
        return self.start(*arguments, **environment).wait()

    def said(self) -> str:
        """Return what all managers have printed."""
        return "".join(f"-- manager {number}\n{one.said()}" for number, one in enumerate(self.managers))

    # -- the truth

    def executions(self) -> list[Execution]:
        """Return what the jobs themselves have written, in order of their starts."""
        found: dict[tuple[str, str], Execution] = {}
        for line in (self.folder / "ledger").read_text().splitlines():
            word, run, attempt, moment = line.split(" ")
            if word == "start":
                assert (run, attempt) not in found, f"attempt {attempt} of {run} was executed twice"
                found[run, attempt] = Execution(run, attempt, int(moment), None)
            else:
                found[run, attempt] = Execution(run, attempt, found[run, attempt].start_us, int(moment))
        return list(found.values())

    def count(self) -> Counter[str]:
        """Return how often each run was executed."""
        return Counter(execution.run for execution in self.executions())

    def exits(self) -> dict[str, dict[str, Any]]:
        """Return every exit.json by attempt."""
        records = [json.loads(path.read_bytes()) for path in self.root.rglob("exit.json")]
        return {record["attempt"]: record for record in records}

    def rows(self) -> dict[str, dict[str, str]]:
        """Return Jobs.csv by id."""
        with self.table.open(newline="") as file:
            return {row["id"]: row for row in csv.DictReader(file)}

    def ask(self, question: str) -> list[sqlite3.Row]:
        """Ask queue.sqlite."""
        with closing(sqlite3.connect(f"file:{self.state}?mode=ro", uri=True, timeout=20)) as db:
            db.row_factory = sqlite3.Row
            return db.execute(question).fetchall()

    def attempts(self) -> dict[str, sqlite3.Row]:
        """Return the queue's own account of its attempts, by id."""
        return {row["id"]: row for row in self.ask("SELECT * FROM attempts")}

    def shims(self) -> list[ProcessIdentity]:
        """Return the living shims of this root."""
        mine = os.fsencode(str(self.root))
        found = (identify(stat.pid) for stat in process_table() if mine in _command_line(stat.pid))
        return [identity for identity in found if identity is not None]

    def wait_for_shims(self) -> None:
        eventually(lambda: not self.shims(), what="the end of all attempts")

    def clean_up(self) -> None:
        """End what a failed test leaves."""
        for manager in self.managers:
            manager.kill()
        mine = os.fsencode(f"QUEUE_ROOT={self.root}")
        kill_all(
            lambda: [
                found
                for stat in process_table()
                if mine in _environment(stat.pid) and (found := identify(stat.pid))
            ]
        )


@contextmanager
def queue_of(
    folder: Path, jobs: Sequence[Job], *, slots: int = 3, gpus: str = "none", **settings: str
) -> Iterator[Queue]:
    """Write a queue; leave no process behind."""
    folder.mkdir(parents=True, exist_ok=True)
    queue = Queue(folder.resolve(), jobs, slots, gpus)
    queue.write(**settings)
    try:
        yield queue
    finally:
        queue.clean_up()


def run_here(queue: Queue, *, host: Host | None = None) -> list[str]:
    """Let a manager of this very process, in the queue's folder, end the queue; return what it said."""
    state, notices, rebuild = open_state(queue.root, clock=SystemClock())
    options = Options(jobs=queue.table, root=queue.root, gpus=queue.gpus, cpu_slots=queue.slots)
    engine = build(options, load_settings(), state)
    engine.host = host or engine.host
    deadline_s = time.monotonic() + DEADLINE_S

    def hurry(_: Engine) -> None:
        assert time.monotonic() < deadline_s, f"not idle after {DEADLINE_S} s: {list(engine.events)}"

    try:
        begin(engine, rebuild=rebuild)
        manager = InProcess(engine, poll_s=0.02)
        assert manager.run(until_idle=True, after_turn=hurry)
        manager.finish()
    finally:
        state.close()
    return [*notices, *(event.text for event in engine.events)]


def check_all(queue: Queue, *, exit_code: int | None = None) -> None:
    """Assert that nothing was lost or doubled, and that all accounts of what happened agree."""
    check_executions(queue)
    check_places(queue)
    check_ends(queue)
    check_table(queue)
    if exit_code is not None:
        fine = not any(job.final_status == "failed" for job in queue.jobs)
        assert exit_code == (0 if fine else 1), queue.managers[-1].said()


def check_executions(queue: Queue) -> None:
    """Assert that every run was executed as often as the rules say, and never twice at once."""
    expected = Counter({run: job.executions for job in queue.jobs for run in job.runs})
    assert queue.count() == expected, f"{queue.count()} instead of {expected}\n{queue.said()}"
    exits = queue.exits()
    by_run: dict[str, list[Execution]] = {}
    for execution in queue.executions():
        by_run.setdefault(execution.run, []).append(execution)
    for run, executions in by_run.items():
        ordered = sorted(executions, key=lambda execution: execution.start_us)
        for one, other in pairwise(ordered):
            assert exits[one.attempt]["end_unix_s"] * 1e6 <= other.start_us, f"{run} ran twice at once"
    check_order(queue, by_run)


def check_order(queue: Queue, by_run: Mapping[str, Sequence[Execution]]) -> None:
    """Assert that each run of a child started after the runs that it waits for had ended."""
    exits, parents = queue.exits(), {job.id: job for job in queue.jobs}
    for child in queue.jobs:
        parent = parents.get(child.after.partition(":")[0])
        for run in child.runs if parent else ():
            assert parent is not None
            twin = f"{parent.id}:{run.partition(':')[2]}"
            awaited = [twin] if twin in parent.runs and ":" not in child.after else parent.runs
            ended_us = max(exits[by_run[name][-1].attempt]["end_unix_s"] * 1e6 for name in awaited)
            assert ended_us <= by_run[run][0].start_us, f"{run} started before the end of {awaited}"


def check_places(queue: Queue) -> None:
    """Assert that no device had two attempts at once, and that there were never more CPU runs than slots."""
    moments: dict[str, list[tuple[float, int]]] = {}
    for name, record in queue.exits().items():
        for place in queue.attempts()[name]["devices"].split() or ["CPU"]:
            both = [(record["start_unix_s"], 1), (record["end_unix_s"], -1)]
            moments.setdefault(place, []).extend(both)
    for place, changes in moments.items():
        most, now = 0, 0
        for _, change in sorted(changes):  # an end counts before a start of the same moment
            now += change
            most = max(most, now)
        assert most <= (queue.slots if place == "CPU" else 1), f"{most} at once on {place}\n{queue.said()}"


def check_ends(queue: Queue) -> None:
    """Assert that exit.json, queue.sqlite and the ledger tell the same code, signal and times."""
    exits, attempts, executions = queue.exits(), queue.attempts(), queue.executions()
    assert exits.keys() == {execution.attempt for execution in executions}
    ended = {name for name, row in attempts.items() if row["state"] == "ended"}
    assert {row["state"] for row in attempts.values()} <= {"ended", "void"}
    assert exits.keys() <= ended
    for name in ended - exits.keys():  # written down, and then there was no room to start it
        assert (attempts[name]["cause"], attempts[name]["start_unix_s"]) == ("disk full", None)
    last: dict[str, str] = {}
    for execution in executions:
        record, row = exits[execution.attempt], attempts[execution.attempt]
        for name in ("code", "signal", "start_unix_s", "end_unix_s", "peak_rss_bytes", "cpu_s"):
            assert row[name] == record[name], f"{execution.run}: {name}"
        assert execution.end_us is not None, f"{execution.run} was cut short"
        slack_s = 0.002  # both clocks are the same; one is read a system call later and rounded
        assert record["start_unix_s"] - slack_s <= execution.start_us / 1e6
        assert execution.end_us / 1e6 <= record["end_unix_s"] + slack_s
        last[execution.run] = execution.attempt
    for job in queue.jobs:
        for run in job.runs if job.executions else ():
            record = exits[last[run]]
            assert (record["code"], record["signal"]) == job.last_end, run


def check_table(queue: Queue) -> None:
    """Assert that Jobs.csv shows the true end of every job."""
    rows = queue.rows()
    shown = {name: row["status"] for name, row in rows.items()}
    expected = {job.id: job.final_status for job in queue.jobs}
    assert shown == expected, f"{shown} instead of {expected}\n{queue.said()}"
    for job in queue.jobs:
        ended = len(job.runs) if job.executions else 0
        assert rows[job.id]["progress"] == f"{ended} of {len(job.runs)}"
        assert bool(rows[job.id]["message"]) == (job.final_status != "completed"), rows[job.id]["message"]
        assert rows[job.id]["command"] == job.row()["command"]


@functools.cache
def byte_code() -> Path:
    """Return a folder for the managers' byte code: only the first start compiles."""
    folder = Path(tempfile.mkdtemp(prefix="queue_byte_code_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _command_line(pid: int) -> bytes:
    return _read(f"/proc/{pid}/cmdline")


def _environment(pid: int) -> bytes:
    return _read(f"/proc/{pid}/environ")


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
