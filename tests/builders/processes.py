"""Real attempts for tests: prepared in a temporary folder, started under the real shim, ended afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pkgs.foundation.run_folder import AttemptFolder, RunFolder
from pkgs.jobqueue.attempts import attempts
from pkgs.jobqueue.attempts.attempts import ExitRecord, LaunchSpec, Watched
from pkgs.jobqueue.attempts.processes import Host, kill_all, processes_of_attempt

T = TypeVar("T")
DEADLINE_S = 10.0


def eventually(look: Callable[[], T | None], *, what: str = "it", within_s: float = DEADLINE_S) -> T:
    """Return the first true answer of `look`; fail when there is none in time."""
    deadline_s = time.monotonic() + within_s
    while True:
        answer = look()
        if answer:
            return answer
        assert time.monotonic() < deadline_s, f"{what} did not come true within {within_s} s"
        time.sleep(0.005)


def launch_spec(root: Path, command: str, **changes: object) -> LaunchSpec:
    """Return what is needed to start `command` as attempt 1 of the run `job` below `root`."""
    run = RunFolder.of(root, "job")
    spec = LaunchSpec(
        attempt=f"job-1-{uuid.uuid4().hex[:8]}",
        folder=run.attempt(1),
        run_dir=run.path,
        command=command,
        cwd=root,
        environment={"CUDA_VISIBLE_DEVICES": ""},
        grace_s=0.5,
    )
    return replace(spec, **changes)  # type: ignore[arg-type]


@contextmanager
def running(spec: LaunchSpec, *, host: Host | None = None) -> Iterator[Watched]:
    """Start the attempt; leave nothing of it behind."""
    attempts.prepare(spec, host=host)
    watched = attempts.start(spec, host=host)
    try:
        yield watched
    finally:
        kill_all(lambda: processes_of_attempt(spec.attempt))
        eventually(lambda: not processes_of_attempt(spec.attempt), what="an empty process table")
        attempts.release(watched.pidfd)


def end_of(spec: LaunchSpec) -> ExitRecord:
    """Wait for exit.json and return it."""
    return eventually(lambda: attempts.read_exit(spec.folder, spec.attempt), what="exit.json")


def run_to_end(spec: LaunchSpec) -> ExitRecord:
    """Run the attempt until nothing of it is left."""
    with running(spec):
        record = end_of(spec)
        eventually(lambda: not processes_of_attempt(spec.attempt), what="the end of all that it left")
    return record


def said(folder: AttemptFolder) -> str:
    """Return output.log without the queue's own lines."""
    lines = folder.output.read_text(errors="replace").splitlines()
    return "\n".join(line for line in lines if not line.startswith("[queue] "))


def number_in(path: Path) -> int:
    """Wait until a process has written a number into `path`, and return it."""
    eventually(lambda: path.exists() and path.read_text().strip().isdecimal(), what=str(path))
    return int(path.read_text())


@contextmanager
def stranger(environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """Run an innocent process that leads a session, and give its pid; it must survive the test."""
    environ = {**os.environ, **(environment or {})}
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=environ, start_new_session=True
    )
    try:
        yield process.pid
        assert process.poll() is None, "the stranger was killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


@contextmanager
def orphan_zombie(folder: Path) -> Iterator[int]:
    """Give the pid of a process that has ended and whose parent does not ask for its end."""
    note = folder / "zombie.pid"
    code = (
        "import os, sys, time\n"
        "pid = os.fork() or os._exit(0)\n"
        f"open({str(note)!r}, 'w').write(str(pid))\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        yield number_in(note)
    finally:
        parent.kill()
        parent.wait()


def run_dead_manager(spec: LaunchSpec, *, kill_after_s: float = 0.0) -> None:
    """Prepare and start the attempt from another process, which is killed -9 right afterwards."""
    code = (
        "import os, sys, time, pickle\n"
        "from pkgs.jobqueue.attempts import attempts\n"
        "spec = pickle.load(sys.stdin.buffer)\n"
        "attempts.prepare(spec)\n"
        "attempts.start(spec)\n"
        f"time.sleep({kill_after_s})\n"
        "os.kill(os.getpid(), 9)\n"
    )
    import pickle

    root = Path(__file__).parents[2]
    manager = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(spec), cwd=root, check=False, timeout=DEADLINE_S
    )
    assert manager.returncode == -signal.SIGKILL
