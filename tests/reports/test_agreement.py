from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from pkgs.reports.agreement import rank_agreement, separate, tau_ceiling
from pkgs.reports.group_bootstrap import draw_groups

N = 60


def made_up(seed: int = 0, *, n: int = N) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a truth with many zeros, a score with ties, and a group of each."""
    generator = np.random.default_rng(seed)
    truth = np.where(generator.random(n) < 0.4, 0.0, generator.random(n).round(2))
    score = (truth + generator.normal(0, 0.3, n)).round(1)
    return score, truth, generator.integers(0, 7, n)


def once(n: int) -> dict[str, np.ndarray]:
    return {"group": np.arange(n), "weights_RG": np.ones((1, n))}


def test_tau_matches_a_value_worked_out_by_hand() -> None:
    # of 6 pairs each score ties one, and the other 4 agree: 4 of the root of 5 times 5
    found = rank_agreement(np.array([1.0, 2, 2, 3]), np.array([0.0, 0, 1, 2]), **once(4))
    assert found.tau_R[0] == pytest.approx(0.8)


def test_tau_and_rho_agree_with_scipy_in_every_resample() -> None:
    score, truth, group = made_up()
    weights = draw_groups(group, groups=7, resamples=20).weights_RG
    found = rank_agreement(score, truth, group=group, weights_RG=weights)
    for copies, tau, rho in zip(weights, found.tau_R, found.rho_R, strict=True):
        places = np.repeat(np.arange(N), copies[group].astype(int))
        assert tau == pytest.approx(stats.kendalltau(score[places], truth[places]).statistic, abs=1e-12)
        assert rho == pytest.approx(stats.spearmanr(score[places], truth[places]).statistic, abs=1e-12)


def test_auroc_and_average_precision_agree_with_scikit_learn_in_every_resample() -> None:
    score, truth, group = made_up(1)
    weights = draw_groups(group, groups=7, resamples=20).weights_RG
    noisy = truth > 0.1
    found = separate(score, noisy, group=group, weights_RG=weights)
    for copies, auroc, ap in zip(weights, found.auroc_R, found.ap_R, strict=True):
        places = np.repeat(np.arange(N), copies[group].astype(int))
        assert auroc == pytest.approx(roc_auc_score(noisy[places], score[places]), abs=1e-12)
        assert ap == pytest.approx(average_precision_score(noisy[places], score[places]), abs=1e-12)


def test_precision_at_a_depth_shares_the_last_places_among_ties() -> None:
    score, noisy = np.array([9.0, 5, 5, 5, 1, 0]), np.array([True, True, False, True, False, False])
    found = separate(score, noisy, depths=(0.01, 1 / 3, 0.5, 1), **once(6))
    # 1 of 6; 2: the first and one of three of which 2 are noisy; 3: and two of them; all
    assert found.precision_RD[0].tolist() == pytest.approx([1, (1 + 2 / 3) / 2, (1 + 4 / 3) / 3, 0.5])


def test_a_perfect_detector_reaches_the_ceiling_and_a_reversed_one_its_negative() -> None:
    _, truth, _ = made_up()
    perfect = np.argsort(np.argsort(truth, kind="stable")).astype(float)  # in order, without ties
    ceiling = tau_ceiling(truth)
    assert 0.5 < ceiling < 1
    assert rank_agreement(perfect, truth, **once(N)).tau_R[0] == pytest.approx(ceiling)
    assert rank_agreement(-truth, truth, **once(N)).tau_R[0] == pytest.approx(-1)
    assert separate(perfect, truth > 0.1, **once(N)).auroc_R[0] == pytest.approx(1)


def test_a_monotone_change_of_the_score_changes_nothing() -> None:
    score, truth, _ = made_up(2)
    one, other = (rank_agreement(each, truth, **once(N)) for each in (score, np.exp(3 * score) + 1))
    assert one.tau_R[0] == other.tau_R[0]
    assert one.rho_R[0] == other.rho_R[0]


def test_a_constant_score_ranks_nothing() -> None:
    _, truth, _ = made_up()
    found = rank_agreement(np.ones(N), truth, **once(N))
    assert math.isnan(found.tau_R[0])
    assert math.isnan(found.rho_R[0])
    parted = separate(np.ones(N), truth > 0.1, depths=(0.1,), **once(N))
    share = (truth > 0.1).mean()
    assert parted.auroc_R[0] == pytest.approx(0.5)
    assert parted.ap_R[0] == pytest.approx(share)
    assert parted.precision_RD[0, 0] == pytest.approx(share)


def test_without_one_of_the_outcomes_nothing_is_separated() -> None:
    score, _, _ = made_up()
    assert math.isnan(separate(score, np.zeros(N, dtype=bool), **once(N)).auroc_R[0])
    assert math.isnan(separate(score, np.ones(N, dtype=bool), **once(N)).auroc_R[0])


def test_the_ceiling_of_a_truth_without_ties_is_one_and_of_a_constant_one_zero() -> None:
    assert tau_ceiling(np.arange(5.0)) == 1
    assert tau_ceiling(np.zeros(5)) == 0
    assert tau_ceiling(np.array([0.0, 0, 1, 2])) == pytest.approx(math.sqrt(5 / 6))
