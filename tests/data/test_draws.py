"""Draws that depend on counters alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pkgs.data.draws import draw_indices, order, uniforms
from pkgs.foundation.seeds import Purpose


def test_an_order_is_a_permutation_and_differs_between_epochs_and_seeds() -> None:
    first = order(3, 0, count=340)
    assert sorted(first) == list(range(340))
    assert not np.array_equal(first, order(3, 1, count=340))
    assert not np.array_equal(first, order(4, 0, count=340))


@given(st.integers(0, 500), st.integers(1, 30), st.integers(1, 40))
def test_indices_do_not_depend_on_the_batch_size(first: int, batch: int, count: int) -> None:
    together = draw_indices(7, first, batch=batch, count=count)
    alone = [int(draw_indices(7, first + k, batch=1, count=count)[0]) for k in range(batch)]
    assert together.tolist() == alone


def test_an_epoch_sees_every_sample_once() -> None:
    seen = np.concatenate([draw_indices(1, first, batch=8, count=20) for first in range(0, 40, 8)])
    assert sorted(seen[:20]) == sorted(seen[20:40]) == list(range(20))


@given(st.integers(0, 10_000), st.integers(1, 20))
def test_uniforms_do_not_depend_on_the_batch_size(first: int, batch: int) -> None:
    together = uniforms(5, Purpose.AUGMENT, first=first, batch=batch, name="x", width=2)
    alone = [
        uniforms(5, Purpose.AUGMENT, first=first + k, batch=1, name="x", width=2)[0] for k in range(batch)
    ]
    assert np.array_equal(together, np.stack(alone))


def test_a_thousand_draws_are_a_thousand_numbers_spread_evenly() -> None:
    numbers = uniforms(5, Purpose.AUGMENT, first=0, batch=1000, name="rotation")[:, 0]
    assert len(set(numbers)) == 1000
    assert stats.kstest(numbers, "uniform").pvalue > 0.01


def test_names_purposes_and_seeds_give_unrelated_streams() -> None:
    base = uniforms(5, Purpose.AUGMENT, first=0, batch=1000, name="a")[:, 0]
    others = [
        uniforms(5, Purpose.AUGMENT, first=0, batch=1000, name="b"),
        uniforms(5, Purpose.CORRUPT, first=0, batch=1000, name="a"),
        uniforms(6, Purpose.AUGMENT, first=0, batch=1000, name="a"),
    ]
    assert all(abs(np.corrcoef(base, other[:, 0])[0, 1]) < 0.1 for other in others)
