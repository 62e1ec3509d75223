from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from pkgs.reports.statistics import (
    Interval,
    all_equal,
    effect_size,
    hedges_j,
    holm,
    paired_t_p,
    seeds_needed,
    sign_flip_p,
    smallest_p,
    summarise,
)


def test_mean_sd_and_t_interval_match_values_worked_out_by_hand() -> None:
    # mean of 1, 2, 3 is 2, sd 1; t(.975, 2) = 4.302653; half width 4.302653 / sqrt(3) = 2.484138
    summary = summarise([1.0, 2.0, 3.0])
    assert (summary.n, summary.mean, summary.sd) == (3, 2.0, 1.0)
    assert summary.interval is not None
    assert summary.interval.low == pytest.approx(-0.484138, abs=1e-6)
    assert summary.interval.high == pytest.approx(4.484138, abs=1e-6)


@pytest.mark.parametrize("n", [2, 3, 5, 17])
def test_the_interval_agrees_with_scipy(n: int) -> None:
    values = np.random.default_rng(n).normal(0.8, 0.02, n).tolist()
    summary, expected = summarise(values), stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert summary.sd == pytest.approx(np.std(values, ddof=1))
    assert summary.interval is not None
    assert (summary.interval.low, summary.interval.high) == pytest.approx((expected.low, expected.high))


def test_one_seed_has_a_mean_but_neither_sd_nor_interval() -> None:
    summary = summarise([0.5])
    assert (summary.n, summary.mean, summary.interval) == (1, 0.5, None)
    assert math.isnan(summary.sd)


def test_values_that_are_not_finite_do_not_count() -> None:
    summary = summarise([math.nan, 1.0, math.inf, 3.0])
    assert (summary.n, summary.mean) == (2, 2.0)
    assert summarise([math.nan]).n == 0


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([1.0], 1.0),  # both signs are as extreme
        ([1.0, 2.0, 3.0], 2 / 8),  # only +++ and ---
        ([-1.0, 2.0, 3.0], 4 / 8),  # 4, reached by +++ (6), -++ (4) and their mirrors
        ([1.0, 1.0, 1.0, 1.0, 1.0], 2 / 32),
        ([1.0, -1.0], 1.0),
        ([0.0, 0.0, 0.0], 1.0),
    ],
)
def test_sign_flip_p_matches_values_counted_by_hand(differences: list[float], expected: float) -> None:
    assert sign_flip_p(differences) == expected


@pytest.mark.parametrize("n", [2, 3, 6, 9])
def test_sign_flip_p_agrees_with_the_enumeration_of_all_signs(n: int) -> None:
    differences = np.round(np.random.default_rng(n).normal(0.3, 1.0, n), 2)
    sums = [abs(float(np.dot(signs, differences))) for signs in itertools.product([1, -1], repeat=n)]
    expected = np.mean([one >= abs(differences.sum()) - 1e-9 for one in sums])
    assert sign_flip_p(differences.tolist()) == pytest.approx(expected)


def test_sign_flip_p_agrees_with_scipys_paired_permutation_test() -> None:
    one, other = [0.81, 0.79, 0.84, 0.80, 0.77, 0.83], [0.78, 0.80, 0.79, 0.77, 0.78, 0.80]
    expected = stats.permutation_test(
        (one, other), lambda a, b: np.mean(np.subtract(a, b)), permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p([a - b for a, b in zip(one, other, strict=True)]) == pytest.approx(expected.pvalue)


def test_sums_that_differ_by_rounding_alone_count_as_ties() -> None:
    assert sign_flip_p([0.1, 0.2, -0.3]) == 1.0  # 0.1 + 0.2 - 0.3 is 5.6e-17, not 0


def test_sign_flip_p_is_exact_for_many_seeds_and_not_computed_beyond() -> None:
    assert sign_flip_p([1.0] * 40) == 2.0**-39
    assert math.isnan(sign_flip_p([1.0] * 41))
    assert math.isnan(sign_flip_p([]))


def test_what_a_number_of_seeds_can_confirm_is_that_of_the_specification() -> None:
    assert (smallest_p(3), smallest_p(5)) == (0.25, 0.0625)
    assert (seeds_needed(0.05), seeds_needed(0.05 / 2), seeds_needed(0.05 / 12)) == (6, 7, 9)


def test_an_interval_that_touches_zero_does_not_exclude_it() -> None:
    assert not Interval(0.0, 1.0).excludes_zero()
    assert Interval(0.1, 1.0).excludes_zero()
    assert Interval(-0.009, 0.005).within(0.01)
    assert not Interval(-0.01, 0.005).within(0.01)


def test_the_t_tests_p_agrees_with_scipys_paired_test() -> None:
    one, other = [0.81, 0.79, 0.84, 0.80, 0.77], [0.78, 0.80, 0.79, 0.77, 0.78]
    differences = [a - b for a, b in zip(one, other, strict=True)]
    assert paired_t_p(differences) == pytest.approx(stats.ttest_rel(one, other).pvalue)


def test_differences_without_spread_have_neither_a_t_test_nor_an_effect_size() -> None:
    equal = [0.82 - 0.80, 0.83 - 0.81, 0.84 - 0.82]  # equal but for rounding
    assert all_equal(equal)
    assert math.isnan(paired_t_p(equal))
    assert math.isnan(effect_size(equal))
    assert not all_equal([0.02, 0.021])


def test_hedges_correction_is_that_of_the_specification_at_five_seeds_and_goes_to_one() -> None:
    assert hedges_j(4) == pytest.approx(0.8, abs=0.003)
    assert hedges_j(4) == pytest.approx(math.gamma(2) / (math.sqrt(2) * math.gamma(1.5)))
    assert hedges_j(1) == 0.0
    assert hedges_j(10_000) == pytest.approx(1, abs=1e-4)


def test_the_effect_size_matches_a_value_worked_out_by_hand() -> None:
    # mean 2, sd 1, so d_z is 2; J(2) = Gamma(1) / (1 Gamma(1/2)) = 1 / sqrt(pi)
    assert effect_size([1.0, 2.0, 3.0]) == pytest.approx(2 / math.sqrt(math.pi))
    assert effect_size([-0.01, -0.02, -0.03]) == pytest.approx(-2 / math.sqrt(math.pi))


def test_holm_matches_values_worked_out_by_hand_and_never_falls() -> None:
    # sorted: .01 x 4, .02 x 3, .04 x 2 = .08, .05 x 1 = .05 but not below .08
    assert holm([0.04, 0.01, 0.05, 0.02]) == pytest.approx([0.08, 0.04, 0.08, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]


def test_a_comparison_that_is_not_there_yet_keeps_its_place_in_holms_family() -> None:
    corrected = holm([0.02, math.nan, math.nan])
    assert corrected[0] == pytest.approx(0.06)
    assert math.isnan(corrected[1])
