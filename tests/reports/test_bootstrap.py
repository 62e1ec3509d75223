from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from pkgs.reports import bootstrap
from pkgs.reports.bootstrap import RESAMPLES, bca_interval, drawn, source_draws, two_level_interval
from pkgs.reports.statistics import summarise

SAMPLES = {
    "five": [0.5, 0.25, -0.125, 0.75, 1.0],
    "skewed": [0.0625, 0.125, 0.0, 0.25, 2.5, 0.375, 0.0625],
    "as measured": [0.011, -0.02, 0.03, 0.002, 0.007],
    "many": np.random.default_rng(0).exponential(size=25).tolist(),
}


@pytest.mark.parametrize("values", SAMPLES.values(), ids=SAMPLES.keys())
def test_the_bca_interval_is_that_of_scipy_on_the_same_resamples(values: list[float]) -> None:
    generator = np.random.default_rng(bootstrap.SEED)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, method="BCa", rng=generator
    ).confidence_interval
    found = bca_interval(values)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_bca_interval_of_two_values_reaches_from_one_to_the_other() -> None:
    found = bca_interval([0.25, 0.75])
    assert found is not None
    assert (found.low, found.high) == (0.25, 0.75)


def test_equal_values_and_single_ones_have_no_bca_interval() -> None:
    assert bca_interval([0.02, 0.02, 0.02]) is None
    assert bca_interval([0.82 - 0.80, 0.83 - 0.81]) is None  # equal but for rounding
    assert bca_interval([0.5]) is None
    assert bca_interval([]) is None


def test_the_bca_interval_moves_and_scales_with_its_values_and_turns_with_their_sign() -> None:
    values = np.array(SAMPLES["skewed"])
    plain, moved = bca_interval(values.tolist()), bca_interval((4 * values + 8).tolist())
    turned = bca_interval((-values).tolist())
    assert plain is not None
    assert moved is not None
    assert turned is not None
    assert (moved.low, moved.high) == pytest.approx((4 * plain.low + 8, 4 * plain.high + 8))
    assert (-turned.high, -turned.low) == pytest.approx((plain.low, plain.high), abs=1e-3)


def test_with_many_values_the_bca_interval_is_that_of_student() -> None:
    values = np.random.default_rng(1).normal(0.01, 0.02, 400).tolist()
    found, student = bca_interval(values), summarise(values).interval
    assert found is not None
    assert student is not None
    assert (found.low, found.high) == pytest.approx((student.low, student.high), abs=2e-4)


def test_draws_are_the_same_every_time_and_rows_sum_to_the_number_of_things() -> None:
    assert drawn(5) is drawn(5)
    assert (drawn(5).sum(axis=1) == 5).all()
    assert not np.array_equal(drawn(5), drawn(5, level=1))


def test_the_two_level_interval_without_spread_over_seeds_is_that_of_the_sources() -> None:
    gains = np.array([0.0, 1.0, 2.0, 3.0])
    of_sources_B = source_draws(4) @ gains / 4
    found = two_level_interval(np.repeat(of_sources_B[:, None], 5, axis=1))
    assert (found.low, found.high) == pytest.approx(np.quantile(of_sources_B, [0.025, 0.975]))


def test_the_two_level_interval_agrees_with_the_enumeration_of_all_resamples() -> None:
    # two sources and two seeds: 4 x 4 equally likely resamples of a table of four differences
    table_SG = np.array([[0.0, 1.0], [2.0, 5.0]])
    pairs = list(itertools.product([0, 1], repeat=2))
    every = [table_SG[np.ix_(seeds, sources)].mean() for seeds in pairs for sources in pairs]
    means_BS = source_draws(2) @ table_SG.T / 2
    found = two_level_interval(means_BS)
    assert (found.low, found.high) == pytest.approx((min(every), max(every)))
    means = (drawn(2, level=2) * means_BS).mean(axis=1)
    assert means.mean() == pytest.approx(np.mean(every), abs=0.05)


def test_drawing_sources_anew_widens_an_interval_that_seeds_alone_make_narrow() -> None:
    gains = np.array([-1.0, 0.0, 1.0, 2.0])
    of_sources_B = source_draws(4) @ gains / 4
    seeds = np.array([-0.01, 0.0, 0.01])
    found = two_level_interval(of_sources_B[:, None] + seeds[None, :])
    assert found.high - found.low > 10 * (seeds.max() - seeds.min())
