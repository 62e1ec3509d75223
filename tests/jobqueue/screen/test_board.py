"""The board as text: what stands in it at which size, and what it does not cost."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from pkgs.foundation.progress import Progress, write_progress
from pkgs.foundation.run_folder import RunFolder
from pkgs.jobqueue.manager.engine import Engine
from pkgs.jobqueue.screen.board import BUSY_PAUSE_S, IDLE_PAUSE_S, Board
from pkgs.jobqueue.screen.board_words import middle_cut
from pkgs.jobqueue.state.records import Completed, Failed
from pkgs.jobqueue.vocabulary import Cause, RunKey
from tests.builders.engines import HandClock, engine_in, pretend_run, set_state

TABLE = (
    "id,command,seeds,conditions,after,gpus\n"
    "ke/data,true,,,,0\n"
    "ke/student,true,3 4 13,,,1\n"
    "ke/a_job_with_a_very_long_name_indeed_so_long,true,0,,,1\n"
    "ke/many,true,0..5,plain noisy,,1\n"
    "ke/report,true,,,ke/student:all,0\n"
    "ke/refused,true,,,nobody,0\n"
)


def drawn(engine: Engine, *, width: int = 80, rows: int = 23) -> list[str]:
    """Return the board's lines at a size."""
    console = Console(file=io.StringIO(), width=width, height=rows + 1, color_system=None)
    console.print(Board(engine, console=console).picture(rows=rows))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def line_of(lines: list[str], start: str) -> str:
    (found,) = [line for line in lines if line.startswith(start)]
    return found


def progress(engine: Engine, key: RunKey, **facts: object) -> None:
    folder = RunFolder.of(engine.root, key.job, condition=key.condition, seed=key.seed)
    write_progress(folder, Progress(step=42, steps=100, **facts))  # type: ignore[arg-type]


@pytest.mark.parametrize(("width", "rows"), [(80, 23), (60, 14), (40, 9), (200, 49)])
def test_no_line_is_too_wide_and_none_too_many(tmp_path: Path, width: int, rows: int) -> None:
    with engine_in(tmp_path, TABLE, gpus="sim:8x24G") as engine:
        pretend_run(engine, RunKey("ke/student", seed=3), devices=("SIM-0",))
        set_state(engine, RunKey("ke/data"), Failed(Cause.EXCEPTION, "x" * 500))
        engine.commit(events=[engine.say("failed", "y" * 500)] * 9)
        engine.desk.notices.append("z" * 500)
        lines = drawn(engine, width=width, rows=rows)
    assert max(map(len, lines)) <= width
    assert len(lines) <= max(rows, 11), "a window of nine lines shows the upper ones"


def test_a_running_job_shows_percent_end_and_metrics(tmp_path: Path) -> None:
    clock = HandClock()
    with engine_in(tmp_path, TABLE, clock=clock) as engine:
        key = RunKey("ke/student", seed=3)
        pretend_run(engine, key, devices=("SIM-0",))
        progress(engine, key, eta_unix_s=clock.unix + 3600, metrics={"iou": 0.5123})
        shown = line_of(drawn(engine, width=120), "ke/student")
        assert "running" in shown
        assert "seed 3 ████░░░░░░ 42% until" in shown
        assert "iou 0.512" in shown


