from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from pkgs.foundation.run_folder import RunFolder
from pkgs.reports.prediction_tables import Bins, Predictor, read_study_tables, read_tables
from pkgs.reports.runs import read_study
from tests.builders.prediction_files import (
    CALIBRATION_HEADER,
    MASKS,
    write_alarms,
    write_calibration,
    write_error_prediction,
    write_monitor,
)
from tests.builders.run_folders import MadeUp, write_run

TEACHER = Predictor("last", "own", "teacher")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "predictions").mkdir()
    return RunFolder(tmp_path)


def write_table(folder: RunFolder, name: str, *lines: str) -> None:
    (folder.predictions / name).write_text("\n".join(lines) + "\n")


def bins(count: list[float], predicted: list[float], real: list[float]) -> Bins:
    filled = [np.array(values + [0.0] * (15 - len(values))) for values in (count, predicted, real)]
    return Bins(*filled)


def test_ece_and_mce_match_a_count_by_hand() -> None:
    # bin 0: 30 pixels, mean p .1, 0 of them foreground: gap .1; bin 1: 10 pixels, .5 against .2: gap .3
    two = bins([30, 10], [3, 5], [0, 2])
    assert two.ece == pytest.approx(0.75 * 0.1 + 0.25 * 0.3)
    assert two.mce == pytest.approx(0.3)
    assert two.predicted[:2].tolist() == pytest.approx([0.1, 0.5])
    assert np.isnan(two.real[2:]).all()


def test_perfect_calibration_is_zero_and_no_pixels_are_nan() -> None:
    assert bins([10], [2], [2]).ece == 0
    assert bins([10], [2], [2]).mce == 0
    assert math.isnan(bins([0], [0], [0]).ece)
    assert math.isnan(bins([0], [0], [0]).mce)


def test_a_run_without_predictions_has_empty_tables_and_no_complaint(tmp_path: Path) -> None:
    tables = read_tables(RunFolder(tmp_path))
    assert not any((tables.calibration, tables.scores, tables.images, tables.reliability, tables.risk))
    assert tables.alarms is None
    assert tables.complaints == ()


def test_everything_that_the_contract_names_is_read_back(folder: RunFolder) -> None:
    write_calibration(folder, weights=["last", "best"])
    write_error_prediction(folder, images=6)
    write_alarms(folder, [{"step": 75, "name": "exploitation", "sentence": "It was exploited."}])
    tables = read_tables(folder)
    assert tables.complaints == ()
    assert list(tables.calibration) == ["last", "best"]
    assert {key.masks for key in tables.risk} == set(MASKS)
    assert Predictor("last", "own", "oracle") in tables.risk
    assert tables.scores[TEACHER, "pooled"]["aurc"] == 0.002
    assert tables.sources[TEACHER, "source_a"]["auroc"] == 0.95
    assert tables.images[TEACHER].samples[0] == "source_a/p0"
    assert tables.reliability[TEACHER].count[0] == 100_000
    assert tables.alarms is not None
    assert [(alarm.step, alarm.sentence) for alarm in tables.alarms] == [(75, "It was exploited.")]


def test_sources_are_added_up_and_a_pooled_row_is_not_counted_on_top(folder: RunFolder) -> None:
    rows = ["last,a,0,10,1,0,1,1,1,1", "last,b,0,30,3,4,1,1,1,1"]
    write_table(folder, "calibration.csv", CALIBRATION_HEADER, *rows)
    apart = read_tables(folder).calibration["last"]
    assert (apart.count[0], apart.sum_real[0]) == (40, 4)
    write_table(folder, "calibration.csv", CALIBRATION_HEADER, *rows, "last,pooled,0,40,4,4,1,1,1,1")
    assert read_tables(folder).calibration["last"].count[0] == 40


def test_a_score_that_a_predictor_cannot_have_is_nan_and_no_complaint(folder: RunFolder) -> None:
    write_table(
        folder, "error_prediction.csv", "weights,masks,predictor,source,auroc", "last,own,oracle,pooled,"
    )
    tables = read_tables(folder)
    assert math.isnan(tables.scores[Predictor("last", "own", "oracle"), "pooled"]["auroc"])
    assert tables.complaints == ()


@pytest.mark.parametrize("row", ["15,10,1,0", "-1,10,1,0", ".5,10,1,0", "0,-10,1,0", "0,x,1,0", "0,0,0,0"])
def test_sums_that_cannot_be_are_left_out_with_a_sentence(folder: RunFolder, row: str) -> None:
    write_table(folder, "calibration.csv", "weights,source,bin,count,sum_p,sum_y", f"last,a,{row}")
    tables = read_tables(folder)
    assert tables.calibration == {}
    [complaint] = tables.complaints
    assert complaint.startswith("predictions/calibration.csv, last: no sums over pixels in 15 bins")


def test_a_missing_column_names_the_file_and_the_column(folder: RunFolder) -> None:
    write_table(folder, "risk_coverage.csv", "weights,masks,predictor,coverage", "last,own,teacher,.5")
    [complaint] = read_tables(folder).complaints
    assert complaint.startswith("predictions/risk_coverage.csv has no column 'risk'")


def test_rows_without_their_numbers_are_left_out_and_said_once(folder: RunFolder) -> None:
    head = "weights,masks,predictor,sample,source,predicted,real"
    rows = ["last,own,teacher,a/1,a,.1,.2", "last,own,teacher,a/2,a,,.2", "last,own,teacher,a/3,a,.1,nan"]
    write_table(folder, "error_images.csv", head, *rows)
    risks = ["last,own,teacher,.9,.2", "last,own,teacher,.5,.1", "last,own,teacher,1,"]
    write_table(folder, "risk_coverage.csv", "weights,masks,predictor,coverage,risk", *risks)
    tables = read_tables(folder)
    assert tables.images[TEACHER].samples == ("a/1",)
    assert tables.risk[TEACHER].coverage.tolist() == [0.5, 0.9]
    assert len(tables.complaints) == 2


def test_an_empty_list_of_alarms_is_another_thing_than_none(folder: RunFolder) -> None:
    write_alarms(folder, [])
    assert read_tables(folder).alarms == ()


@pytest.mark.parametrize(("text", "alarms"), [("{}", None), ("[", None), ('[{"step": "x"}, 3]', ())])
def test_broken_alarms_are_a_sentence(folder: RunFolder, text: str, alarms: tuple[()] | None) -> None:
    (folder.path / "alarms.json").write_text(text)
    tables = read_tables(folder)
    assert tables.alarms == alarms
    assert len(tables.complaints) == 1
    assert tables.complaints[0].startswith("alarms.json")


def test_the_complaints_of_a_study_name_their_run(tmp_path: Path) -> None:
    write_monitor(write_run(tmp_path, "ke/a", seed=3, run=MadeUp()), exploited=False)
    broken = write_run(tmp_path, "ke/a", seed=4, run=MadeUp())
    (broken.path / "alarms.json").write_text("[")
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    tables = read_study_tables(study)
    assert [complaint[:19] for complaint in tables.complaints] == ["a, seed 4: alarms.j"]
    assert tables.of(study.runs[0]).alarms == ()
