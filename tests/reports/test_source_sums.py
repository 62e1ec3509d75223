from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pkgs.reports.source_sums import SourceSums, measured, read_source_sums
from tests.builders.planned_studies import Level, write_tested
from tests.builders.run_folders import write_run


def two_sources() -> SourceSums:
    """Return a source of 10 pixels and one of 30, with two bins each."""
    bins = np.array([[[6, 1.0, 0], [4, 3.0, 4]], [[20, 2.0, 4], [10, 8.0, 6]]], dtype=float)
    return SourceSums(("a", "b"), np.array([[2, 1, 1, 6], [4, 2, 6, 18]], dtype=float), bins)


@pytest.mark.parametrize(
    ("metric", "weights", "expected"),
    [
        ("iou", [1, 0], 2 / 4),
        ("iou", [1, 1], 6 / 16),
        ("iou", [2, 1], 8 / 20),
        ("dice", [1, 0], 4 / 6),
        ("accuracy", [0, 1], 22 / 30),
        ("ece_fg", [1, 0], (1 + 1) / 10),
        ("ece_fg", [1, 1], (abs(3 - 4) + abs(11 - 10)) / 40),  # pooled first: opposite errors cancel
        ("mce_fg", [1, 0], 1 / 4),
    ],
)
def test_a_metric_of_a_mix_of_sources_is_that_of_the_pooled_sums(
    metric: str, weights: list[float], expected: float
) -> None:
    found = measured(two_sources(), metric, weights_BG=np.array([weights], dtype=float))
    assert found.tolist() == pytest.approx([expected])


def test_nothing_there_and_nothing_found_is_an_overlap_of_one() -> None:
    empty = SourceSums(("a",), np.array([[0.0, 0.0, 0.0, 9.0]]), np.zeros((1, 15, 3)))
    assert measured(empty, "iou", weights_BG=np.ones((1, 1))).tolist() == [1.0]


def test_the_sums_of_a_run_are_read_by_source_and_give_its_test_results(tmp_path: Path) -> None:
    folder = write_tested(tmp_path, "made/a", seed=3, level=Level())
    sums, complaints = read_source_sums(folder, "last")
    assert complaints == ()
    assert sums is not None
    assert sums.sources == ("source_a", "source_b", "source_c", "source_d")
    assert sums.bins_GK3.shape == (4, 15, 3)
    pooled = folder.test_csv.read_text().split("last,pooled,20,")[1].split(",")[0]
    assert measured(sums, "iou", weights_BG=np.ones((1, 4)))[0] == pytest.approx(float(pooled), abs=1e-6)


def test_a_run_without_sums_is_no_complaint_and_broken_sums_are_one(tmp_path: Path) -> None:
    assert read_source_sums(write_run(tmp_path, "made/a", seed=3), "last") == (None, ())
    folder = write_tested(tmp_path, "made/b", seed=3, level=Level())
    path = folder.predictions / "calibration.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:8], *lines[9:]]) + "\n")
    sums, [complaint] = read_source_sums(folder, "last")
    assert sums is None
    assert "source source_a lacks bins" in complaint
    path.write_text("weights,source\nlast,a\n")
    _, [complaint] = read_source_sums(folder, "last")
    assert "calibration.csv has no column 'bin'" in complaint
    path.write_text("\n".join(lines).replace("last,source_b,3,", "last,source_b,3,nan,") + "\n")
    assert "cut off or with surplus cells" in " ".join(read_source_sums(folder, "last")[1])
