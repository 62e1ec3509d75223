"""Jobs.csv is edited while a real manager works: by commands, and by a file saved as vim saves it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.builders.managers import Manager, Queue, eventually, queue_for_module, row

AT_ONCE_S = 2.0
"""An edit has its effect within a second on a machine at rest (queue.md section 4); this one is busy."""
FOR_EVER = "sleep 600"


@pytest.fixture(scope="module")
def queue() -> Iterator[Queue]:
    with queue_for_module() as queue:
        yield queue


@pytest.fixture(scope="module")
def manager(queue: Queue) -> Iterator[Manager]:
    """Run one manager for all tests of this file; each test has rows of its own."""
    queue.write(row("first", "echo first"))
    with queue.manager("--cpu-slots", "6") as manager:
        yield manager


@pytest.fixture
def live(queue: Queue, manager: Manager) -> Iterator[Queue]:
    """Give the queue with its manager; the test's own runs are ended."""
    assert manager.process.poll() is None, manager.said()
    yield queue
    running = [name for name, line in queue.rows().items() if line["status"] == "running"]
    if running:
        assert queue.command("cancel", *running).returncode == 0


def add(queue: Queue, *rows: dict[str, str]) -> float:
    """Save the table with more rows; return when."""
    queue.write(*queue.rows().values(), *rows)
    return time.time()


def delay_s(queue: Queue, job: str, since_unix_s: float, *, kinds: str = "starting") -> float:
    """Return how long after an edit the job's newest event of a kind came."""
    query = "SELECT max(at_unix_s) FROM events WHERE job = ? AND kind = ?"
    found = eventually(
        lambda: [at for (at,) in queue.ask(query, job, kinds) if at is not None and at >= since_unix_s - 0.5],
        what=f"{kinds} of {job}",
    )
    return float(found[0]) - since_unix_s


def test_a_row_saved_into_the_file_runs_at_once(live: Queue) -> None:
    saved = add(live, row("edit/new", "echo new"))
    assert delay_s(live, "edit/new", saved) < AT_ONCE_S
    live.await_status("edit/new", "completed")


def test_add_appends_a_row_that_runs_at_once_and_prints_its_id(live: Queue) -> None:
    answer = live.command(
        "add", "echo '{seed}, and a comma'", "--id", "add/one", "--seeds", "0..1", "--gpus", "0"
    )
    assert (answer.returncode, answer.stdout) == (0, "add/one\n")
    assert delay_s(live, "add/one", live.jobs.stat().st_mtime) < AT_ONCE_S
    assert live.await_status("add/one", "completed")["progress"] == "2 of 2"
    assert live.log("add/one", seed=1) == "1, and a comma"


def test_hold_and_release_stop_and_start_what_has_not_begun(live: Queue) -> None:
    add(live, row("held/a", "echo a", status="hold"))
    assert "on hold as you asked; `release held/a`" in eventually(
        lambda: live.row("held/a")["message"], what="a word about the hold"
    )
    assert live.command("release", "held/a").returncode == 0
    live.await_status("held/a", "completed")
    assert live.row("held/a")["message"] == ""


def test_hold_lets_what_runs_go_on_and_starts_no_further_seed(live: Queue) -> None:
    add(live, row("held/b", "sleep 1", seeds="0..20"))
    eventually(lambda: live.attempts("held/b"), what="the first seeds")
    live.command("hold", "held/b")
    live.await_status("held/b", "hold")
    eventually(
        lambda: all(a["state"] == "ended" for a in live.attempts("held/b")), what="the end of what ran"
    )
    begun = len(live.attempts("held/b"))
    assert begun < 21
    assert {attempt["cause"] for attempt in live.attempts("held/b")} == {None}
    eventually(lambda: live.row("held/b")["progress"] == f"{begun} of 21", what="their count")


def test_cancel_ends_what_runs_and_rerun_begins_anew_beside_the_old_folder(live: Queue) -> None:
    add(live, row("cancel/a", FOR_EVER))
    live.await_status("cancel/a", "running")
    live.command("cancel", "cancel/a")
    live.await_status("cancel/a", "cancelled")
    live.edit("cancel/a", command="echo again", status="rerun")
    live.await_status("cancel/a", "completed")
    assert live.log("cancel/a") == "again"
    assert (live.root / "cancel" / "a.1" / "attempts" / "1" / "exit.json").exists()


def test_a_status_word_saved_by_an_editor_counts_like_the_command(live: Queue) -> None:
    add(live, row("word/a", FOR_EVER))
    live.await_status("word/a", "running")
    saved = time.time()
    live.edit("word/a", status="Cancel")
    live.await_status("word/a", "cancelled")
    assert delay_s(live, "word/a", saved, kinds="stopping") < AT_ONCE_S
    live.edit("word/a", status="completed")
    eventually(lambda: live.row("word/a")["status"] == "completed", what="the word of the user")


def test_retry_runs_the_failed_seeds_only_and_keeps_the_others(live: Queue) -> None:
    fails_once = "test {seed} = 0 || test -e $QUEUE_RUN_DIR/flag || { touch $QUEUE_RUN_DIR/flag; exit 1; }"
    add(live, row("retry/a", fails_once, seeds="0..2"))
    live.await_status("retry/a", "failed")
    answer = live.command("retry", "retry/a")
    assert answer.returncode == 0, answer.stderr
    live.await_status("retry/a", "completed")
    tried = [attempt["seed"] for attempt in live.attempts("retry/a")]
    assert sorted(tried) == [0, 1, 1, 2, 2]


