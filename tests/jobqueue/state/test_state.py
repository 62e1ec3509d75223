"""queue.sqlite: what is saved comes back, a transaction is whole, a damaged file is set aside."""

import sqlite3
import threading
from pathlib import Path

import pytest

from pkgs.jobqueue.state.records import (
    Active,
    Attempt,
    AttemptState,
    Cancelled,
    Completed,
    Event,
    Failed,
    JobRecord,
    Run,
    RunState,
    Waiting,
)
from pkgs.jobqueue.state.row_memory import RowMemory
from pkgs.jobqueue.state.state import State, StateError, file_system_of, set_aside
from pkgs.jobqueue.table.table import Cells
from pkgs.jobqueue.vocabulary import Cause, RunKey, Wish

STATES: list[RunState] = [
    Waiting(),
    Waiting(12.5, Cause.TIMEOUT, "Stopped."),
    Active("a1"),
    Completed(),
    Failed(Cause.EXCEPTION, "KeyError"),
    Cancelled(),
]


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State.open(tmp_path / "queue" / "queue.sqlite")


def an_attempt(number: int = 1) -> Attempt:
    return Attempt(
        id=f"a{number}", key=RunKey("ke/a", "x", 3), number=number, devices=("GPU-1", "GPU-2"), cpu_slots=0,
        reserve_mib=1024, written_unix_s=1.5, stop_reason="timeout", cause=Cause.TIMEOUT,
    )  # fmt: skip


@pytest.mark.parametrize("life", STATES)
@pytest.mark.parametrize(
    "key", [RunKey("a"), RunKey("a", "c", 0), RunKey("a", None, 7), RunKey("a", "c", None)]
)
def test_a_run_comes_back_as_it_was_saved(state: State, life: RunState, key: RunKey) -> None:
    run = Run(key, life, tries=2, free_tries=1, needs_mib=5, alone=True, avoid=frozenset({"GPU-1", "GPU-2"}))
    with state.transaction():
        state.save_runs([run])
    assert list(state.runs()) == [run]


def test_a_job_comes_back_as_it_was_saved(state: State) -> None:
    job = JobRecord("ke/a", Wish.HOLD, True, 2, [1.0, 2.5], 4096, {"commit": "abc"}, "a note")  # noqa: FBT003
    with state.transaction():
        state.save_jobs([job])
    assert state.jobs() == {"ke/a": job}


def test_attempts_come_back_in_order_and_only_open_ones_are_taken_back(state: State) -> None:
    second, first = an_attempt(2), an_attempt(1)
    first.state = AttemptState.ENDED
    with state.transaction():
        state.save_attempts([second, first])
    assert state.attempts(RunKey("ke/a", "x", 3)) == [first, second]
    assert state.attempts_not_ended() == [second]


def test_a_transaction_that_fails_leaves_nothing_of_itself(state: State) -> None:
    def fail_in_the_middle() -> None:
        with state.transaction():
            state.save_runs([Run(RunKey("a"), Completed())])
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail_in_the_middle()
    assert list(state.runs()) == []


def test_an_order_is_carried_out_once(state: State) -> None:
    state.add_order("retry", "ke/a")
    ((number, verb, job),) = state.orders()
    with state.transaction():
        state.drop_order(number)
    assert (verb, job) == ("retry", "ke/a")
    assert state.orders() == []


def test_the_newest_events_come_oldest_first_and_by_job(state: State) -> None:
    with state.transaction():
        for number in range(5):
            state.note(Event(float(number), "kind", f"text {number}", job="ab"[number % 2]))
    assert [event.text for event in state.events(newest=2)] == ["text 3", "text 4"]
    assert [event.text for event in state.events(job="a", newest=2)] == ["text 2", "text 4"]


def test_every_commit_is_synced_and_the_log_is_written_ahead(state: State) -> None:
    assert state.db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert state.db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_on_a_network_disk_there_is_no_write_ahead_log(tmp_path: Path) -> None:
    state = State.open(tmp_path / "queue.sqlite", file_system="nfs4")
    assert state.db.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_reader_sees_whole_transactions_while_the_manager_writes(state: State) -> None:
    seen: list[int] = []

    def read() -> None:
        reader = State.read(state.path)
        assert reader is not None
        seen.append(len(list(reader.runs())))
        reader.close()

    with state.transaction():
        state.save_runs([Run(RunKey(f"a{number}"), Completed()) for number in range(10)])
        thread = threading.Thread(target=read)
        thread.start()
        thread.join(timeout=10)
    assert seen == [0]


@pytest.mark.parametrize("place", [0, 20, 100])
def test_a_damaged_state_is_refused_with_a_sentence(state: State, place: int) -> None:
    with state.transaction():
        state.save_runs([Run(RunKey(f"job{number}"), Completed()) for number in range(200)])
    state.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    state.close()
    raw = bytearray(state.path.read_bytes())
    raw[place : place + 200] = b"\x5a" * 200
    state.path.write_bytes(raw)
    with pytest.raises(StateError, match=r"queue\.sqlite"):
        State.open(state.path)


def test_setting_aside_never_overwrites_what_was_set_aside_before(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    names = set()
    for text in ("one", "two", "three"):
        path.write_text(text)
        names.add(set_aside(path, now_unix_s=0.0).name)
    assert len(names) == 3
    assert sorted(entry.read_text() for entry in tmp_path.iterdir()) == ["one", "three", "two"]


def test_a_state_of_a_later_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=999")
    db.close()
    with pytest.raises(StateError, match="version 999, written by a later release"):
        State.open(path)


def test_the_state_of_each_release_loads_for_ever(tmp_path: Path) -> None:
    scripts = sorted((Path(__file__).parents[2] / "fixtures").glob("queue_state_*.sql"))
    assert scripts, "the fixtures are gone"
    for script in scripts:
        path = tmp_path / f"{script.stem}.sqlite"
        db = sqlite3.connect(path)
        db.executescript(script.read_text())
        db.close()
        state = State.open(path)
        assert RunKey("ke/a", None, 3) in {run.key for run in state.runs()}, script.name
        state.close()


def test_the_file_system_is_that_of_the_innermost_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    assert file_system_of(tmp_path / "below", mounts=mounts) == "nfs4"
    assert file_system_of(Path("/etc"), mounts=mounts) == "ext4"


def test_rows_are_remembered_version_by_version(state: State) -> None:
    memory = RowMemory(state)
    first, second = Cells(id="a", status="open", rev="1"), Cells(id="a", status="running", rev="2")
    memory.remember_many([first, second, Cells(id="b")])
    memory.retire_many(["b"])
    assert memory.currents() == {"a": second}
    assert memory.versions(["a", "b", "c"]) == {"a": [first, second], "b": [Cells(id="b")]}
