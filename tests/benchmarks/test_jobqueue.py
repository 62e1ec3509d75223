"""The benchmark's arithmetic, parsing and tables, and one tiny real run; nothing here judges a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import daemons, jobqueue, list_runners
from benchmarks.arena import Arena, Line, fresh_arena, gated, kill, read_stamps
from benchmarks.catalog import CONTESTANTS, NEVER_MEASURED, OURS
from benchmarks.figures import Figures, percentile, ratio_of, slot_gaps, summarise
from benchmarks.footprint import cpu_s, listeners_on, name_and_parent, pss_mb
from benchmarks.measures import is_right, measure_noop_runs, sizes_for
from benchmarks.tables import BEGIN, END, absent_list, put_between_marks, quantity, render, table, verbs_table
from benchmarks.targets import TARGETS, judge


@pytest.fixture
def figures() -> Figures:
    made = Figures()
    made.add("ours", "noop.s_per_run", 0.010, 0.012, 0.011)
    made.add("task-spooler", "noop.s_per_run", 0.002, 0.004, 0.003)
    made.add("ours", "kill.lost", 0, 0)
    made.add("ours", "exit_json.gap_median_s", 0.5)
    made.note("runqd", "kill", why="failed: it said no")
    return made


@pytest.fixture
def arena() -> Iterator[Arena]:
    with fresh_arena() as made:
        yield made


# -- arithmetic --------------------------------------------------------------------------------------------


def test_a_slot_gap_pairs_an_end_with_the_start_that_took_its_slot() -> None:
    # slot A: 0-3, 4-9; slot B: 1-5, 7-8. The ends 3 and 5 free slots that the starts 4 and 7 take.
    assert slot_gaps([4, 0, 7, 1], [3, 9, 5, 8], slots=2) == [1, 2]


def test_a_percentile_is_a_value_that_was_seen() -> None:
    assert percentile(range(1, 101), 99) == 99
    assert percentile([3, 1, 2], 99) == 3
    assert percentile([3, 1, 2], 50) == 2


def test_statistics_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        percentile([], 50)
    with pytest.raises(ValueError, match="at least one value"):
        summarise([])


def test_a_ratio_spreads_from_the_best_to_the_worst_pair_of_repeats() -> None:
    ratio = ratio_of(summarise([10, 12, 11]), summarise([2, 4, 3]))
    assert ratio is not None
    assert (ratio.low, ratio.high) == (2.5, 6.0)
    assert ratio.value == pytest.approx(11 / 3)


def test_a_ratio_to_zero_is_none() -> None:
    assert ratio_of(summarise([1]), summarise([0])) is None


def test_json_names_every_figure_and_every_ratio_once(figures: Figures) -> None:
    flat = figures.as_json(ours="ours")
    assert flat["task-spooler.noop.s_per_run.median"] == 0.003
    assert flat["ours.noop.s_per_run.count"] == 3
    assert flat["ratio.task-spooler.noop.s_per_run.low"] == pytest.approx(2.5)
    assert flat["note.runqd.kill"] == "failed: it said no"
    assert not any(name.startswith("ratio.ours") for name in flat)


# -- what queues print -------------------------------------------------------------------------------------


def test_a_half_written_stamp_waits_for_the_next_look() -> None:
    stamps = read_stamps("s 1 10.5\ne 1 11.5\ns 2 12.")
    assert stamps.starts == {1: [10.5]}
    assert stamps.ends == {1: [11.5]}


def test_a_line_that_started_twice_keeps_both_starts() -> None:
    assert read_stamps("s 1 1.0\ns 1 2.0\n").starts == {1: [1.0, 2.0]}


def test_task_spoolers_list_tells_codes_of_finished_jobs_only() -> None:
    text = (
        "ID   State      Output               E-Level  Times(r/u/s)   Command [run=1/2]\n"
        "4    running    /tmp/o.1                                     /tmp/a/job 7 gate 0\n"
        "0    finished   /tmp/o.2             3        0.01/0.00/0.00 /tmp/a/job 12 0 3\n"
    )
    assert daemons.read_tsp_codes(text) == {12: 3}


def test_nqs_logs_tell_codes_of_ended_jobs_only() -> None:
    ended = "exec nq /tmp/a/job 5 0 4\n\n\n[exited with status 4.]\n"
    assert daemons.read_nq_codes([ended, "exec nq /tmp/a/job 6 gate 0\n\n"]) == {5: 4}


def test_runqd_tells_failures_without_a_number() -> None:
    jobs = [
        {"id": number, "state": state} for number, state in ((1, "Finished"), (2, "Failed"), (3, "Running"))
    ]
    codes = daemons.read_runqd_codes(json.dumps({"jobs": jobs}))
    assert [is_right(codes.get(number), truth) for number, truth in ((1, 0), (2, 5), (2, 0), (3, 0))] == [
        True, True, False, False,
    ]  # fmt: skip


def test_gpusched_and_parallel_tell_codes() -> None:
    said = "[08:44:12] job 1 finished [OK] in 0s\n[08:44:12] job 2 finished [EXIT 5] in 0s\n"
    assert list_runners.read_gpusched_codes(said) == {1: 0, 2: 5}
    rows = ["Seq Host Starttime JobRuntime Send Receive Exitval Signal Command", "2 : 1.0 0.1 0 0 3 0 x"]
    assert list_runners.read_joblog("\n".join(row.replace(" ", "\t") for row in rows)) == {2: 3}


# -- tables ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "measure", "text"),
    [
        (0.0000123, "fsync_4k_s", "12 µs"),
        (0.0123, "noop.s_per_run", "12.3 ms"),
        (1.234, "start_s.10000", "1.23 s"),
        (10000, "idle.rows", "10,000"),
        (0.456, "idle.cpu_percent", "0.456"),
        (0.9, "history.add_ratio", "0.9"),
    ],
)
def test_a_quantity_is_printed_in_the_unit_of_its_name(value: float, measure: str, text: str) -> None:
    assert quantity(value, measure) == text


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_every_installed_queue_has_a_line_and_every_other_one_a_reason(figures: Figures) -> None:
    page = render(figures, header="Measured never")
    for name, contestant in CONTESTANTS.items():
        assert f"| {name} |" in page or f"- {name}: {contestant.absent()}" in page
    assert all(f"- {name}: " in absent_list() for name in NEVER_MEASURED)


def test_a_queue_that_takes_fewer_rows_says_how_many(figures: Figures) -> None:
    figures.add("task-spooler", "add_s.1000", 0.005)
    figures.note("task-spooler", "add_s.1000", why="at 950 rows")
    assert "5 ms, at 950 rows" in verbs_table(figures) or CONTESTANTS["task-spooler"].absent()


def test_sizes_end_with_the_first_that_is_too_large() -> None:
    assert sizes_for(CONTESTANTS["task-spooler"]) == [100, 1_000]
    assert sizes_for(OURS) == [100, 1_000, 10_000]


def test_a_failed_measurement_is_said_beside_its_table(figures: Figures) -> None:
    assert "runqd, kill: failed: it said no" in render(figures, header="")


def test_a_missed_target_stands_in_the_table_with_its_number(figures: Figures) -> None:
    page = render(figures, header="")
    assert "| end of a run to start of the next, median | ≤ 25 ms | 500 ms |" in page
    assert "**missed**" in page


def test_every_target_gets_a_verdict_also_when_it_was_not_measured(figures: Figures) -> None:
    verdicts = {verdict.target.measure: verdict.met for verdict in judge(figures)}
    assert len(judge(figures)) == len(TARGETS)
    assert verdicts["kill.lost"] is True
    assert verdicts["exit_json.gap_median_s"] is False
    assert verdicts["gpus_filled_s"] is None


def test_tables_go_between_the_marks_and_the_prose_stays() -> None:
    page = f"# Title\n{BEGIN}\nold\n{END}\ntail\n"
    assert put_between_marks(page, "new\n") == f"# Title\n{BEGIN}\n\nnew\n\n{END}\ntail\n"


@pytest.mark.parametrize("page", ["no marks", f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_without_its_two_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        put_between_marks(page, "new")


def test_the_shipped_page_can_be_written() -> None:
    page = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")
    assert "new figures" in put_between_marks(page, "new figures")


# -- the command -------------------------------------------------------------------------------------------


def test_an_unknown_queue_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="Did you mean 'task-spooler'"):
        jobqueue.choose_contestants("ours,task-spoler")


def test_only_those_named_are_measured() -> None:
    assert jobqueue.choose_contestants("ours") == [OURS]


def test_a_page_that_cannot_be_written_is_noticed_before_the_long_part(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no marks")
    assert jobqueue.main(["--write", str(page)]) == 2


def test_the_header_names_command_and_machine_but_no_host() -> None:
    header = jobqueue.describe(["--repeats", "2"])
    assert "python -m benchmarks.jobqueue --repeats 2" in header
    assert "cores" in header
    assert Path("/proc/sys/kernel/hostname").read_text().strip() not in header.split()


# -- real processes ----------------------------------------------------------------------------------------


def test_a_gated_job_waits_for_its_gate_and_what_is_left_is_killed(arena: Arena) -> None:
    lines = gated(2)
    pids = [arena.spawn(arena.words(line), output="job.out") for line in lines]
    arena.await_starts(2)
    assert {name_and_parent(pid)[0] for pid in pids} == {"job"}
    assert not arena.stamps().ends
    arena.open_gate()
    assert len(arena.await_ends(2).ends) == 2


def test_an_arena_leaves_no_process_and_no_file() -> None:
    with fresh_arena() as arena:
        arena.spawn(arena.words(Line(1, "60")), output="job.out")
        arena.await_starts(1)
        left = arena.processes()
    assert left
    assert not arena.processes()
    assert not arena.folder.exists()


def test_a_footprint_is_read_of_a_living_process_and_zero_of_a_dead_one(arena: Arena) -> None:
    pid = arena.spawn(arena.words(Line(1, "60")), output="job.out")
    arena.await_starts(1)
    assert cpu_s([pid]) > 0
    assert pss_mb([pid]) > 0
    assert listeners_on(arena.folder / "socket", among=[pid]) == []
    kill(pid)
    arena.reap()


def test_four_no_op_runs_of_ours_give_every_figure() -> None:
    figures = Figures()
    measure_noop_runs(figures, OURS, 4)
    for measure in ("noop.s_per_run", "noop.gap_median_s", "noop.first_start_s", "exit_json.gap_p99_s"):
        assert figures.get("ours", measure) is not None
    assert not figures.notes
