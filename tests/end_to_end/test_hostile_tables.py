"""The worst tables that people and programs produce: each is said, none obeyed, and good rows run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pkgs.jobqueue.commands import main
from tests.builders.managers import Queue, queue_in

HEAD = "id,status,command,seeds,conditions,after,gpus,gpu_mem,priority,retries,timeout,progress,message,rev\n"
GOOD = "good,open,echo good,,,,0,,,,,,,\n"

ROWS = {  # a row between two good ones, and what must be said about it
    "ten megabytes": (f"bad,open,echo {'x' * 10_000_000},,,,0,,,,,,,\n", "at most 100,000 bytes"),
    "taken id": ("good,open,echo twice,,,,0,,,,,,,\n", "'good'"),
    "case twin": ("Good,open,echo twin,,,,0,,,,,,,\n", "'Good'"),
    "path upwards": ("../bad,open,touch ../escaped,,,,0,,,,,,,\n", "'../bad'"),
    "absolute path": ("/tmp/bad,open,touch x,,,,0,,,,,,,\n", "'/tmp/bad'"),
    "id of the manager": ("queue/bad,open,true,,,,0,,,,,,,\n", "manager's own folder"),
    "id of a device": ("CON,open,true,,,,0,,,,,,,\n", "'CON'"),
    "id inside a run": ("good/attempts,open,true,,,,0,,,,,,,\n", "'good/attempts'"),
    "right to left": ("bad,open,echo \u202eabc,,,,0,,,,,,,\n", "U+202E"),
    "formula": ("bad,open,=cmd|' /C calc'!A0,,,,0,,,,,,,\n", "formula"),
    "no command": ("bad,open,,,,,0,,,,,,,\n", "not a command"),
    "a date for seeds": ("bad,open,echo {seed},1-Apr,,,0,,,,,,,\n", "'1-Apr'"),
    "a billion seeds": ("bad,open,echo {seed},0..999999999,,,0,,,,,,,\n", "'0..999999999'"),
    "unknown parent": ("bad,open,true,,,goood,0,,,,,,,\n", "Did you mean"),
    "its own parent": ("bad,open,true,,,bad,0,,,,,,,\n", "a job cannot wait for itself"),
    "a child of its child": ("bad,open,true,,,worse,0,,,,,,,\nworse,open,true,,,bad,0,,,,,,,\n", "circle"),
    "text for gpus": ("bad,open,true,,,,all,,,,,,,\n", "'all'"),
    "nine of eight": ("bad,open,true,,,,9,,,,,,,\n", "8 GPUs are all there is"),
    "more than there is": ("bad,open,true,,,,1,48G,,,,,,\n", "48G"),
    "memory in words": ("bad,open,true,,,,1,24 gigs,,,,,,\n", "24 gigs"),
    "an endless timeout": ("bad,open,true,,,,0,,,,soon,,,\n", "'soon'"),
    "an unknown status": ("bad,opne,true,,,,0,,,,,,,\n", "Did you mean `open`"),
    "a comma too many": ("bad,open,echo a, b,,,,0,,,,,,,\n", "line 3"),
}
ONLY_THE_MACHINE_KNOWS = ("nine of eight", "more than there is")
WHOLE_FILES = {
    "empty": b"",
    "unclosed quote": (HEAD + GOOD + 'bad,open,"echo\n').encode(),
    "NUL byte": (HEAD + GOOD + "bad,open,echo \0,,,,0,,,,,,,\n").encode(),
    "garbage": bytes(range(1, 256)) * 40,
    "no command column": b"id,status\na,open\n",
    "two columns of a name": b"id,command,command\na,b,c\n",
}
ODDITIES = {  # fine, however they look
    "UTF-16": (HEAD + GOOD).encode("utf-16"),
    "Excel": b"\xef\xbb\xbf" + (HEAD + GOOD).replace(",", ";").replace("\n", "\r\n").encode(),
    "header only": HEAD.encode(),
    "a newline in a command": (HEAD + 'good,open,"echo one\necho two",,,,0,,,,,,,\n').encode(),
    "headerless": b"# my jobs\necho good,open,\n\necho done,completed,\n",
    "columns of others": (HEAD.strip() + ",owner\n" + GOOD.strip() + ",anna\n").encode(),
}


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    folder = tmp_path / "deep" / "below"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name in ("CUDA_VISIBLE_DEVICES", "QUEUE_ROOT"):
        monkeypatch.delenv(name, raising=False)
    with queue_in(folder) as queue:
        yield queue


def written_outside(queue: Queue) -> list[Path]:
    """Return what stands where only the table, its companions, settings and the root may stand."""
    ours = {"Jobs.csv", "configs", "leases", "logs_and_checkpoints", "inbox"}
    beside = [
        path
        for path in queue.folder.iterdir()
        if path.name not in ours and not path.name.startswith(".Jobs.csv")
    ]
    above = [
        path for path in queue.folder.parent.parent.rglob("*") if queue.folder not in (path, *path.parents)
    ]
    return beside + [path for path in above if path != queue.folder.parent]


@pytest.mark.parametrize("name", ROWS)
def test_a_bad_row_is_refused_alone_with_its_reason(
    queue: Queue, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    bad, words = ROWS[name]
    queue.jobs.write_bytes((HEAD + GOOD + bad + GOOD.replace("good", "also_good")).encode())
    assert main(["check"]) == (0 if name in ONLY_THE_MACHINE_KNOWS else 2)
    if name not in ONLY_THE_MACHINE_KNOWS:
        assert words in capfd.readouterr().out
    assert main(["run", "--until-idle", "--plain", "--gpus", "sim:8x24G"]) == 1
    with queue.jobs.open(encoding="utf-8", newline="") as file:
        text = file.read()
    assert words in text or "line 3" in words
    assert queue.attempt("also_good").exit.exists()
    assert len(queue.ask("SELECT id FROM attempts")) == 2
    assert not written_outside(queue)


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_a_file_that_is_no_table_is_refused_as_a_whole_and_left_as_it_is(
    queue: Queue, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    queue.jobs.write_bytes(WHOLE_FILES[name])
    for words in (["check"], ["run", "--until-idle", "--plain"], ["status"], ["add", "echo x"]):
        if words[0] == "add" and name == "empty":
            continue  # an empty file is a table that nobody has begun yet
        assert main(words) == 2, words
        assert "Jobs.csv" in capfd.readouterr().err
    assert queue.jobs.read_bytes() == WHOLE_FILES[name]
    assert not written_outside(queue)


@pytest.mark.parametrize("name", ODDITIES)
def test_what_only_looks_odd_runs(queue: Queue, name: str) -> None:
    queue.jobs.write_bytes(ODDITIES[name])
    assert main(["check"]) == 0
    assert main(["run", "--until-idle", "--plain", "--gpus", "none"]) == 0
    assert len(queue.ask("SELECT id FROM attempts")) == (0 if name == "header only" else 1)
    assert not written_outside(queue)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere.csv")


@pytest.mark.parametrize("make", [a_folder, a_fifo, a_dangling_link])
def test_what_is_no_file_is_refused_without_waiting(
    queue: Queue, make: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    make(queue.jobs)
    for words in (["check"], ["run", "--until-idle", "--plain"], ["status"]):
        assert main(words) == 2
        assert "Jobs.csv" in capfd.readouterr().err
