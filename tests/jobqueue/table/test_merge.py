"""Who wins when a file was edited while the manager wrote: one row, its versions, one saved form."""

from __future__ import annotations

from pkgs.jobqueue.table.merge import DictMemory, Merged, first_sight, is_marked, loaded_versions, merge_row
from pkgs.jobqueue.table.table import COLUMNS, Cells

OPENED = Cells(id="a", status="open", command="echo", gpus="1")
RUNNING = OPENED._replace(status="running", message="runs", rev="1")
DONE = OPENED._replace(status="completed", message="done", rev="2")
FAILED = OPENED._replace(status="failed", message="exit 1", rev="2")
HISTORY = [OPENED, RUNNING, DONE]
NO_REV = tuple(name for name in COLUMNS if name != "rev")
BARE = ("id", "status", "command", "gpus")


def bare(cells: Cells) -> Cells:
    return cells._replace(message="", rev="")


def merge(saved: Cells, history: list[Cells] = HISTORY, *, columns: tuple[str, ...] = COLUMNS) -> Merged:
    return merge_row(saved, history[-1], versions=history, columns=columns)


def test_a_stale_save_changes_nothing() -> None:
    for old in HISTORY:
        assert merge(old) == Merged(DONE), old


def test_a_stale_save_is_known_by_its_manager_cells_where_there_is_no_rev() -> None:
    history = [cells._replace(rev="") for cells in HISTORY]
    assert merge(history[1], history, columns=NO_REV) == Merged(history[2])


def test_an_edit_in_a_stale_save_is_taken_and_the_status_stays() -> None:
    merged = merge(RUNNING._replace(gpus="4", timeout="2h"))
    assert merged.cells == DONE._replace(gpus="4", timeout="2h")
    assert merged.status_edit is None
    assert merged.in_doubt is None


def test_a_completed_job_is_opened_again_only_by_an_edit_of_the_completed_version() -> None:
    assert merge(DONE._replace(status="open")).status_edit == "open"
    assert merge(DONE._replace(status="rerun")).status_edit == "rerun"
    assert merge(RUNNING._replace(status="open")).status_edit == "open"
    assert merge(OPENED._replace(rev="0"), [OPENED._replace(rev="0"), DONE]).status_edit is None


def test_completed_is_a_wish_when_the_user_writes_it() -> None:
    history = [OPENED, FAILED]
    assert merge(FAILED._replace(status="completed"), history).status_edit == "completed"


def test_the_managers_words_are_no_wishes() -> None:
    merged = merge(OPENED._replace(status="failed"), [OPENED])
    assert merged.status_edit is None
    assert merged.in_doubt is not None
    assert "only written by the manager" in merged.in_doubt


def test_progress_message_and_rev_are_never_taken_from_the_file() -> None:
    merged = merge(DONE._replace(progress="9 of 5", message="mine"))
    assert merged.cells == DONE


def test_the_newer_edit_of_another_editor_survives_a_stale_save() -> None:
    edited = DONE._replace(gpus="2")
    merged = merge(RUNNING._replace(timeout="1h"), [*HISTORY, edited])
    assert merged.cells == edited._replace(timeout="1h")


def test_the_last_save_wins_where_both_changed_the_same_cell() -> None:
    assert merge(RUNNING._replace(gpus="8"), [*HISTORY, DONE._replace(gpus="2")]).cells.gpus == "8"


def test_a_value_that_may_be_old_or_wanted_stays_and_is_said() -> None:
    merged = merge(DONE, [*HISTORY, DONE._replace(gpus="2")])
    assert merged.cells.gpus == "2"
    assert merged.in_doubt == (
        "gpus '1' may come from an older save, '2' stays: reload the file and write it again if it is meant"
    )


def test_an_open_that_may_be_old_starts_nothing_and_says_what_to_write() -> None:
    history = [bare(OPENED), bare(FAILED)]
    merged = merge(bare(OPENED), history, columns=BARE)
    assert merged.status_edit is None
    assert merged.cells.status == "failed"
    assert merged.in_doubt is not None
    assert "python QueueManager.py rerun a" in merged.in_doubt
    marked = [cells._replace(message="same") for cells in history]
    sentence = merge(marked[0], marked, columns=NO_REV).in_doubt
    assert sentence == (
        "status 'open' may come from an older save: write `rerun` to run it again, "
        "or `completed` to count it as done"
    )


def test_rerun_and_completed_are_never_in_doubt_the_first_time() -> None:
    history = [bare(OPENED), bare(FAILED)]
    assert merge(bare(FAILED)._replace(status="rerun"), history, columns=BARE).status_edit == "rerun"
    assert merge(bare(FAILED)._replace(status="completed"), history, columns=BARE).status_edit == "completed"


def test_a_certain_base_leaves_no_doubt() -> None:
    history = [bare(OPENED), bare(FAILED)]
    merged = merge_row(history[0], history[1], versions=history, columns=BARE, certain=True)
    assert merged.status_edit == "open"


def test_an_unknown_rev_falls_back_to_the_managers_cells() -> None:
    assert loaded_versions(RUNNING._replace(rev="99"), HISTORY, columns=COLUMNS) == [RUNNING]
    assert loaded_versions(RUNNING._replace(rev=""), HISTORY, columns=COLUMNS) == [RUNNING]
    assert loaded_versions(RUNNING._replace(rev="x", message="?"), HISTORY, columns=COLUMNS) == HISTORY


def test_a_status_that_was_emptied_is_no_wish_to_run_a_finished_job_again() -> None:
    merged = merge(DONE._replace(status=""))
    assert merged.status_edit is None
    assert "write `rerun`" in (merged.in_doubt or "")
    held = OPENED._replace(status="hold", rev="1")
    assert merge(held._replace(status=""), [held]).status_edit == "open"


def test_a_column_that_is_gone_says_so() -> None:
    columns = tuple(name for name in COLUMNS if name != "gpus")
    merged = merge(DONE._replace(gpus=""), columns=columns)
    assert merged.cells.gpus == ""
    assert "column 'gpus' is gone" in (merged.in_doubt or "")


def test_a_missing_status_column_is_no_edit() -> None:
    columns = tuple(name for name in COLUMNS if name != "status")
    assert merge(DONE._replace(status=""), columns=columns).cells == DONE


def test_an_unknown_status_is_left_to_the_check_of_the_row() -> None:
    assert merge(DONE._replace(status="opne")) == Merged(DONE, novel=True)


def test_a_new_row_wishes_what_it_says() -> None:
    assert first_sight(OPENED).status_edit == "open"
    assert first_sight(OPENED._replace(status="")).status_edit == "open"
    assert first_sight(OPENED._replace(status="hold")).status_edit == "hold"
    assert first_sight(RUNNING).status_edit is None


def test_a_table_is_marked_by_any_cell_of_the_managers() -> None:
    assert is_marked(("command", "message"))
    assert not is_marked(("command", "status"))


def test_memory_keeps_the_versions_of_retired_rows() -> None:
    memory = DictMemory()
    memory.remember_many([OPENED, RUNNING])
    memory.retire_many(["a"])
    assert memory.currents() == {}
    assert memory.versions(["a", "b"]) == {"a": (OPENED, RUNNING)}
    memory.remember_many([DONE])
    assert memory.currents() == {"a": DONE}
