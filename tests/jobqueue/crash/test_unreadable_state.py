"""queue.sqlite is cut, changed, emptied or gone: it is set aside, nothing runs twice, nothing is lost."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.builders.crash_points import CrashPoints
from tests.builders.queues import (
    Job,
    Queue,
    check_executions,
    check_table,
    eventually,
    queue_of,
    run_here,
)

JOBS = (
    Job("done", seeds=(0, 1)),
    Job("three", 0.0, "exit 3"),
    Job("weak", weak=1),
    Job("held", status="hold"),
    Job("last", "go"),
    Job("child", after="last"),
)
DB, WAL, SHM = "queue.sqlite", "queue.sqlite-wal", "queue.sqlite-shm"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    """Give a queue whose manager was killed -9 with one run under way, which has ended since."""
    with queue_of(tmp_path_factory.mktemp("killed") / "queue", JOBS) as queue:
        manager = queue.start()
        eventually(lambda: shows(queue, done="completed", weak="completed", last="running"), what="the work")
        manager.kill()
        (queue.folder / "go").touch()
        queue.wait_for_shims()
        yield queue


def shows(queue: Queue, **statuses: str) -> bool:
    rows = queue.rows()
    return all(rows[name]["status"] == status for name, status in statuses.items())


@contextmanager
def copy_of(queue: Queue, folder: Path) -> Iterator[Queue]:
    """Give a copy that may be spoilt."""
    shutil.copytree(queue.folder, folder)
    copy = Queue(folder, queue.jobs, queue.slots)
    copy.screens.mkdir()
    try:
        yield copy
    finally:
        copy.clean_up()
        shutil.rmtree(folder)


def end_as_ever(queue: Queue, spoil: Callable[[Path], object]) -> list[str]:
    """Spoil the state and run the queue to its end, which must be as ever; return what was said."""
    folder = queue.state.parent
    spoil(folder)
    spoilt = {name: (folder / name).read_bytes() for name in (DB, WAL) if (folder / name).is_file()}
    said = run_here(queue)
    check_executions(queue)
    aside = [path for path in folder.glob(f"{DB}.unreadable-*") if path.suffix not in ("-wal", "-shm")]
    if aside:
        assert any("set aside" in line and aside[0].name.partition("-wal")[0] in line for line in said)
        kept = {path.read_bytes() for path in folder.glob(f"{DB}.unreadable-*")}
        assert spoilt[DB] in kept or WAL in spoilt  # SQLite may have moved the log into the file before
    return said


@pytest.mark.parametrize(
    "name",
    ["cut to a byte", "cut to a page", "cut in the middle", "emptied", "zeros", "text", "gone", "all gone"],
)
def test_a_state_that_is_cut_or_gone_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: Queue, name: str
) -> None:
    with copy_of(killed, tmp_path / "copy") as queue:
        monkeypatch.chdir(queue.folder)
        checkpointed(queue)
        size = queue.state.stat().st_size
        spoils: dict[str, Callable[[Path], object]] = {
            "cut to a byte": lambda folder: cut(folder / DB, 1),
            "cut to a page": lambda folder: cut(folder / DB, 4096),
            "cut in the middle": lambda folder: cut(folder / DB, size // 2),
            "emptied": lambda folder: cut(folder / DB, 0),
            "zeros": lambda folder: (folder / DB).write_bytes(bytes(size)),
            "text": lambda folder: (folder / DB).write_text("id,status\n" * 500),
            "gone": lambda folder: (folder / DB).unlink(),
            "all gone": shutil.rmtree,
        }
        said = end_as_ever(queue, spoils[name])
        check_table(queue)
        assert any("runs taken from their folders" in line for line in said)


@pytest.mark.parametrize("count", [15, pytest.param(400, marks=pytest.mark.slow)])
def test_a_state_with_changed_bytes_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: Queue, count: int
) -> None:
    chance = random.Random(count)  # noqa: S311 - places, not secrets
    for number in range(count):
        with copy_of(killed, tmp_path / str(number)) as queue:
            monkeypatch.chdir(queue.folder)
            checkpointed(queue)
            end_as_ever(queue, lambda folder: flip(folder / DB, chance))
            check_table(queue)


@pytest.mark.parametrize("count", [10, pytest.param(300, marks=pytest.mark.slow)])
def test_a_log_that_is_changed_cut_or_gone_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: Queue, count: int
) -> None:
    chance = random.Random(count)  # noqa: S311 - places, not secrets
    for number in range(count):
        with copy_of(killed, tmp_path / str(number)) as queue:
            monkeypatch.chdir(queue.folder)
            end_as_ever(queue, chance.choice([cut_log, flip_log, drop_log, drop_file])(chance))
            rows = queue.rows()  # a state set back to an older one may doubt a word, and then it says so
            assert all(rows[job.id]["status"] == job.final_status or rows[job.id]["message"] for job in JOBS)


def test_a_manager_killed_while_it_rebuilds_the_state_loses_and_doubles_nothing(
    tmp_path: Path, killed: Queue
) -> None:
    for at in range(8, 130, 24):
        rebuilt_and_killed_at(tmp_path / str(at), killed, at)


@pytest.mark.slow
def test_a_manager_killed_at_any_point_of_the_rebuild_loses_and_doubles_nothing(
    tmp_path: Path, killed: Queue
) -> None:
    at = 1
    while rebuilt_and_killed_at(tmp_path / str(at), killed, at):
        at += 1
    assert at > 100


def rebuilt_and_killed_at(folder: Path, killed: Queue, at: int) -> bool:
    """Kill a manager that sets a state aside and builds a new one; return whether it was killed."""
    with copy_of(killed, folder) as queue:
        (queue.state).write_text("no database")
        points = CrashPoints(queue.folder, folder.with_suffix(".log"), at=at)
        code = queue.run_to_end(**points.environment())
        hit = code == -signal.SIGKILL
        if hit:
            queue.run_to_end()
        check_executions(queue)
        check_table(queue)
    return hit


def checkpointed(queue: Queue) -> None:
    """Let SQLite move its log into the file, so that the file holds everything."""
    db = sqlite3.connect(queue.state)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def flip(path: Path, chance: random.Random) -> None:
    """Change a few bits in one place."""
    raw = bytearray(path.read_bytes())
    place = chance.randrange(len(raw))
    raw[place] ^= 1 << chance.randrange(8)
    path.write_bytes(raw)


def cut_log(chance: random.Random) -> Callable[[Path], object]:
    return lambda folder: cut(folder / WAL, chance.randrange((folder / WAL).stat().st_size))


def flip_log(chance: random.Random) -> Callable[[Path], object]:
    return lambda folder: flip(folder / WAL, chance)


def drop_log(_: random.Random) -> Callable[[Path], object]:
    return lambda folder: (folder / WAL).unlink()


def drop_file(_: random.Random) -> Callable[[Path], object]:
    return lambda folder: (folder / DB).unlink()
