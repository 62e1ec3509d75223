from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.reports.error_predictors import PredictorTest, examine_predictor
from pkgs.reports.plan import ErrorPrediction
from pkgs.reports.runs import read_study
from tests.builders.planned_studies import write_predictors
from tests.builders.run_folders import write_run

ASKED = ErrorPrediction(conditions=("joint",), spearman_image=0.5)
SEEDS = (3, 4, 13)


def examined(root: Path) -> PredictorTest:
    return examine_predictor(read_study(root, "made", out=root / "out"), "joint", asked=ASKED, weights="last")


@pytest.mark.parametrize(
    ("spearman", "gain", "noise", "passes"),
    [
        (0.7, 0.002, 1e-4, True),
        (0.49, 0.002, 1e-4, False),  # does not rank the images
        (0.7, -0.002, 1e-4, False),  # worse than own confidence
        (0.7, 0.00002, 1e-3, False),  # better on average, not clearly
    ],
)
def test_a_predictor_passes_if_it_ranks_images_and_adds_to_own_confidence(
    tmp_path: Path, spearman: float, gain: float, noise: float, *, passes: bool
) -> None:
    for seed in SEEDS:
        folder = write_run(tmp_path, "made/joint", seed=seed)
        write_predictors(folder, spearman=spearman, gain=gain, noise=noise)
    assert examined(tmp_path).passes is passes


def test_the_sentence_names_both_numbers_and_the_seeds_that_lack_them(tmp_path: Path) -> None:
    for seed, spearman in ((3, 0.6), (4, 0.8)):
        write_predictors(write_run(tmp_path, "made/joint", seed=seed), spearman=spearman, noise=0.0)
    write_run(tmp_path, "made/joint", seed=13)
    assert examined(tmp_path).sentence().replace("\N{MINUS SIGN}", "-") == (
        "joint, 2 seeds: Spearman per image of teacher .700 (.600 to .800; asked are .50 or more); AURC of "
        "combined less own_confidence -.0020000 (-.0020000 to -.0020000; 4 sources and seeds drawn anew); "
        "without seed 13"
    )


def test_one_seed_or_none_leaves_the_question_open(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "made/joint", seed=3)
    assert examined(tmp_path).passes is None
    assert examined(tmp_path).sentence() == (
        "joint: no seed has predictions/error_prediction.csv with masks own"
    )
    write_predictors(folder)
    assert examined(tmp_path).passes is None
    assert "AURC cannot be compared: two sources and two seeds are needed" in examined(tmp_path).sentence()


def test_other_masks_weights_and_the_pooled_row_are_not_mixed_in(tmp_path: Path) -> None:
    for seed in SEEDS:
        folder = write_run(tmp_path, "made/joint", seed=seed)
        write_predictors(folder, noise=0.0)
        with (folder.predictions / "error_sources.csv").open("a") as file:
            for row in (
                "last,corrupted,combined,source_a",
                "best,own,combined,source_a",
                "last,own,combined,pooled",
            ):
                file.write(f"{row},.9,.9,.9\n")
    test = examined(tmp_path)
    assert test.sources == 4
    assert test.aurc_difference == pytest.approx(-0.002)
