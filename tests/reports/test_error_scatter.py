from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from pkgs.reports import error_scatter
from pkgs.reports.error_scatter import draw_error_bins, draw_error_scatter, log_ticks, spearman
from pkgs.reports.prediction_tables import ImageErrors, StudyTables, read_study_tables
from pkgs.reports.runs import Study, read_study
from tests.builders.figures import keep_figures, panel, titles
from tests.builders.prediction_files import write_error_prediction
from tests.builders.run_folders import MadeUp, write_run


def errors(predicted: list[float], real: list[float]) -> ImageErrors:
    names = tuple(f"a/{k}" for k in range(len(real)))
    return ImageErrors(names, names, np.array(predicted), np.array(real))


def study_of(root: Path, *conditions: str) -> tuple[Study, StudyTables]:
    for condition in conditions:
        for seed in (0, 1):
            folder = write_run(root, f"ke/{condition}", seed=seed, run=MadeUp())
            write_error_prediction(folder, seed=seed, images=12)
    study = read_study(root, "ke", out=root / "out")
    return study, read_study_tables(study)


def test_the_rank_correlation_matches_values_by_hand() -> None:
    assert spearman(errors([1, 2, 3], [10, 20, 900])) == pytest.approx(1)
    assert spearman(errors([1, 2, 3], [3, 1, 2])) == pytest.approx(-0.5)  # 1 - 6 * (4 + 1 + 1) / (3 * 8)


def test_a_constant_prediction_or_two_images_have_no_rank_correlation() -> None:
    assert math.isnan(spearman(errors([0.2, 0.2, 0.2], [1, 2, 3])))
    assert math.isnan(spearman(errors([1, 2], [1, 2])))


def test_ticks_of_a_logarithmic_axis_are_decades_and_their_thirds() -> None:
    assert log_ticks(0.002, 0.5) == [0.003, 0.01, 0.03, 0.1, 0.3]
    assert log_ticks(1e-6, 1.0) == [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0]


def test_each_kind_of_masks_has_a_panel_with_the_images_of_every_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_figures(monkeypatch, error_scatter)
    study, tables = study_of(tmp_path, "joint")
    [drawing] = draw_error_scatter(study, tables, weights="last", synthetic=True)
    figure = kept["error_scatter_teacher"]
    masks = [title.partition("\n")[0] for title in titles(figure)]
    assert masks == ["joint, own masks", "joint, baseline masks", "joint, corrupted masks"]
    own = panel(figure, "joint, own")
    assert "\nSpearman ." in own.get_title(loc="left")
    assert [len(line.get_xdata()) for line in own.lines] == [12, 12, 2]
    diagonal = own.lines[2]
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    assert own.get_xlim() == own.get_ylim()
    assert "as the teacher predicts it" in drawing.caption
    assert drawing.width_px <= 1100


def test_many_conditions_make_more_figures(tmp_path: Path) -> None:
    study, tables = study_of(tmp_path, "a", "b", "c", "d")
    drawings = draw_error_scatter(study, tables, weights="last", synthetic=True)
    assert [drawing.name for drawing in drawings] == ["error_scatter_teacher", "error_scatter_teacher_2"]


def test_negative_predictions_are_drawn_on_plain_axes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_figures(monkeypatch, error_scatter)
    folder = write_run(tmp_path, "ke/a", seed=0, run=MadeUp())
    rows = [f"last,own,teacher,s/{k},s,{-0.5 + 0.1 * k},{0.1 * k}" for k in range(4)]
    head = "weights,masks,predictor,sample,source,predicted,real"
    (folder.predictions / "error_images.csv").write_text("\n".join([head, *rows, ""]))
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    draw_error_scatter(study, read_study_tables(study), weights="last", synthetic=False)
    axes = panel(kept["error_scatter_teacher"], "a, own")
    assert axes.get_xscale() == "linear"
    assert axes.get_title(loc="left") == "a, own masks\nSpearman 1.00"


def test_the_curve_over_bins_is_the_mean_over_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = keep_figures(monkeypatch, error_scatter)
    study, tables = study_of(tmp_path, "joint", "split")
    drawing = draw_error_bins(study, tables, weights="last", synthetic=True)
    assert drawing is not None
    assert "in 15 equal bins of what the teacher predicts" in drawing.caption
    figure = kept["error_bins_teacher"]
    assert titles(figure) == ["own masks", "baseline masks", "corrupted masks"]
    curve = panel(figure, "own").lines[0]
    x = 7.4 / 15
    assert curve.get_xdata()[7] == pytest.approx(x, abs=1e-6)
    assert curve.get_ydata()[7] == pytest.approx((x**1.2 + x**1.22) / 2, abs=1e-5)


def test_without_such_predictions_there_is_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, "ke/plain", seed=0, run=MadeUp())
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    tables = read_study_tables(study)
    assert draw_error_scatter(study, tables, weights="last", synthetic=False) == []
    assert draw_error_bins(study, tables, weights="last", synthetic=False) is None
