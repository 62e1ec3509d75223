from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.reports import calibration_grid
from pkgs.reports.calibration_grid import draw_calibration
from pkgs.reports.prediction_tables import read_study_tables
from pkgs.reports.runs import read_study
from tests.builders.figures import keep_figures, panel, texts, titles
from tests.builders.prediction_files import write_calibration
from tests.builders.run_folders import MadeUp, write_run


def draw(root: Path, *, weights: str = "last") -> list[calibration_grid.Drawing]:
    study = read_study(root, "ke", out=root / "out")
    return draw_calibration(study, read_study_tables(study), weights=weights, synthetic=True)


def test_the_grid_has_a_column_per_seed_and_the_average(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_figures(monkeypatch, calibration_grid)
    for condition, shift in (("a", 0.02), ("b", 0.1)):
        for seed in (3, 4):
            folder = write_run(tmp_path, f"ke/{condition}", seed=seed, run=MadeUp())
            write_calibration(folder, shift=shift * (seed - 2))
    [drawing] = draw(tmp_path)
    figure = kept["calibration"]
    assert titles(figure) == ["seed 3", "seed 4", "average", "", "", ""]
    assert "Calibration of a, b, last weights" in drawing.caption
    assert drawing.width_px <= 1100
    # the gap of the bin around .5 is 4 * shift * .25
    assert "MCE .020" in texts(panel(figure, "seed 3"))[0]
    assert "MCE .040" in texts(panel(figure, "seed 4"))[0]
    assert "MCE .030 ± .014" in texts(panel(figure, "average"))[0]


def test_the_bars_are_the_share_of_foreground_and_few_pixels_are_pale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_figures(monkeypatch, calibration_grid)
    write_calibration(write_run(tmp_path, "ke/a", seed=3, run=MadeUp()), shift=0.1)
    draw(tmp_path)
    bars, gaps, pale = panel(kept["calibration"], "seed 3").patches[:3]
    heights = bars.get_data().values
    assert heights[7] == pytest.approx(0.4, abs=1e-6)
    assert heights[14] != heights[14]  # 40 pixels: among the pale ones
    assert gaps.get_data().baseline[7] == pytest.approx(0.5, abs=1e-6)
    assert pale.get_alpha() == calibration_grid.PALE
    assert pale.get_data().values[14] == pytest.approx(29 / 30 - 0.4 * 29 / 30 / 30, abs=1e-6)


def test_many_conditions_are_shared_out_between_figures(tmp_path: Path) -> None:
    for k in range(5):
        write_calibration(write_run(tmp_path, f"ke/c{k}", seed=3, run=MadeUp()))
    drawings = draw(tmp_path)
    assert [drawing.name for drawing in drawings] == ["calibration", "calibration_2"]
    assert drawings[0].caption.startswith("Calibration of c0, c1, c2, last")
    assert drawings[1].caption.startswith("Calibration of c3, c4, last")


def test_a_seed_without_sums_is_said_and_seeds_beyond_five_only_enter_the_average(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_figures(monkeypatch, calibration_grid)
    for seed in range(6):
        for condition in ("a", "b"):
            folder = write_run(tmp_path, f"ke/{condition}", seed=seed, run=MadeUp())
            if (condition, seed) != ("a", 2):
                write_calibration(folder)
    [drawing] = draw(tmp_path)
    assert titles(kept["calibration"])[:6] == [*(f"seed {k}" for k in range(5)), "average"]
    assert texts(panel(kept["calibration"], "seed 2"))[0] == "no sums"
    assert "first 5 of 6 seeds" in drawing.caption


def test_a_single_run_without_a_seed_has_no_error_bars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_figures(monkeypatch, calibration_grid)
    write_calibration(write_run(tmp_path, "ke/a", run=MadeUp()))
    draw(tmp_path)
    assert titles(kept["calibration"]) == ["single run", "average"]
    assert "±" not in texts(panel(kept["calibration"], "average"))[0]


def test_without_sums_of_these_weights_there_is_no_grid(tmp_path: Path) -> None:
    write_calibration(write_run(tmp_path, "ke/a", seed=3, run=MadeUp()))
    assert draw(tmp_path, weights="best") == []
