"""Start, `status` and idling with many rows (queue.md section 4). Minutes long, so only in the full set."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.managers import Queue, eventually, queue_in, row

pytestmark = pytest.mark.slow

BUSY = 2.5
"""The targets are for a machine at rest; the one that runs all tests may share its cores."""


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with queue_in(tmp_path) as queue:
        yield queue


def fill(queue: Queue, rows: int) -> None:
    """Write a table in which everything waits for a row on hold, and one row may run at once."""
    waiting = (
        row(f"study{n // 10}/job{n}", f"python train.py --x {n}", after="gate") for n in range(rows - 2)
    )
    queue.write(row("gate", "true", status="hold"), *waiting, row("at_once", "true", gpus="0"))


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def first_start_s(queue: Queue, job: str) -> float:
    """Start a manager; return after how long the row that may run was running."""
    began_s = time.time()
    with queue.manager("--gpus", "none", within_s=120):
        query = "SELECT start_unix_s FROM attempts WHERE job = ? AND start_unix_s > ?"
        started = eventually(lambda: queue.ask(query, job, began_s), what=job, within_s=120)
    return float(started[0][0]) - began_s


@pytest.mark.parametrize(("rows", "target_s"), [(10_000, 1.0), (100_000, 5.0)])
def test_a_manager_of_many_rows_starts_its_first_run_soon(queue: Queue, rows: int, target_s: float) -> None:
    fill(queue, rows)
    first_start_s(queue, "at_once")
    queue.edit("at_once", status="rerun")
    again_s = first_start_s(queue, "at_once")
    assert again_s <= BUSY * target_s


def test_status_of_10_000_rows_answers_at_once(queue: Queue) -> None:
    fill(queue, 10_000)
    with queue.manager("--gpus", "none"):
        times_s: list[float] = []
        for _ in range(5):
            began_s = time.monotonic()
            assert queue.command("status").returncode == 0
            times_s.append(time.monotonic() - began_s)
    assert min(times_s) <= BUSY * 0.5


def test_an_idle_manager_of_10_000_rows_costs_next_to_nothing(queue: Queue) -> None:
    fill(queue, 10_000)
    with queue.manager("--gpus", "none") as manager:
        queue.await_status("at_once", "completed", within_s=60)
        time.sleep(15)  # at rest: for some 8 s it notes the code of the new rows, 400 a turn
        before_s = cpu_s(manager.pid)
        time.sleep(20)
        percent = 100 * (cpu_s(manager.pid) - before_s) / 20
        resident = int(Path(f"/proc/{manager.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert percent <= 0.5
    assert resident / 2**20 <= 120
