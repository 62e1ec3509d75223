from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from pkgs.reports.comparison import Verdict
from pkgs.reports.detectors import Difference, JudgedRanking, judge_ranking
from pkgs.reports.group_bootstrap import Estimate, draw_groups
from pkgs.reports.metrics import DASH
from pkgs.reports.plan_ranking import Ranking
from pkgs.reports.probability_checks import check_probability
from pkgs.reports.rankings import RankingTable
from pkgs.reports.statistics import Interval
from tests.builders.rankings import KINDS, RANKING, made_up_scores

FRAME = made_up_scores()


def table() -> RankingTable:
    def of(name: str) -> np.ndarray:
        return FRAME[name].to_numpy(dtype=np.float64)

    return RankingTable(
        n=len(FRAME),
        groups=tuple(FRAME["group"]),
        truth=of("true_noise"),
        scores={name: of(name) for name in ("plain", "good", "constant")} | {"blind": of("plain_seed_0")},
        seeds={"plain": {str(k): of(f"plain_seed_{k}") for k in range(3)}},
        hits={kind: of(f"hits_{kind}") for kind in KINDS},
        objects=of("objects"),
        probability=of("p_noisy"),
        rate=None,
    )


@pytest.fixture(scope="module")
def judged() -> JudgedRanking:
    asked = Ranking.model_validate(RANKING | {"unseen": {"drop": "blind"}})
    return judge_ranking(table(), asked)


def test_each_detector_gets_every_measure_with_intervals_over_tiles(judged: JudgedRanking) -> None:
    plain = judged.detectors[0].estimates(judged.draws)
    assert set(plain) == {
        "tau", "spearman", "auroc", "ap",
        *(f"{name}_above_{limit}" for name in ("auroc", "ap") for limit in ("0.05", "0.2", "0.5")),
        *(f"precision_at_{depth}" for depth in ("0.01", "0.05", "0.1", "0.2")),
    }  # fmt: skip
    assert plain["tau"].value == pytest.approx(
        stats.kendalltau(FRAME["plain"], FRAME["true_noise"]).statistic
    )
    assert plain["auroc_above_0.5"].value == pytest.approx(
        roc_auc_score(FRAME["true_noise"] > 0.5, FRAME["plain"])
    )
    assert plain["tau"].percentile is not None
    assert plain["tau"].percentile.low < plain["tau"].value < plain["tau"].percentile.high


def test_a_constant_detector_has_no_tau_and_an_auroc_of_one_half(judged: JudgedRanking) -> None:
    constant = judged.detectors[2].estimates(judged.draws)
    assert math.isnan(constant["tau"].value)
    assert constant["auroc"].value == 0.5
    [difference] = [one for one in judged.differences if (one.detector, one.measure) == ("constant", "tau")]
    assert difference.verdict is Verdict.UNKNOWN
    assert difference.sentence("tile") == (
        f"constant against plain: tau {DASH}; no interval: no statement possible."
    )


def test_a_difference_is_taken_within_each_draw(judged: JudgedRanking) -> None:
    [difference] = [one for one in judged.differences if (one.detector, one.measure) == ("good", "tau")]
    good, plain = (judged.detectors[k].resampled["tau"] for k in (1, 0))
    low, high = np.quantile((good - plain)[1 + judged.draws.left_out :], [0.025, 0.975])
    assert difference.estimate.percentile == Interval(low, high)
    assert difference.verdict is Verdict.BETTER
    assert difference.sentence("tile").startswith("good against plain: tau +.")
    assert difference.sentence("tile").endswith("): better.")
    assert "(tile bootstrap 95 % +." in difference.sentence("tile")


@pytest.mark.parametrize(
    ("percentile", "bca", "word"),
    [
        (Interval(0.05, 0.15), Interval(0.04, 0.14), "better"),
        (Interval(0.05, 0.15), Interval(-0.01, 0.14), "no clear difference"),
        (Interval(-0.2, -0.1), Interval(-0.2, -0.1), "worse"),
    ],
)
def test_the_word_comes_from_both_intervals(percentile: Interval, bca: Interval, word: str) -> None:
    one = Difference("a", "b", "tau", Estimate(0.1, percentile, bca))
    assert str(one.verdict) == word


def test_the_ensemble_stands_beside_the_mean_of_its_seeds(judged: JudgedRanking) -> None:
    [seeds] = judged.over_seeds
    taus = [stats.kendalltau(FRAME[f"plain_seed_{k}"], FRAME["true_noise"]).statistic for k in range(3)]
    assert list(seeds.by_seed["tau"].values()) == pytest.approx(taus)
    gain = seeds.gain["tau"]
    whole = stats.kendalltau(FRAME["plain"], FRAME["true_noise"]).statistic
    assert gain.estimate.value == pytest.approx(whole - np.mean(taus))
    assert gain.verdict is Verdict.BETTER
    assert gain.sentence("tile").startswith("plain against the mean of its seeds: tau +.")


def test_a_kind_of_noise_is_judged_on_samples_that_it_alone_hit(judged: JudgedRanking) -> None:
    drop = judged.by_kind[0]
    hits = FRAME[[f"hits_{kind}" for kind in KINDS]] > 0
    alone = hits["hits_drop"] & ~hits["hits_shift"] & ~hits["hits_add"]
    chosen = alone | ~hits.any(axis=1)
    assert (drop.name, drop.n, drop.positives) == ("drop", chosen.sum(), alone.sum())
    assert [one.name for one in drop.judged] == ["plain", "good", "constant", "blind"]
    assert [one.name for one in judged.by_kind[1].judged] == ["plain", "good", "constant"]
    expected = roc_auc_score(alone[chosen], FRAME["plain"][chosen])
    assert drop.judged[0].resampled["auroc"][0] == pytest.approx(expected)


def test_detectors_are_judged_by_the_number_of_objects(judged: JudgedRanking) -> None:
    assert [one.name for one in judged.by_objects] == ["0", "1 to 2", "3 to 5", "6 or more"]
    assert sum(one.n for one in judged.by_objects) == len(FRAME)
    few = FRAME[FRAME["objects"].between(1, 2)]
    expected = stats.kendalltau(few["good"], few["true_noise"]).statistic
    assert judged.by_objects[1].judged[1].resampled["tau"][0] == pytest.approx(expected)


def test_two_bases_are_compared_once() -> None:
    asked = Ranking.model_validate(RANKING | {"base": ["plain", "good"]})
    found = judge_ranking(replace(table(), seeds={}, hits={}, objects=None), asked)
    pairs = [(one.detector, one.base) for one in found.differences if one.measure == "tau"]
    assert pairs == [("good", "plain"), ("constant", "plain"), ("constant", "good")]
    assert (found.by_kind, found.by_objects, found.over_seeds) == ((), (), ())


def test_brier_and_ece_match_values_worked_out_by_hand_and_p_of_one_counts() -> None:
    p, noisy = np.array([0.0, 0.5, 0.5, 1.0]), np.array([False, True, False, True])
    group = np.arange(4)
    found = check_probability(p, noisy, group=group, draws=draw_groups(group, groups=4, resamples=9))
    assert found.brier.value == pytest.approx((0.25 + 0.25) / 4)
    assert found.ece.value == 0
    assert found.rate.value == 0.5
    assert found.count_K[14] == 1
    wrong = check_probability(1 - p, noisy, group=group, draws=draw_groups(group, groups=4, resamples=9))
    assert wrong.ece.value == pytest.approx(0.5)
    assert wrong.brier.value == pytest.approx((1 + 0.25 + 0.25 + 1) / 4)