def test_a_changed_command_of_what_waits_is_what_runs(live: Queue) -> None:
    add(
        live,
        row("gate", "while ! test -e open; do sleep 0.05; done"),
        row("behind", "echo old", after="gate"),
    )
    live.await_status("gate", "running")
    live.edit("behind", command="echo new")
    time.sleep(0.6)
    (live.folder / "open").touch()
    live.await_status("behind", "completed")
    assert live.log("behind") == "new"


def test_a_bad_row_says_what_is_wrong_and_the_good_ones_beside_it_run(live: Queue) -> None:
    add(
        live,
        row("bad/gpus", "echo never", gpus="many"),
        row("bad/good", "echo good"),
        row("bad/after", "echo never", after="bad/god"),
        row("bad/circle_a", "echo never", after="bad/circle_b"),
        row("bad/circle_b", "echo never", after="bad/circle_a"),
        row("bad/word", "echo never", status="opne"),
    )
    live.await_status("bad/good", "completed")
    words = {name: line["message"] for name, line in live.rows().items() if name.startswith("bad/")}
    assert "'many'" in words["bad/gpus"]
    assert "'bad/good'" in words["bad/after"], "the nearest id is named"
    assert "bad/circle_b" in words["bad/circle_a"]
    assert "'opne'" in words["bad/word"]
    assert "`open`" in words["bad/word"]
    assert not any(live.attempts(name) for name in words if name != "bad/good")
    checked = live.command("check")
    assert checked.returncode == 2
    assert all(text in checked.stdout for text in ("'many'", "'bad/god'", "'opne'"))
    live.edit("bad/gpus", gpus="0")
    live.await_status("bad/gpus", "completed")


def test_a_removed_row_lets_its_run_end_and_forgets_what_had_not_begun(live: Queue) -> None:
    add(live, row("gone/a", "sleep 1; echo end"))
    live.await_status("gone/a", "running")
    live.write(*(line for line in live.rows().values() if line["id"] != "gone/a"))
    eventually(lambda: live.events("removed"), what="the removal")
    eventually(live.attempt("gone/a").exit.exists, what="its end")
    assert live.log("gone/a") == "end"
    assert "gone/a" not in live.rows()


def test_a_higher_priority_goes_first(live: Queue) -> None:
    many = row("prio/many", "sleep 0.4", seeds="0..11")
    add(live, many)
    eventually(lambda: live.attempts("prio/many"), what="its first seeds")
    add(live, row("prio/first", "echo first", priority="5"))
    live.await_status("prio/first", "completed")
    starts = [text.split()[0] for text in live.events("starting") if text.startswith("prio/")]
    assert starts.index("prio/first") < 11


@pytest.mark.slow
def test_a_file_that_does_not_parse_is_left_alone_and_said(live: Queue) -> None:
    whole = live.jobs.read_text()
    live.write(text=whole + 'broken/row,open,"no closing quote\n')
    broken = live.jobs.read_bytes()
    problem = eventually(lambda: live.live().get("table_problem"), what="the problem")
    assert "line" in problem
    assert live.jobs.read_bytes() == broken
    shown = live.command("status")
    assert problem in shown.stdout
    assert re.search(r"first +completed", shown.stdout), "the last good version stays in force"
    live.write(text=whole)
    eventually(lambda: not live.live().get("table_problem"), what="the file in force again")


def test_an_edit_of_the_seeds_adds_runs_and_keeps_what_is_done(live: Queue) -> None:
    add(live, row("seeds/a", "echo {seed}", seeds="0..1"))
    live.await_status("seeds/a", "completed")
    live.edit("seeds/a", seeds="0..3")
    eventually(lambda: live.row("seeds/a")["progress"] == "4 of 4", what="two more runs")
    assert sorted(attempt["seed"] for attempt in live.attempts("seeds/a")) == [0, 1, 2, 3]


def test_status_json_shows_a_running_and_a_waiting_job_with_their_runs(live: Queue) -> None:
    add(live, row("show/a", FOR_EVER, seeds="3 4"), row("show/b", "true", after="show/a:all"))
    live.await_status("show/a", "running")
    eventually(lambda: live.row("show/b")["message"], what="why it waits")
    shown = {job["id"]: job for job in live.status("show/a", "show/b")["jobs"]}
    assert [(run["seed"], run["status"]) for run in shown["show/a"]["runs"]] == [
        (3, "running"),
        (4, "running"),
    ]
    assert "waits for show/a:3, which runs" in shown["show/b"]["message"]
    assert "waits for show/a:3" in live.command("why", "show/b").stdout


def test_a_seed_added_later_runs_alone_and_the_row_that_waits_for_ends_runs_again(live: Queue) -> None:
    study = row("ended/train", "test {seed} != 1", seeds="0 1", gpus="0", retries="0")
    report = row("ended/report", "echo done", after="ended/train:ended", gpus="0")
    add(live, study, report)

    def reports() -> int:
        asked = "SELECT count(*) FROM events WHERE job = ? AND kind = 'completed'"
        return int(live.ask(asked, "ended/report")[0][0])

    eventually(lambda: reports() == 1, what="the report, although seed 1 failed")
    live.await_status("ended/train", "failed")
    live.await_status("ended/report", "completed")  # both are written: the edit below is of seeds alone
    rows = live.rows()
    rows["ended/train"]["seeds"] = "0 1 2"
    live.write(*rows.values())
    eventually(lambda: reports() == 2, what="the report after seed 2")
    begun = live.ask("SELECT count(*) FROM events WHERE job = ? AND kind = 'starting'", "ended/train")
    assert int(begun[0][0]) == 3, "the seeds that had ended were left alone"
