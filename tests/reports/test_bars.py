from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.reports import bars
from pkgs.reports.bars import draw_bars
from pkgs.reports.runs import Study, read_study
from pkgs.reports.tables import SeedRow, measured_metrics, seed_rows
from tests.builders.figures import keep_figures, panel, texts, titles
from tests.builders.run_folders import write_study


def study_and_rows(root: Path) -> tuple[Study, list[SeedRow]]:
    write_study(root)
    study = read_study(root, "ke", out=root / "out")
    return study, seed_rows(study, measured_metrics(study))


def test_bars_are_means_from_zero_with_a_point_per_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_figures(monkeypatch, bars)
    study, rows = study_and_rows(tmp_path)
    drawing = draw_bars(study, rows, weights="last", synthetic=True)
    assert drawing is not None
    assert drawing.width_px <= 1100
    assert "last weights" in drawing.caption
    figure = kept["bars"]
    assert [title.partition(" ")[0] for title in titles(figure)] == ["Accuracy", "IoU", "ECE", "MCE"]
    iou = panel(figure, "IoU")
    lengths = {name: bar.get_width() for name, bar in zip(study.conditions, iou.patches, strict=True)}
    assert lengths == pytest.approx({"student_baseline": 0.81, "no_augment": 0.775})
    assert iou.get_xlim()[0] == 0
    points = [line.get_xdata().tolist() for line in iou.lines if line.get_marker() == "o"]
    assert sorted(points[study.conditions.index("student_baseline")]) == pytest.approx([0.80, 0.81, 0.82])
    assert ".810" in texts(iou)


def test_a_reference_without_training_is_a_dotted_line_with_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_figures(monkeypatch, bars)
    study, rows = study_and_rows(tmp_path)
    draw_bars(study, rows, weights="last", synthetic=False)
    iou = panel(kept["bars"], "IoU")
    assert [line.get_xdata()[0] for line in iou.lines if line.get_linestyle() == ":"] == [pytest.approx(0.3)]
    assert iou.get_xlabel() == "best global threshold .300 (dotted)"


def test_metrics_that_nobody_measured_leave_no_panel_and_none_at_all_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_figures(monkeypatch, bars)
    study, rows = study_and_rows(tmp_path)
    draw_bars(study, rows, weights="last", synthetic=False, shown=["iou", "unheard_of"])
    assert len(kept["bars"].axes) == 1
    assert draw_bars(study, rows, weights="ema", synthetic=False) is None
    assert draw_bars(study, [], weights="last", synthetic=False) is None
