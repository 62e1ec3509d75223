"""The manager is killed, or refused its writes, at each of its write points in turn: the end is the same.

The default set takes every so-many-th point; the tests marked slow take them all.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.builders.crash_points import Call, CrashPoints
from tests.builders.queues import Job, Queue, check_all, check_ends, eventually, queue_of

JOBS = (
    Job("first", 0.05, seeds=(0, 1)),
    Job("weak", 0.03, weak=1),
    Job("child", 0.0, after="first:all"),
    Job("held", status="hold"),
)
STATE = "logs_and_checkpoints/queue/queue.sqlite"
KILL_STRIDE, FAIL_STRIDE = 53, 97
"""Primes: each test of the default set meets other kinds of calls."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """Return what the manager does when nothing happens to it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with queue_of(folder / "queue", JOBS) as queue:
        points = CrashPoints(queue.folder, folder / "log")
        check_all(queue, exit_code=queue.run_to_end(**points.environment()))
    return points.calls()


def test_every_start_is_committed_and_synced_before_it(undisturbed: list[Call]) -> None:
    starts = [place for place, call in enumerate(undisturbed) if call.name == "start"]
    assert len(starts) == 5
    for place in starts:
        before = [call.name for call in undisturbed[:place] if call.path == f"{STATE}-wal"]
        assert before[-1] == "fdatasync"


def test_the_table_is_replaced_by_a_whole_synced_file(undisturbed: list[Call]) -> None:
    swaps = [place for place, call in enumerate(undisturbed) if call.name == "renameat2"]
    assert len(swaps) >= 2
    for place in swaps:
        calls = undisturbed[place - 3 : place + 3]
        assert [call.name for call in calls] == ["write", "fsync", "rename", "renameat2", "rename", "fsync"]
        assert [call.path for call in calls[:3]] == [".Jobs.csv.draft"] * 3
        assert (calls[2].to, calls[3].path, calls[3].to) == (".Jobs.csv.next", ".Jobs.csv.next", "Jobs.csv")


def test_what_the_table_shows_is_remembered_before(undisturbed: list[Call]) -> None:
    for place, call in enumerate(undisturbed):
        if call.name == "renameat2":
            before = [other.name for other in undisturbed[:place] if other.path == f"{STATE}-wal"]
            assert before[-1] == "fdatasync"


def test_nothing_else_touches_the_table_or_deletes_anything_of_a_run(undisturbed: list[Call]) -> None:
    assert {call.name for call in undisturbed if "Jobs.csv" in (call.path, call.to)} == {"renameat2"}
    gone = {call.path for call in undisturbed if call.name == "unlink" and call.outcome == "done"}
    assert {Path(path).parent for path in gone} <= {Path(STATE).parent}


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_a_write_point_it_loses_and_doubles_nothing(
    tmp_path: Path, undisturbed: list[Call], *, after: bool
) -> None:
    last = undisturbed[-1].number
    for at in range(5 + 14 * after, last, KILL_STRIDE):
        assert killed_at(tmp_path / str(at), at, after=after)


@pytest.mark.parametrize("kind", ["start", "renameat2"])
def test_killed_at_a_start_or_a_swap_it_loses_and_doubles_nothing(
    tmp_path: Path, undisturbed: list[Call], kind: str
) -> None:
    for call in [call for call in undisturbed if call.name == kind][:4]:
        killed_at(tmp_path / str(call.number), call.number, after=True)


def test_killed_while_a_shim_is_slow_to_start_it_waits_for_the_shim_to_say_who_it_is(
    tmp_path: Path, undisturbed: list[Call]
) -> None:
    first = next(call for call in undisturbed if call.name == "start")
    with queue_of(tmp_path / "queue", JOBS) as queue:
        points = CrashPoints(queue.folder, tmp_path / "log", at=first.number, nap_s=1.4)
        assert queue.run_to_end(**points.environment()) == -signal.SIGKILL
        check_all(queue, exit_code=queue.run_to_end())
        assert len(queue.ask("SELECT 1 FROM events WHERE kind = 'adopted'")) == 1


