from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.lines import Line2D
from PIL import Image

from pkgs.reports.comparison import compare
from pkgs.reports.curves import MAX_POINTS, averaged, draw_curves, stretches
from pkgs.reports.overlays import draw_overlays
from pkgs.reports.plot_style import file_name, in_pages, legend_above, looks, new_figure
from pkgs.reports.points import draw_differences, draw_points
from pkgs.reports.runs import read_study
from pkgs.reports.tables import measured_metrics, seed_rows, split_references, weights_of
from tests.builders.run_folders import MadeUp, write_run, write_study


def test_figures_of_the_same_study_are_the_same_bytes(tmp_path: Path) -> None:
    write_study(tmp_path)
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    one, other = draw_curves(study, synthetic=True), draw_curves(study, synthetic=True)
    assert one is not None
    assert one == other


def test_synthetic_data_are_named_in_the_figure_itself(tmp_path: Path) -> None:
    write_study(tmp_path)
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    rows = seed_rows(study, measured_metrics(study))
    stamped, plain = draw_points(study, rows, synthetic=True), draw_points(study, rows, synthetic=False)
    assert stamped is not None
    assert plain is not None
    assert b"<!-- synthetic data -->" in stamped.svg
    assert b"<!-- synthetic data -->" not in plain.svg


def test_nothing_to_draw_is_no_figure(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "ke/a", seed=0, run=MadeUp(tested=False))
    folder.train_csv.unlink()
    folder.val_csv.unlink()
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    assert draw_curves(study, synthetic=False) is None
    assert draw_points(study, [], synthetic=False) is None
    assert draw_differences([], synthetic=False) is None


def test_a_single_seed_without_intervals_can_be_drawn(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=[0])
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    metrics = measured_metrics(study)
    comparisons = compare(study, "student_baseline", weights="last", metrics=metrics[:1])
    assert draw_points(study, seed_rows(study, metrics), synthetic=False) is not None
    assert draw_differences(comparisons, synthetic=False) is not None


def test_short_curves_keep_every_step_and_long_ones_are_averaged() -> None:
    few = stretches([np.array([10.0, 20.0]), np.array([20.0, 30.0])])
    steps, values = averaged(np.array([10.0, 20.0]), np.array([1.0, 2.0]), few)
    assert steps[:2].tolist() == [10.0, 20.0]
    assert np.isnan(values[2])
    long = np.arange(1.0, 1001.0)
    steps, values = averaged(long, long, stretches([long]))
    assert values.size == MAX_POINTS
    assert np.allclose(steps, values)


def test_conditions_beyond_the_palette_get_another_dash() -> None:
    drawn = looks([f"c{i}" for i in range(14)])
    assert len({(look.colour, look.dash) for look in drawn.values()}) == 14


def test_averaged_weights_stand_beside_last_and_best_and_are_no_reference(tmp_path: Path) -> None:
    write_study(tmp_path)
    for file in tmp_path.rglob("test.csv"):
        lines = file.read_text().splitlines()
        averaged_too = [line.replace(",last,", ",ema,") for line in lines if ",last," in line]
        file.write_text("\n".join([*lines, *averaged_too, ""]))
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    rows = seed_rows(study, measured_metrics(study))
    assert weights_of(study) == ["last", "best", "ema", "threshold"]
    assert "ema" not in {row.condition for row in split_references(rows)[1]}
    figure = draw_points(study, rows, synthetic=False)
    assert figure is not None
    assert b"<!-- ema -->" in figure.svg


def test_names_are_shared_out_evenly_and_in_order() -> None:
    assert in_pages(list("abcde"), per_page=4) == [["a", "b", "c"], ["d", "e"]]
    assert in_pages(list("abcd"), per_page=4) == [["a", "b", "c", "d"]]
    assert in_pages([], per_page=4) == []


def test_a_legend_takes_as_many_columns_as_the_figure_is_wide() -> None:
    handles = [Line2D([], [], label=f"a label of some length {k}") for k in range(4)]
    wide, narrow = new_figure(11.9, 3), new_figure(4.2, 3)
    for figure in (wide, narrow):
        legend_above(figure, handles)
    assert (wide.legends[0]._ncols, narrow.legends[0]._ncols) == (4, 1)


def test_a_figure_cannot_be_named_out_of_its_folder() -> None:
    assert file_name("overlay", "../x/joint") == "overlay_..-x-joint"


def test_a_colour_image_is_shown_in_its_colours(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "made/base", seed=0, run=MadeUp())
    image = np.zeros((3, 16, 16), dtype=np.float32)
    image[0] = 1  # red
    label = np.zeros((16, 16), dtype=np.uint8)
    label[4:8, 4:8] = 1
    np.savez(folder.predictions / "a.npz", image=image, label=label, probability=0.9 * label)
    study = read_study(tmp_path, "made", out=tmp_path / "out")
    drawing, complaints = draw_overlays(study, "base", synthetic=False)
    assert complaints == []
    assert drawing is not None
    shown = np.asarray(Image.open(io.BytesIO(drawing.png)).convert("RGB"))
    assert (shown == (255, 0, 0)).all(axis=2).any()
