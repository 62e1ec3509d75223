from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pkgs.reports.plan_ranking import Ranking
from pkgs.reports.rankings import RankingTable, read_ranking
from pkgs.reports.runs import read_study
from pkgs.reports.statistics import Interval
from tests.builders.rankings import ASSUMPTION, RANKING, made_up_scores, without_truth, write_ranking
from tests.builders.run_folders import MadeUp, write_run


def asked(**changes: object) -> Ranking:
    return Ranking.model_validate(RANKING | changes)


def read(root: Path, wanted: Ranking | None = None) -> RankingTable | str:
    write_run(root, "made/base", seed=0, run=MadeUp())
    return read_ranking(read_study(root, "made", out=root / "out"), wanted or asked())


def table_of(root: Path, frame: pd.DataFrame, wanted: Ranking | None = None) -> RankingTable:
    write_ranking(root, frame)
    table = read(root, wanted)
    assert isinstance(table, RankingTable)
    return table


def test_scores_truth_seeds_and_rate_are_read(tmp_path: Path) -> None:
    frame = made_up_scores()
    table = table_of(tmp_path, frame)
    assert (table.n, len(set(table.groups))) == (120, 12)
    assert table.truth is not None
    assert np.allclose(table.truth, frame["true_noise"])
    assert list(table.scores) == ["plain", "good", "constant"]
    assert list(table.seeds["plain"]) == ["0", "1", "2"]
    assert list(table.hits) == ["drop", "shift", "add"]
    assert table.rate is not None
    assert (table.rate.estimate, table.rate.interval) == (0.55, Interval(0.45, 0.66))
    assert table.rate.assumption == ASSUMPTION
    assert table.complaints == ()


def test_without_a_truth_only_the_scores_are_there(tmp_path: Path) -> None:
    table = table_of(tmp_path, without_truth(made_up_scores()))
    assert table.truth is None
    assert (table.hits, table.objects) == ({}, None)
    assert list(table.scores) == ["plain", "good", "constant"]
    assert table.complaints == ()


def test_samples_without_a_truth_are_left_out_and_counted(tmp_path: Path) -> None:
    frame = made_up_scores()
    frame.loc[:19, "true_noise"] = np.nan
    table = table_of(tmp_path, frame)
    assert table.n == 100
    assert table.complaints == (
        "rank: scores.csv: true_noise is known for 100 of 120 samples; only these are judged.",
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: f.drop(columns="good"), "no column 'good'; it is left out."),
        (
            lambda f: f.assign(good=f["good"].where(f.index > 2)),
            "'good' has no number in 3 of 120 rows; it is left out.",
        ),
        (
            lambda f: f.drop(columns="hits_add"),
            "no column 'hits_add'; no table by kind of noise.",
        ),
        (lambda f: f.drop(columns="objects"), "no column 'objects'; no table by the number of objects."),
        (lambda f: f.drop(columns="p_noisy"), "no column 'p_noisy'; no calibration."),
        (lambda f: f.assign(p_noisy=1.5), "'p_noisy' is no probability in every row; no calibration."),
        (lambda f: f.drop(columns="group"), "no column 'group': every sample counts as a tile of its own."),
        (
            lambda f: f.assign(true_noise=f["true_noise"] + 0.5),
            "true_noise leaves 0 to 1",
        ),
    ],
)
def test_what_is_missing_or_broken_becomes_a_sentence(tmp_path: Path, change, sentence: str) -> None:  # noqa: ANN001
    table = table_of(tmp_path, change(made_up_scores()))
    assert any(sentence in complaint for complaint in table.complaints)
    assert "plain" in table.scores


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "rank: scores.csv is not there yet, so there is no ranking."),
        ("", "rank: scores.csv cannot be read (No columns to parse from file)"),
        ("imageid,plain\n", "rank: scores.csv holds a header and no row."),
        ("imageid,iou\na.png,.5\n", "has no column 'plain', 'good', 'constant'; it has imageid, iou."),
    ],
)
def test_a_file_of_no_use_is_one_sentence(tmp_path: Path, content: str | None, sentence: str) -> None:
    path = write_ranking(tmp_path, made_up_scores()).path / "scores.csv"
    path.unlink()
    if content is not None:
        path.write_text(content)
    found = read(tmp_path)
    assert isinstance(found, str)
    assert sentence in found


def test_a_job_that_has_not_run_is_one_sentence(tmp_path: Path) -> None:
    assert read(tmp_path) == "rank has no run yet, so there is no ranking."


def test_a_rate_that_is_no_number_is_not_shown(tmp_path: Path) -> None:
    write_ranking(tmp_path, made_up_scores(), rate={"estimate": "half"})
    table = read(tmp_path)
    assert isinstance(table, RankingTable)
    assert table.rate is None
    assert table.complaints == (
        "rank: scores.csv: noise_rate.json holds no number `estimate`; no noise rate is shown.",
    )
