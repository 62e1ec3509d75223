from __future__ import annotations

import math
from pathlib import Path

from pkgs.reports.csv_rows import read_csv, without_repeats


def write(folder: Path, text: str) -> Path:
    path = folder / "train.csv"
    path.write_bytes(text.encode())
    return path


def test_a_half_written_last_line_is_dropped_without_a_word(tmp_path: Path) -> None:
    table = read_csv(write(tmp_path, "step,loss\n1,0.5\n2,0.4\n3,0."))
    assert table.numbers("step") == [1.0, 2.0]
    assert table.complaints == ()


def test_a_line_cut_off_in_the_middle_of_the_file_is_left_out_and_named(tmp_path: Path) -> None:
    table = read_csv(write(tmp_path, "step,lr,loss\n1,0.1,0.5\n2,0.\n2,0.1,0.4\n"))
    assert table.numbers("loss") == [0.5, 0.4]
    assert table.complaints == (
        "train.csv: line 3 cut off or with surplus cells, left out (a crash while writing?).",
    )


def test_surplus_columns_are_kept_and_text_in_number_columns_is_nan(tmp_path: Path) -> None:
    table = read_csv(write(tmp_path, "step,loss,note\n1,oops,hello\n"))
    assert table.columns == ("step", "loss", "note")
    assert math.isnan(table.numbers("loss")[0])


def test_a_missing_column_is_a_sentence_with_what_is_there(tmp_path: Path) -> None:
    table = read_csv(write(tmp_path, "time,loss\n1,2\n"), required=["step"])
    assert table.rows == ()
    assert table.complaints == ("train.csv has no column 'step'; it has time, loss.",)


def test_a_missing_file_is_empty_and_no_complaint_while_an_empty_one_is_named(tmp_path: Path) -> None:
    assert read_csv(tmp_path / "val.csv").complaints == ()
    assert read_csv(write(tmp_path, "")).complaints == ("train.csv is empty; expected a header.",)


def test_windows_line_ends_a_byte_order_mark_and_nul_bytes_are_survived(tmp_path: Path) -> None:
    table = read_csv(write(tmp_path, "\N{BOM}step,loss\r\n1,0.5\r\n\0,0.4\r\n"), required=["step"])
    assert table.numbers("step")[0] == 1.0
    assert math.isnan(table.numbers("step")[1])


def test_a_stray_quote_that_swallows_the_file_is_a_sentence(tmp_path: Path) -> None:
    table = read_csv(write(tmp_path, 'step,loss\n"' + "1,2\n" * 50_000))
    assert table.rows == ()
    assert "is not CSV" in table.complaints[0]


def test_after_a_resume_the_last_row_of_a_step_counts_and_steps_never_reached_again_are_dropped() -> None:
    steps = [(1, 1), (1, 2), (1, 3), (1, 4), (2, 3)]  # (attempt, step): attempt 2 starts again after step 2
    rows = [{"attempt": float(attempt), "step": float(step)} for attempt, step in steps]
    kept = [(row["attempt"], row["step"]) for row in without_repeats(rows)]
    assert kept == [(1, 1), (1, 2), (2, 3)]
