"""A word that a manager reads while it writes the table and then ends is followed by the next one, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.jobqueue.manager.assemble import Options, begin, build, open_state
from pkgs.jobqueue.manager.clock import SystemClock
from pkgs.jobqueue.manager.settings import load_settings
from pkgs.jobqueue.table.jobs_file import ManagerCells
from tests.builders.queues import Job, Queue, queue_of, run_here

JOBS = (Job("held", status="hold"), Job("done"), Job("other", status="hold"))


@pytest.mark.parametrize(("row", "word", "count"), [("held", "open", 1), ("done", "rerun", 2)])
def test_a_word_read_by_the_last_write_is_followed_once_by_the_next_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str, word: str, count: int
) -> None:
    monkeypatch.chdir(tmp_path)
    with queue_of(tmp_path, JOBS) as queue:
        run_here(queue)
        save_during_the_last_write(queue, row, word)
        for _ in range(2):
            run_here(queue)
            assert queue.count()[f"{row}:"] == count
            assert queue.rows()[row]["status"] == "completed"


def test_a_word_that_was_taken_back_in_time_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with queue_of(tmp_path, JOBS) as queue:
        run_here(queue)
        save_during_the_last_write(queue, "held", "open")
        write(queue, "held", "hold")
        run_here(queue)
        assert queue.count()["held:"] == 0
        assert queue.rows()["held"]["status"] == "hold"


def save_during_the_last_write(queue: Queue, row: str, word: str) -> None:
    """Let a manager write the table after an editor's save that it has not read before, and end at once."""
    state, _, rebuild = open_state(queue.root, clock=SystemClock())
    options = Options(jobs=queue.table, root=queue.root, gpus="none", cpu_slots=1)
    engine = build(options, load_settings(), state)
    begin(engine, rebuild=rebuild)
    write(queue, row, word)
    assert engine.jobs_file.write_back({"other": ManagerCells("hold", "0 of 1", "something new")})
    state.close()
    assert queue.rows()[row]["status"] == word


def write(queue: Queue, row: str, word: str) -> None:
    """Save the table with another word in one status."""
    before = queue.rows()[row]["status"]
    queue.table.write_text(queue.table.read_text().replace(f"\n{row},{before},", f"\n{row},{word},"))
