from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pkgs.reports.bootstrap import bca_interval
from pkgs.reports.group_bootstrap import Estimate, draw_groups, numbered, resamples_for
from pkgs.reports.statistics import Interval


def test_rows_are_all_groups_then_all_but_one_then_resamples() -> None:
    draws = draw_groups(np.array([0, 0, 1, 2]), groups=3, resamples=5)
    assert draws.weights_RG[0].tolist() == [1, 1, 1]
    assert draws.weights_RG[1:4].tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    assert draws.weights_RG[4:].sum(axis=1).tolist() == [3] * 5


def test_the_same_groups_are_drawn_every_time() -> None:
    one, other = (draw_groups(np.arange(9), groups=9).weights_RG for _ in range(2))
    assert (one == other).all()
    assert len(one) == 1 + 9 + 2000


def test_intervals_of_a_mean_agree_with_those_of_scipy_and_of_the_seeds() -> None:
    values = np.random.default_rng(5).exponential(size=40)
    draws = draw_groups(np.arange(40), groups=40)
    found = draws.estimate(draws.weights_RG @ values / draws.weights_RG.sum(axis=1))
    assert found.value == pytest.approx(values.mean())
    assert found.percentile is not None
    assert found.bca is not None
    expected = {
        method: stats.bootstrap((values,), np.mean, n_resamples=9999, method=method, rng=1)
        for method in ("percentile", "BCa")
    }
    for interval, method in ((found.percentile, "percentile"), (found.bca, "BCa")):
        ends = expected[method].confidence_interval
        assert (interval.low, interval.high) == pytest.approx((ends.low, ends.high), abs=0.03)
    by_seed = bca_interval(list(values))
    assert by_seed is not None
    assert (found.bca.low, found.bca.high) == pytest.approx((by_seed.low, by_seed.high), abs=0.03)


def test_whole_groups_are_drawn_so_copies_within_a_group_add_no_certainty() -> None:
    values = np.random.default_rng(6).normal(size=20)
    alone, tenfold = np.arange(20), np.repeat(np.arange(20), 10)
    found = []
    for members in (alone, tenfold):
        draws = draw_groups(members, groups=20)
        sums = np.bincount(members, weights=values[members])
        counts = np.bincount(members)
        found.append(draws.estimate((draws.weights_RG @ sums) / (draws.weights_RG @ counts)))
    one, ten = (each.percentile for each in found)
    assert one is not None
    assert ten is not None
    assert (one.low, one.high) == pytest.approx((ten.low, ten.high))


def test_what_cannot_be_estimated_has_no_interval() -> None:
    draws = draw_groups(np.arange(4), groups=4, resamples=50)
    values = np.full(55, 0.5)
    values[10:20] = np.nan  # a fifth of the resamples
    assert draws.estimate(values) == Estimate(0.5)
    assert math.isnan(draws.estimate(np.full(55, np.nan)).value)
    one = draw_groups(np.zeros(3, dtype=np.intp), groups=1, resamples=50)
    assert one.estimate(np.ones(51)) == Estimate(1.0)


def test_a_sign_is_clear_only_where_both_intervals_say_so() -> None:
    above, across, below = Interval(0.1, 0.2), Interval(-0.1, 0.2), Interval(-0.3, -0.1)
    assert Estimate(0.1, above, above).clear_sign() == 1
    assert Estimate(0.1, above, across).clear_sign() == 0
    assert Estimate(-0.2, below, None).clear_sign() == -1
    assert Estimate(0.1).clear_sign() == 0


def test_very_many_members_get_fewer_resamples_and_very_many_groups_are_left_out_together() -> None:
    assert [resamples_for(n) for n in (1, 5_000, 20_000, 40_000, 10**9)] == [2000, 2000, 2000, 1000, 200]
    draws = draw_groups(np.arange(1200), groups=1200, resamples=1)
    assert draws.left_out == 500
    assert (draws.weights_RG[1:501] == 0).sum(axis=0).tolist() == [1] * 1200


def test_groups_are_numbered_by_name() -> None:
    members, count = numbered(["b", "a", "b", "c"])
    assert (members.tolist(), count) == ([1, 0, 1, 2], 3)