def test_without_progress_the_time_and_the_expected_end_are_shown(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        engine.book.entries["ke/data"].record.durations_s.append(7200.0)
        pretend_run(engine, RunKey("ke/data"), for_s=3725)
        assert "1:02:05 until" in line_of(drawn(engine), "ke/data")


def test_several_runs_of_a_job_are_shown_shortly_and_the_rest_counted(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE, gpus="sim:8x24G") as engine:
        for seed in range(4):
            pretend_run(engine, RunKey("ke/many", "plain", seed), devices=(f"SIM-{seed}",))
        shown = line_of(drawn(engine), "ke/many")
        assert "0:plain 0:00" in shown
        assert "+" in shown
        assert "3:plain 0:00" in line_of(drawn(engine, width=160), "ke/many")


def test_a_long_id_keeps_both_its_ends_and_pushes_nothing_away(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        shown = line_of(drawn(engine), "ke/a_job")
    assert "…" in shown
    assert "so_long" in shown.split()[0]
    assert "open" in shown


def test_a_refused_row_says_so(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        shown = line_of(drawn(engine, width=120), "ke/refused")
    assert "refused" in shown
    assert "'nobody' is not" in shown


def test_when_not_all_fit_the_urgent_ones_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    rows = "".join(f"job{number:03},true,0\n" for number in range(300))
    with engine_in(tmp_path, f"id,command,gpus\n{rows}") as engine:
        set_state(engine, RunKey("job250"), Failed(Cause.EXCEPTION, "no"))
        pretend_run(engine, RunKey("job299"))
        lines = drawn(engine)
    assert "failed" in line_of(lines, "job250")
    assert "running" in line_of(lines, "job299")
    assert "more" in line_of(lines, "... 2")


def test_a_paused_queue_and_a_broken_table_are_said_above_all(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        engine.paused, engine.table_problem = "the disk is full", "Jobs.csv, line 9: broken"
        lines = drawn(engine)
    assert lines[1:3] == ["the disk is full", "Jobs.csv, line 9: broken"]


def test_devices_stand_side_by_side_with_who_is_on_them(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE, gpus="sim:4x24G") as engine:
        pretend_run(engine, RunKey("ke/student", seed=3), devices=("SIM-1",))
        shown = line_of(drawn(engine), "GPU 0")
    assert "GPU 1  ke/student:3" in shown


def test_sixteen_devices_in_a_small_window_are_counted_in_one_line(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE, gpus="sim:16x24G") as engine:
        pretend_run(engine, RunKey("ke/student", seed=3), devices=("SIM-1",))
        assert line_of(drawn(engine, rows=12), "GPUs") == "GPUs   1 of 16 with runs"


def test_the_end_of_the_queue_stands_in_the_first_lines(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        set_state(engine, RunKey("ke/data"), Completed())
        engine.eta_words = "done about 03:40, give or take 25 min"
        assert drawn(engine, width=80)[0].endswith("done about 03:40, give or take 25 min")
        assert drawn(engine, width=40)[1].startswith("done about 03:40")


def test_an_idle_board_is_drawn_seldom_and_a_resized_one_at_once(tmp_path: Path) -> None:
    clock = HandClock()
    with engine_in(tmp_path, TABLE, clock=clock) as engine:
        console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True)
        pictures: list[int] = []
        with Board(engine, console=console) as board:
            board._display.update = lambda *_, **__: pictures.append(1)  # type: ignore[method-assign]
            for _ in range(10):
                board.show(engine)
                clock.advance(IDLE_PAUSE_S / 5)
            assert len(pictures) == 2
            console.size = (100, 30)  # type: ignore[assignment]
            board.show(engine)
            assert len(pictures) == 3
            pretend_run(engine, RunKey("ke/data"))
            clock.advance(IDLE_PAUSE_S)
            board.show(engine)
            clock.advance(BUSY_PAUSE_S)
            board.show(engine)
            assert len(pictures) == 5


def test_a_terminal_that_has_gone_does_not_end_the_queue(tmp_path: Path) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(5, "Input/output error")

    with engine_in(tmp_path, TABLE) as engine:
        board = Board(engine, console=Console(file=Gone(), width=80, height=24, force_terminal=True))
        board.show(engine)


@pytest.mark.parametrize(
    ("name", "cut"), [("short", "short"), ("abcdefghij", "abc…hij"), ("abcdefgh", "abc…fgh")]
)
def test_names_are_cut_in_their_middle(name: str, cut: str) -> None:
    assert middle_cut(name, 7) == cut
