"""Ranking and risk of wrong pixels against scikit-learn, scipy, and sums over all pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from pkgs.errormap.risk import RiskTable, oracle_aurc, oracle_curve, pearson, spearman


def drawn(seed: int, pixels: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logit = rng.normal(-4, 2, pixels)
    return logit, rng.random(pixels) < 1 / (1 + np.exp(-logit))


def table_of(logit: np.ndarray, wrong: np.ndarray) -> RiskTable:
    table = RiskTable()
    table.add(logit, wrong)
    return table


def by_hand(logit: np.ndarray, wrong: np.ndarray) -> float:
    """Return the mean over all coverages of the risk, one pixel after the other."""
    order = np.argsort(logit, kind="stable")
    return float((wrong[order].cumsum() / np.arange(1, len(order) + 1)).mean())


def test_auroc_and_average_precision_are_those_of_scikit_learn() -> None:
    logit, wrong = drawn(1)
    scores = table_of(logit, wrong).scores()
    assert scores["auroc"] == pytest.approx(roc_auc_score(wrong, logit), abs=1e-4)
    assert scores["ap"] == pytest.approx(average_precision_score(wrong, logit), abs=1e-3)


def test_aurc_is_the_mean_risk_over_all_coverages() -> None:
    logit, wrong = drawn(2)
    assert table_of(logit, wrong).aurc() == pytest.approx(by_hand(logit, wrong), rel=2e-3)


def test_aurc_of_four_pixels_in_four_bins_by_hand() -> None:
    table = table_of(np.array([-3.0, -2.0, -1.0, 0.0]), np.array([False, False, False, True]))
    # risk 0 until three are covered, then (x - 3) / x: the mean is (1 - 3 ln 4/3) / 4
    assert table.aurc() == pytest.approx((1 - 3 * math.log(4 / 3)) / 4)
    assert table.scores()["aurc_excess"] == pytest.approx(0, abs=1e-12)


def test_a_score_that_says_nothing_has_the_risk_of_chance() -> None:
    _, wrong = drawn(3)
    table = table_of(np.full(len(wrong), -5.0), wrong)
    assert table.aurc() == pytest.approx(wrong.mean())
    assert table.scores()["auroc"] == 0.5
    assert all(risk == pytest.approx(wrong.mean()) for _, risk in table.curve())


def test_the_oracle_is_no_worse_and_ranks_without_a_fault() -> None:
    logit, wrong = drawn(4)
    error = wrong.mean()
    best = np.where(wrong, 1.0, -1.0)
    assert oracle_aurc(error) == pytest.approx(by_hand(best, wrong), rel=1e-2)
    assert oracle_aurc(error) == pytest.approx(table_of(best, wrong).aurc(), abs=1e-9)
    ours, theirs = table_of(logit, wrong).curve(), oracle_curve(error)
    assert all(risk >= least - 1e-12 for (_, risk), (_, least) in zip(ours, theirs, strict=True))
    for end in (ours[-1], theirs[-1]):
        assert end == pytest.approx((1.0, error))
    assert (oracle_aurc(0.0), oracle_aurc(1.0)) == (0, 1)


def test_tables_of_parts_add_up_to_that_of_the_whole() -> None:
    logit, wrong = drawn(5)
    parts = sum((table_of(logit[k::3], wrong[k::3]) for k in range(3)), RiskTable())
    assert parts.scores() == table_of(logit, wrong).scores()


def test_nothing_and_one_outcome_alone_have_no_ranking() -> None:
    assert math.isnan(RiskTable().aurc())
    assert RiskTable().curve() == []
    assert math.isnan(table_of(np.array([0.0]), np.array([False])).scores()["auroc"])


def test_correlations_are_those_of_scipy_also_with_ties() -> None:
    rng = np.random.default_rng(6)
    x = rng.integers(0, 20, 300).astype(float)
    y = x + rng.normal(0, 8, 300)
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert spearman(x, np.exp(y / 10)) == pytest.approx(spearman(x, y))  # only the order counts


def test_constants_and_single_points_correlate_with_nothing() -> None:
    assert math.isnan(pearson(np.array([0.1] * 7), np.arange(7.0)))
    assert math.isnan(spearman(np.array([1.0]), np.array([1.0])))
