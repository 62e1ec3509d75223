from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.reports import named_curves
from pkgs.reports.named_curves import draw_named_curves, lacking_columns
from pkgs.reports.plan_ranking import NamedCurves
from pkgs.reports.runs import Study, read_study
from tests.builders.figures import keep_figures, panel, titles
from tests.builders.noise_studies import write_memorising
from tests.builders.run_folders import MadeUp, write_run

ASKED = NamedCurves(
    name="Memorisation",
    text="How to read it.",
    lines={"noisy": "iou_noisy", "loss": "loss"},
    panels={"out of fold": ("student/fold*",), "in sample": ("student/in_sample",), "none": ("ghost",)},
)


def study_in(root: Path) -> Study:
    for condition in ("student/fold0", "student/fold1", "student/in_sample"):
        for seed in (0, 1):
            folder = write_run(root, f"made/{condition}", seed=seed, run=MadeUp())
            write_memorising(folder, inside=condition.endswith("sample"), seed=seed)
    return read_study(root, "made", out=root / "out")


def test_a_panel_holds_the_columns_of_all_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = keep_figures(monkeypatch, named_curves)
    drawing = draw_named_curves(study_in(tmp_path), ASKED, synthetic=True)
    assert drawing is not None
    assert drawing.name == "curves_memorisation"
    assert drawing.caption.startswith("How to read it. A thin line per run")
    figure = kept["curves_memorisation"]
    assert titles(figure) == ["out of fold (4 runs)", "in sample (2 runs)"]
    assert len(panel(figure, "out of fold").lines) == 2 * (4 + 1)  # a column of val.csv, one of train.csv
    assert len(panel(figure, "in sample").lines) == 2 * (2 + 1)
    assert panel(figure, "in sample").get_ylim() == panel(figure, "out of fold").get_ylim()


def test_columns_that_nobody_logged_are_named_and_not_drawn(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    asked = ASKED.model_copy(update={"lines": {"a": "iou_noisy", "b": "nonsense"}})
    assert lacking_columns(study, asked) == ["nonsense"]
    nothing = ASKED.model_copy(update={"lines": {"b": "nonsense"}})
    assert draw_named_curves(study, nothing, synthetic=True) is None
    assert lacking_columns(study, ASKED.model_copy(update={"panels": {"none": ("ghost",)}})) == []
