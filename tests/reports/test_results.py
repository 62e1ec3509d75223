from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from pkgs.foundation.run_folder import RunFolder
from pkgs.reports.results import read_results
from tests.builders.run_folders import MadeUp, write_run


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return write_run(tmp_path, "ke/a", seed=3, run=MadeUp(iou=0.7))


def test_test_rows_are_found_by_weights_and_source(folder: RunFolder) -> None:
    results = read_results(folder)
    assert results.test("last", "iou") == pytest.approx(0.70)
    assert results.test("best", "iou") == pytest.approx(0.71)
    assert results.test("last", "iou", source="source_b") == pytest.approx(0.68)
    assert math.isnan(results.test("threshold", "brier"))
    assert math.isnan(results.test("last", "unheard_of"))


def test_a_test_that_was_repeated_after_a_resume_counts_once_and_the_last_time(folder: RunFolder) -> None:
    lines = folder.test_csv.read_text().splitlines(keepends=True)
    folder.test_csv.write_text("".join(lines) + lines[1].replace("0.700000", "0.650000", 1))
    assert read_results(folder).test("last", "iou") == pytest.approx(0.65)


def test_steps_that_a_resume_repeated_are_taken_from_the_later_attempt(folder: RunFolder) -> None:
    with folder.train_csv.open("a") as file:
        file.write("1.0,2,99,4,0.01,64.0,0.5\n")
    steps, losses = read_results(folder).train.finite("loss")
    assert (steps[-2:].tolist(), losses[-1]) == ([98.0, 99.0], 0.5)


def test_a_folder_with_nothing_but_a_config_is_a_training_without_results(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: 1\n")
    results = read_results(RunFolder(tmp_path))
    assert results.is_training
    assert not results.tests
    assert results.complaints == ()


def test_broken_files_are_complaints_and_never_exceptions(folder: RunFolder) -> None:
    folder.config.write_text("a: [1,\n")
    folder.provenance.write_text("{")
    folder.test_csv.write_text("time_unix_s,iou\n1,2\n")
    complaints = " ".join(read_results(folder).complaints)
    assert "config.yaml cannot be read" in complaints
    assert "provenance.json cannot be read" in complaints
    assert "test.csv has no column 'weights'; it has time_unix_s, iou." in complaints


def test_a_test_csv_without_rows_is_named(folder: RunFolder) -> None:
    folder.test_csv.write_text("weights,source,iou\n")
    assert read_results(folder).complaints == ("test.csv holds a header and no row.",)


def test_synthetic_data_are_recognised_by_provenance_or_by_the_data_sets_own_mark(tmp_path: Path) -> None:
    assert read_results(write_run(tmp_path, "ke/a", seed=0)).synthetic
    config = {"data": {"root": str(tmp_path / "set")}}
    run = MadeUp(synthetic=False, config=config)
    assert not read_results(write_run(tmp_path, "ke/a", seed=1, run=run)).synthetic
    (tmp_path / "set").mkdir()
    (tmp_path / "set/dataset.json").write_text(json.dumps({"synthetic": True}))
    assert read_results(write_run(tmp_path, "ke/a", seed=2, run=run)).synthetic
    (tmp_path / "set/dataset.json").write_text(json.dumps({"synthetic": False}))
    assert not read_results(write_run(tmp_path, "ke/a", seed=4, run=run)).synthetic
