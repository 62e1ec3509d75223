"""The file on the disk: one stat when nothing is new, half saves waited out, replaced without loss."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pkgs.foundation import files
from pkgs.jobqueue.table import table_file, table_swap
from pkgs.jobqueue.table.table import Table
from pkgs.jobqueue.table.table_file import LockTimeoutError, TableFile, TableFileError
from tests.builders.tables import save_by_rename, save_in_place

TEXT = b"id,status,command\na,open,echo 1\nb,open,echo 2\nc,open,echo 3\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "Jobs.csv"
    path.write_bytes(TEXT)
    return path


def loaded(path: Path) -> tuple[TableFile, Table]:
    file = TableFile(path)
    table = file.look(0.0).table
    assert table is not None
    return file, table


def companions(path: Path) -> set[str]:
    return {entry.name for entry in path.parent.iterdir()} - {"Jobs.csv", ".Jobs.csv.lock"}


def test_an_unchanged_file_costs_one_stat(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, _ = loaded(path)
    os.utime(path, ns=(1, 10**18))
    assert file.look(0.5).table is None
    monkeypatch.setattr(TableFile, "_read", lambda _: pytest.fail("read"))
    for _ in range(3):
        assert file.look(1.0).table is None


def test_an_edit_is_seen_at_once(path: Path) -> None:
    file, _ = loaded(path)
    save_by_rename(path, TEXT.replace(b"b,open", b"b,hold"))
    table = file.look(0.1).table
    assert table is not None
    assert table.cells(1).status == "hold"


def test_two_saves_of_one_size_within_one_tick_of_the_clock_are_told_apart(path: Path) -> None:
    file, _ = loaded(path)
    moment = path.stat().st_mtime_ns
    save_in_place(path, TEXT.replace(b"echo 2", b"echo 9"))
    os.utime(path, ns=(moment, moment))
    assert file.look(0.1).table is not None


def test_a_file_that_lost_rows_counts_when_it_is_seen_twice(path: Path) -> None:
    file, _ = loaded(path)
    save_in_place(path, TEXT[:-15])
    assert file.look(0.1).table is None
    assert file.look(0.9).table is None
    assert not file.settled
    assert file.problem is None
    table = file.look(1.2).table
    assert table is not None
    assert len(table.rows) == 2


def test_a_half_save_that_goes_on_never_counts(path: Path) -> None:
    file, _ = loaded(path)
    new = TEXT + b"d,open,echo 4\n"
    for number in range(len(new)):
        save_in_place(path, new[:number])
        found = file.look(number * 2.0).table
        assert found is None or [found.cells(row).id for row in range(3)] == ["a", "b", "c"], new[:number]
        assert found is None or found.cells(2).command == "echo 3"
    save_in_place(path, new)
    table = file.look(9999.0).table
    assert table is not None
    assert len(table.rows) == 4


def test_a_file_that_does_not_parse_leaves_the_last_good_one_in_force_and_names_the_line(path: Path) -> None:
    file, good = loaded(path)
    save_in_place(path, TEXT.replace(b"echo 2", b'"echo 2'))
    assert file.look(0.1).table is None
    assert file.problem is None
    assert file.look(1.2).table is None
    assert file.problem is not None
    assert file.problem.startswith("Jobs.csv, line 3: ")
    assert file.table is good
    with file.locked():
        assert not file.replace(good.with_cells({0: {"status": "hold"}}), seen=good)
    assert b'"echo 2' in path.read_bytes()
    save_in_place(path, TEXT)
    assert file.look(1.3).table is None
    assert file.problem is None


def test_a_header_that_got_lost_is_not_taken_for_the_older_form(path: Path) -> None:
    path.write_bytes(b"command,status\necho 1,open\necho 2,open\n")
    file, _ = loaded(path)
    save_in_place(path, b"echo 1,open\necho 2,open\n")
    for now in (0.1, 1.2, 2.3):
        assert file.look(now).table is None
    assert "the line that names the columns is gone" in str(file.problem)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "is a folder"),
        (os.mkfifo, "not a plain file"),
        (lambda path: path.symlink_to("nowhere.csv"), "a link to .*nowhere.csv, which does not exist"),
        (lambda _: None, "does not exist"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"\xff\xff"), "line 1: byte 0xff is not UTF-8"),
    ],
)
def test_what_is_no_table_is_refused_with_a_cure(
    tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    path = tmp_path / "Jobs.csv"
    make(path)
    file = TableFile(path)
    assert file.look(0.0).table is None
    with pytest.raises(TableFileError, match=words):
        file.load()
    assert file.problem is not None
    assert file.problem.startswith("Jobs.csv")


def test_a_missing_file_is_waited_out_while_vim_saves(path: Path) -> None:
    file, _ = loaded(path)
    path.rename(path.with_name("Jobs.csv~"))
    assert file.look(0.1).table is None
    assert file.problem is None
    path.write_bytes(TEXT + b"d,open,echo\n")
    assert file.look(0.2).table is not None
    path.unlink()
    file.look(0.3)
    file.look(1.4)
    assert "does not exist" in str(file.problem)


def test_replacing_keeps_mode_and_link_and_leaves_the_old_file_beside(path: Path, tmp_path: Path) -> None:
    path.chmod(0o640)
    link = tmp_path / "elsewhere" / "Mine.csv"
    link.parent.mkdir()
    link.symlink_to(path)
    file, table = loaded(link)
    with file.locked():
        assert file.replace(table.with_cells({0: {"status": "running"}}), seen=table)
    assert link.is_symlink()
    assert path.read_bytes() == TEXT.replace(b"a,open", b"a,running")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert companions(path) - {"elsewhere"} == {".Jobs.csv.previous"}
    assert path.with_name(".Jobs.csv.previous").read_bytes() == TEXT
    assert file.look(0.2).table is None


@pytest.mark.parametrize(
    ("save", "exchanges"),
    [
        (save_by_rename, True),
        (save_in_place, True),
        (save_in_place, False),
    ],  # a rename needs renameat2 to be seen
)
def test_a_save_in_the_moment_of_the_rename_is_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch, save: Callable[[Path, bytes], None], *, exchanges: bool
) -> None:
    file, table = loaded(path)
    real = table_swap.exchange
    edited = TEXT.replace(b"b,open", b"b,hold")
    calls = []

    def exchange(one: Path, other: Path) -> bool:
        calls.append(one)
        if len(calls) == 1:
            save(path, edited)
        return exchanges and real(one, other)

    monkeypatch.setattr(table_file, "exchange", exchange)
    with file.locked():
        assert not file.replace(table.with_cells({0: {"status": "running"}}), seen=table)
    assert path.read_bytes() == edited
    found = file.look(0.1).table
    assert found is not None
    assert found.cells(1).status == "hold"


def test_without_renameat2_the_file_is_replaced_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_file, "exchange", lambda *_: False)
    file, table = loaded(path)
    with file.locked():
        assert file.replace(table.with_cells({0: {"status": "running"}}), seen=table)
    assert b"a,running" in path.read_bytes()
    assert path.with_name(".Jobs.csv.previous").read_bytes() == TEXT


def test_what_an_editor_writes_into_the_replaced_file_is_handed_over(path: Path) -> None:
    file, table = loaded(path)
    with path.open("r+b") as editor:
        with file.locked():
            assert file.replace(table.with_cells({0: {"status": "running"}}), seen=table)
        editor.write(TEXT.replace(b"b,open", b"b,hold"))
    assert file.look(0.1).late is None
    assert not file.settled
    late = file.look(1.2).late
    assert late is not None
    assert late.cells(1).status == "hold"
    assert file.look(2.4).late is None
    assert file.settled


def test_a_crash_before_the_rename_leaves_the_old_file_and_is_tidied_up(path: Path) -> None:
    path.with_name(".Jobs.csv.draft").write_bytes(b"id,sta")
    path.with_name(".Jobs.csv.next").write_bytes(TEXT.replace(b"b,open", b"b,hold"))
    file = TableFile(path)
    look = file.look(0.0)
    assert look.table is not None
    assert look.late is not None
    assert look.late.cells(1).status == "hold"
    assert companions(path) == {".Jobs.csv.previous"}


@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_a_full_disk_leaves_the_old_file_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    file, table = loaded(path)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    changed = table.with_cells({0: {"status": "running"}})
    with monkeypatch.context() as patch, file.locked():
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space"):
            file.replace(changed, seen=table)
    assert path.read_bytes() == TEXT
    assert companions(path) == set()
    with file.locked():
        assert file.replace(table.with_cells({0: {"status": "running"}}), seen=table)


def test_the_file_is_synced_before_the_rename_and_the_folder_after(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, table = loaded(path)
    events: list[str] = []

    def noting(name: str, real: Callable[..., object]) -> Callable[..., object]:
        return lambda *args: events.append(name) or real(*args)  # type: ignore[func-returns-value]

    monkeypatch.setattr(os, "fsync", noting("sync", os.fsync))
    monkeypatch.setattr(table_file, "exchange", noting("swap", table_swap.exchange))
    monkeypatch.setattr(table_file, "sync_folder", noting("folder", files.sync_folder))
    with file.locked():
        assert file.replace(table.with_cells({0: {"status": "running"}}), seen=table)
    assert events[:2] == ["sync", "swap"]
    assert events[-2:] == ["folder", "sync"]


def test_two_writers_wait_for_each_other(path: Path) -> None:
    one, other = TableFile(path), TableFile(path)
    with one.locked(), pytest.raises(LockTimeoutError, match="another writer"), other.locked(timeout_s=0.05):
        pytest.fail("both hold the lock")
    with other.locked(timeout_s=0.05):
        pass


def test_a_command_waits_for_a_save_to_end_before_it_reads(path: Path) -> None:
    save_in_place(path, TEXT[:30])
    start = time.monotonic()
    TableFile(path).load()
    assert time.monotonic() - start >= 0.03


class Crash(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(5))
def test_a_crash_at_any_step_leaves_a_whole_file_and_no_leftovers(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: int, *, after: bool
) -> None:
    file, table = loaded(path)
    new = table.with_cells({0: {"status": "running"}})
    count = iter(range(100))

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object) -> object:
            dies = next(count) == step
            if dies and not after:
                raise Crash
            result = real(*args)
            if dies:
                raise Crash
            return result

        return call

    with monkeypatch.context() as patch, file.locked():
        patch.setattr(os, "fsync", dying(os.fsync))
        patch.setattr(Path, "replace", dying(Path.replace))
        patch.setattr(table_file, "exchange", dying(table_swap.exchange))
        with pytest.raises(Crash):
            file.replace(new, seen=table)
    swapped = step > 2 or (step == 2 and after)
    assert path.read_bytes() == (new if swapped else table).render()
    again = TableFile(path)
    assert again.look(0.0).table is not None
    assert companions(path) <= {".Jobs.csv.previous"}
    with again.locked():
        assert again.replace(new.with_cells({1: {"status": "hold"}}), seen=new if swapped else table)
