"""A disk that is really full: nothing new starts, nothing is lost, and the queue goes on by itself.

Answers of a pretended disk at each single write are in test_write_points.py.
"""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.builders.queues import Job, Manager, Queue, check_all, eventually, queue_of

JOBS = (
    Job("first", "go", seeds=(0, 1)),
    Job("other", "go"),
    Job("weak", 0.05, weak=1),
    Job("child", 0.0, after="first:all"),
)
DISK_MIB = 48
"""With less than 16 MiB of room a silent failure counts as one of the disk, and is tried again."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a disk of 48 MiB; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    mounted = subprocess.run(words, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_below_the_floor_nothing_starts_until_there_is_room(disk: Path) -> None:
    with queue_of(disk / "queue", JOBS, slots=4, free_disk_floor_mib=str(DISK_MIB // 2)) as queue:
        filler = fill(disk, leave_mib=1)
        manager = queue.start()
        eventually(lambda: "starts before there is room" in why(queue), what="the pause")
        time.sleep(0.5)
        assert not queue.count()
        (queue.folder / "go").touch()
        filler.unlink()
        check_all(queue, exit_code=manager.wait())


@pytest.mark.parametrize("leave_mib", [0.0, 0.05])
def test_a_disk_that_fills_up_while_runs_go_on_loses_nothing(
    disk: Path, tmp_path: Path, leave_mib: float
) -> None:
    with queue_of(disk / "queue", JOBS, slots=3) as queue:
        keep_elsewhere(queue, tmp_path / "ledger")
        manager = queue.start()
        eventually(lambda: queue.count()["first:1"] and queue.count()["other:"], what="the first starts")
        filler = fill(disk, leave_mib=leave_mib)
        (queue.folder / "go").touch()
        eventually(lambda: ends_told(queue) >= 3, what="the end of the jobs")
        time.sleep(1.5)
        assert manager.process.poll() is None, manager.said()
        filler.unlink()
        code = manager.wait()
        check_all(queue, exit_code=code)


def test_a_disk_that_is_full_when_the_manager_is_killed_loses_nothing(disk: Path, tmp_path: Path) -> None:
    with queue_of(disk / "queue", JOBS, slots=4) as queue:
        keep_elsewhere(queue, tmp_path / "ledger")
        manager = queue.start()
        eventually(lambda: queue.count()["first:1"] and queue.count()["other:"], what="the first starts")
        filler = fill(disk, leave_mib=0)
        (queue.folder / "go").touch()
        eventually(lambda: ends_told(queue) >= 3, what="the end of the jobs")
        manager.kill()
        refused = queue.start()
        with suppress(subprocess.TimeoutExpired):
            refused.process.wait(2.0)
        assert "Traceback" not in refused.said()
        filler.unlink()
        code = refused.wait() if refused.process.poll() is None else queue.run_to_end()
        check_all(queue, exit_code=code)


def test_a_limit_on_the_size_of_files_stops_the_queue_for_that_while_only(tmp_path: Path) -> None:
    with queue_of(tmp_path / "queue", JOBS, slots=4) as queue:
        manager = queue.start()
        eventually(lambda: queue.count()["first:1"] and queue.count()["other:"], what="the first starts")
        limit(manager, queue.state.with_name("queue.sqlite-wal").stat().st_size)
        (queue.folder / "go").touch()
        eventually(lambda: "cannot be written" in manager.said(), what="the complaint")
        time.sleep(0.5)
        assert not queue.count()["child:"]
        limit(manager, resource.RLIM_INFINITY)
        check_all(queue, exit_code=manager.wait())


def fill(disk: Path, *, leave_mib: float) -> Path:
    """Write a file that leaves so much room."""
    filler = disk / "filler"
    facts = os.statvfs(disk)
    size = facts.f_bavail * facts.f_frsize - int(leave_mib * 2**20)
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        for _ in range(size // 4096):
            file.write(bytes(4096))
    return filler


def keep_elsewhere(queue: Queue, ledger: Path) -> None:
    """Let the jobs write their ledger to another disk: it is the truth that all else is compared with."""
    ledger.touch()
    (queue.folder / "ledger").unlink()
    (queue.folder / "ledger").symlink_to(ledger)


def ends_told(queue: Queue) -> int:
    return sum(execution.end_us is not None for execution in queue.executions())


def why(queue: Queue) -> str:
    answer = queue.command("why", "first")
    return answer.stdout + answer.stderr


def limit(manager: Manager, size_bytes: int) -> None:
    """Bound the size of the files that the manager may write; jobs that run already have their own bound."""
    hard = resource.prlimit(manager.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(manager.pid, resource.RLIMIT_FSIZE, (size_bytes, hard))
