"""Append-only CSV files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.training.tables import Table


def test_the_header_is_written_once(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.csv", ("step", "loss"))
    table.append({"step": 1, "loss": 0.5})
    table.append({"step": 2, "loss": None}, {"step": 3})
    assert (tmp_path / "t.csv").read_text() == "step,loss\n1,0.5\n2,\n3,\n"


def test_a_line_that_a_crash_cut_off_does_not_spoil_the_next(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.csv", ("step", "loss"))
    (tmp_path / "t.csv").write_text("step,loss\n1,0.5\n2")
    table.append({"step": 3, "loss": 0.25})
    assert [row["step"] for row in table.rows()] == ["1", "3"]


def test_another_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("step\n1\n")
    with pytest.raises(ValueError, match="header 'step'; expected 'step,loss'"):
        Table(tmp_path / "t.csv", ("step", "loss")).append({"step": 2})


def test_an_unknown_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lost"):
        Table(tmp_path / "t.csv", ("step",)).append({"lost": 1})


def test_a_missing_file_has_no_rows(tmp_path: Path) -> None:
    assert Table(tmp_path / "t.csv", ("step",)).rows() == []