def test_a_table_that_cannot_be_written_for_a_while_holds_up_no_run(tmp_path: Path) -> None:
    room = tmp_path / "room"
    with queue_of(tmp_path / "queue", JOBS) as queue:
        only = {"at": 1, "errno": errno.ENOSPC, "until": room, "only": "Jobs.csv"}
        manager = queue.start(**CrashPoints(queue.folder, tmp_path / "log", **only).environment())  # type: ignore[arg-type]
        eventually(lambda: len(queue.exits()) == 5, what="the end of all runs")
        assert queue.rows()["first"]["status"] == "open"
        room.touch()
        check_all(queue, exit_code=manager.wait())
        assert manager.said().count("Jobs.csv cannot be written") == 1


def test_a_table_that_may_not_be_written_at_all_ends_no_queue(tmp_path: Path) -> None:
    with queue_of(tmp_path / "queue", JOBS) as queue:
        never = tmp_path / "never"
        only = {"at": 1, "errno": errno.EACCES, "until": never, "only": "Jobs.csv"}
        points = CrashPoints(queue.folder, tmp_path / "log", **only)  # type: ignore[arg-type]
        assert queue.run_to_end(**points.environment()) == 0
        assert "Jobs.csv cannot be written" in queue.said()
        check_all(queue, exit_code=queue.run_to_end())


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_write_point_it_loses_and_doubles_nothing(tmp_path: Path, *, after: bool) -> None:
    at = 1
    while killed_at(tmp_path / str(at), at, after=after):
        at += 1
    assert at > 250


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT], ids=["ENOSPC", "EIO", "EDQUOT"])
def test_a_write_that_fails_once_harms_nothing(tmp_path: Path, undisturbed: list[Call], number: int) -> None:
    for call in failing(undisturbed)[number % 7 :: FAIL_STRIDE]:
        failed_at(tmp_path / str(call.number), call, number)


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT], ids=["ENOSPC", "EIO", "EDQUOT"])
def test_any_write_that_fails_once_harms_nothing(
    tmp_path: Path, undisturbed: list[Call], number: int
) -> None:
    for call in failing(undisturbed)[:: 1 if number == errno.ENOSPC else 5]:
        failed_at(tmp_path / str(call.number), call, number)


def test_a_disk_that_is_full_for_a_while_stops_the_queue_for_that_while_only(
    tmp_path: Path, undisturbed: list[Call]
) -> None:
    for call in working(undisturbed)[11 :: 2 * FAIL_STRIDE]:
        full_from(tmp_path / str(call.number), call)


@pytest.mark.slow
def test_a_disk_that_is_full_from_any_point_stops_the_queue_for_that_while_only(
    tmp_path: Path, undisturbed: list[Call]
) -> None:
    for call in working(undisturbed)[::4]:
        full_from(tmp_path / str(call.number), call)


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_a_write_point_it_follows_every_edit_once(tmp_path: Path, *, after: bool) -> None:
    for at in range(21 + 9 * after, 200, KILL_STRIDE):
        edited_and_killed_at(tmp_path / str(at), at, after=after)


@pytest.mark.slow
def test_killed_at_every_write_point_it_follows_every_edit_once(tmp_path: Path) -> None:
    at = 1
    while edited_and_killed_at(tmp_path / str(at), at, after=bool(at % 2)):
        at += 1
    assert at > 150


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_a_write_point_the_headerless_form_ends_as_ever(tmp_path: Path, *, after: bool) -> None:
    for at in range(60 + 30 * after, 260, KILL_STRIDE):
        headerless_and_killed_at(tmp_path / str(at), at, after=after)


@pytest.mark.slow
def test_killed_at_every_write_point_the_headerless_form_ends_as_ever(tmp_path: Path) -> None:
    at = 1
    while headerless_and_killed_at(tmp_path / str(at), at, after=bool(at % 2)):
        at += 1
    assert at > 150


def killed_at(folder: Path, at: int, *, after: bool) -> bool:
    """Kill the manager at its call `at`, then run the queue to its end; return whether it was killed."""
    with queue_of(folder / "queue", JOBS) as queue:
        points = CrashPoints(queue.folder, folder / "log", at=at, after=after)
        code = queue.run_to_end(**points.environment())
        killed = code == -signal.SIGKILL
        if killed:
            code = queue.run_to_end()
        check_all(queue, exit_code=code)
    return killed


def failing(calls: Sequence[Call]) -> list[Call]:
    """Return the calls that a disk may refuse."""
    return [call for call in calls if call.name not in ("start", "unlink") and call.outcome == "done"]


