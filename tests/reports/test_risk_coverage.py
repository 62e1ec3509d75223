from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pkgs.reports import risk_coverage
from pkgs.reports.prediction_tables import RiskCurve, read_study_tables
from pkgs.reports.risk_coverage import PREDICTORS, draw_risk_coverage, together
from pkgs.reports.runs import read_study
from tests.builders.figures import keep_figures, panel, titles
from tests.builders.prediction_files import write_error_prediction
from tests.builders.run_folders import MadeUp, write_run


def test_curves_with_other_coverages_meet_where_all_have_values() -> None:
    one = RiskCurve(np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.1, 0.2]))
    other = RiskCurve(np.array([0.25, 1.0]), np.array([0.1, 0.4]))
    coverage, risks = together([one, other])
    assert coverage.tolist() == [0.25, 0.5, 1.0]
    assert risks.tolist() == [pytest.approx([0.05, 0.1, 0.2]), pytest.approx([0.1, 0.2, 0.4])]


def test_a_panel_holds_the_mean_and_band_of_each_predictor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_figures(monkeypatch, risk_coverage)
    for seed in (0, 2):
        write_error_prediction(write_run(tmp_path, "ke/joint", seed=seed, run=MadeUp()), seed=seed)
        write_run(tmp_path, "ke/plain", seed=seed, run=MadeUp())
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    tables = read_study_tables(study)
    drawing = draw_risk_coverage(study, tables, weights="last", synthetic=True)
    assert drawing is not None
    assert "own masks, last weights" in drawing.caption
    figure = kept["risk_coverage_own"]
    assert titles(figure) == ["joint (2 seeds)"]
    joint = panel(figure, "joint")
    assert [line.get_color() for line in joint.lines] == [look.colour for look in PREDICTORS.values()]
    assert joint.lines[0].get_ydata()[-1] == pytest.approx(0.01 * 1.1, abs=1e-6)  # of .01 and .012
    assert len(joint.collections) == 4
    assert draw_risk_coverage(study, tables, weights="best", synthetic=True) is None
    assert draw_risk_coverage(study, tables, weights="last", masks="others", synthetic=True) is None


def test_a_single_seed_has_no_band(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = keep_figures(monkeypatch, risk_coverage)
    write_error_prediction(write_run(tmp_path, "ke/joint", seed=0, run=MadeUp()))
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    draw_risk_coverage(study, read_study_tables(study), weights="last", synthetic=False)
    assert list(panel(kept["risk_coverage_own"], "joint (1 seed)").collections) == []
