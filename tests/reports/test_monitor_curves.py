from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.reports import monitor_curves
from pkgs.reports.monitor_curves import ALARM, draw_monitor
from pkgs.reports.plot_style import Drawing
from pkgs.reports.prediction_tables import read_study_tables
from pkgs.reports.runs import read_study
from tests.builders.figures import keep_figures, panel, titles
from tests.builders.prediction_files import write_monitor
from tests.builders.run_folders import MadeUp, write_run


def draw(root: Path, *, real: str = "real_error") -> Drawing | None:
    study = read_study(root, "ke", out=root / "out")
    return draw_monitor(
        study, read_study_tables(study), predicted="predicted_error", real=real, synthetic=True
    )


def test_each_condition_has_a_panel_with_a_line_per_seed_and_the_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_figures(monkeypatch, monitor_curves)
    for seed in (3, 4, 13):
        calm = write_run(tmp_path, "ke/calm", seed=seed, run=MadeUp())
        write_monitor(calm, exploited=False, seed=seed)
        write_run(tmp_path, "ke/unmonitored", seed=seed, run=MadeUp())
        wild = write_run(tmp_path, "ke/wild", seed=seed, run=MadeUp())
        write_monitor(wild, exploited=True, seed=seed, alarm_at=200 if seed < 13 else None)
    drawing = draw(tmp_path)
    assert drawing is not None
    assert "exploited" in drawing.caption
    figure = kept["monitor"]
    assert titles(figure) == ["calm\nno alarm", "wild\nalarm in 2 of 3 seeds"]
    wild = panel(figure, "wild")
    alarms = [line for line in wild.lines if line.get_color() == ALARM]
    assert [line.get_xdata()[0] for line in alarms] == [200, 200]
    assert len(wild.lines) == 2 * (3 + 1) + 2
    assert len(panel(figure, "calm").lines) == 2 * (3 + 1)
    mean = max(
        (line for line in wild.lines if line.get_color() == monitor_curves.REAL), key=lambda x: x.get_lw()
    )
    assert mean.get_xdata().tolist() == list(range(0, 301, 25))
    assert mean.get_ydata()[-1] > 0.1


def test_positive_errors_are_shown_from_zero_and_negative_ones_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_figures(monkeypatch, monitor_curves)
    for name, exploited in (("calm", False), ("wild", True)):
        write_monitor(write_run(tmp_path, f"ke/{name}", seed=3, run=MadeUp()), exploited=exploited)
    draw(tmp_path)
    assert panel(kept["monitor"], "calm").get_ylim()[0] == 0
    assert panel(kept["monitor"], "wild").get_ylim()[0] < -0.09


def test_without_either_column_there_is_no_figure(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "ke/calm", seed=3, run=MadeUp())
    assert draw(tmp_path) is None
    write_monitor(folder, exploited=False)
    assert draw(tmp_path, real="unheard_of") is None


def test_a_run_whose_alarms_are_missing_is_not_called_calm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_figures(monkeypatch, monitor_curves)
    folder = write_run(tmp_path, "ke/a", seed=3, run=MadeUp())
    write_monitor(folder, exploited=False)
    (folder.path / "alarms.json").unlink()
    draw(tmp_path)
    assert titles(kept["monitor"]) == ["a\nno monitor"]