def working(calls: Sequence[Call]) -> list[Call]:
    """Return those of the manager at work, after its start."""
    first = next(place for place, call in enumerate(calls) if ".launch.json" in call.path)
    return failing(calls[first:])


def failed_at(folder: Path, call: Call, number: int) -> None:
    """Refuse one write. The manager goes on; before its first turn it may also refuse to start, in words."""
    with queue_of(folder / "queue", JOBS) as queue:
        points = CrashPoints(queue.folder, folder / "log", at=call.number, errno=number)
        manager = queue.start(**points.environment())
        code = manager.wait()
        assert "Traceback" not in manager.said()
        if not queue.count():  # nothing had begun
            assert code in (1, 2)
            code = queue.run_to_end()
        check_all(queue, exit_code=code)


def full_from(folder: Path, call: Call) -> None:
    """Let every write fail from one on, until there is room again: the same manager ends the queue."""
    room = folder / "room"
    with queue_of(folder / "queue", JOBS) as queue:
        points = CrashPoints(queue.folder, folder / "log", at=call.number, errno=errno.ENOSPC, until=room)
        manager = queue.start(**points.environment())
        eventually(lambda: failures(points) >= 3 or manager.process.poll() is not None, what="a full disk")
        room.touch()
        code = manager.wait()
        assert "Traceback" not in manager.said()
        check_all(queue, exit_code=code)


def failures(points: CrashPoints) -> int:
    return sum(call.outcome == "failed" for call in points.calls())


def headerless_and_killed_at(folder: Path, at: int, *, after: bool) -> bool:
    """Kill the manager of a headerless table, run it to its end; return whether it was killed."""
    lines = [
        "# commands of before",
        "bash job.sh 0.05 'exit 0',{},",
        "",
        "bash job.sh 0 'exit 3',{}",
        "bash job.sh 0 'exit 0' 1, {} ,",
        "bash job.sh 0 'exit 0',completed,",
    ]
    with queue_of(folder / "queue", ()) as queue:
        queue.table.write_text("\n".join(lines).format("open", "open", "open") + "\n")
        points = CrashPoints(queue.folder, folder / "log", at=at, after=after)
        code = queue.run_to_end(**points.environment())
        killed = code == -signal.SIGKILL
        if killed:
            code = queue.run_to_end()
        assert sorted(queue.count().values()) == [1, 1, 2], queue.said()
        assert code == 1
        table = "\n".join(lines).format("completed", "failed", "completed") + "\n"
        assert queue.table.read_text() == table, queue.said()
    return killed


def edited_and_killed_at(folder: Path, at: int, *, after: bool) -> bool:
    """Kill a manager that takes in edits; every wish is followed once. Return whether it was killed."""
    jobs = (
        Job("held", status="hold"),
        Job("again"),
        Job("three", 0.0, "exit 3"),
        Job("stays", status="hold"),
    )
    with queue_of(folder / "queue", jobs) as queue:
        check_all(queue, exit_code=queue.run_to_end())
        edit(queue, held="open", again="rerun", three="open", new="hold")
        points = CrashPoints(queue.folder, folder / "log", at=at, after=after)
        killed = queue.run_to_end(**points.environment()) == -signal.SIGKILL
        if killed:
            queue.run_to_end()
        assert queue.count() == {"held:": 1, "again:": 2, "three:": 2}
        statuses = {name: row["status"] for name, row in queue.rows().items()}
        assert statuses == {
            "held": "completed", "again": "completed", "three": "failed", "stays": "hold", "new": "hold",
        }  # fmt: skip
        assert (queue.root / "again.1" / "attempts" / "1" / "exit.json").exists()
        check_ends(Queue(queue.folder, ()))
    return killed


def edit(queue: Queue, **words: str) -> None:
    """Write words into the column status as `sed -i` does, and a new row."""
    lines = list(_edited(queue.table.read_text().splitlines(), words))
    draft = queue.folder / "draft"
    draft.write_text("".join(f"{line}\n" for line in lines))
    draft.replace(queue.table)


def _edited(lines: Sequence[str], words: dict[str, str]) -> Iterator[str]:
    for line in lines:
        name, _, rest = line.partition(",")
        yield f"{name},{words.pop(name)},{rest.partition(',')[2]}" if name in words else line
    for name, word in words.items():
        yield f"{name},{word},echo never"
