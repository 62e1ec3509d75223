"""Samples of several data sets, mixed or one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from pkgs.data.draws import draw_indices
from pkgs.data.source_order import SourceOrder


def test_a_mixed_epoch_sees_every_sample_of_every_source_once() -> None:
    order = SourceOrder((5, 3), seed=1)
    keys = order.keys(range(16))
    for epoch in (slice(0, 8), slice(8, 16)):
        pairs = sorted(zip(keys.source[epoch].tolist(), keys.index[epoch].tolist(), strict=True))
        assert pairs == [(0, k) for k in range(5)] + [(1, k) for k in range(3)]
    assert order.samples == 8


def test_sequential_sources_follow_each_other_and_the_last_goes_on() -> None:
    order = SourceOrder((4, 6), seed=1, mode="sequential", epochs=(3, 2))
    keys = order.keys(range(40))
    assert order.samples == 24
    assert keys.source.tolist() == [0] * 12 + [1] * 28
    for first, count in ((0, 4), (4, 4), (8, 4), (12, 6), (18, 6), (24, 6)):
        assert sorted(keys.index[first : first + count]) == list(range(count))


@pytest.mark.parametrize("mode", ["mixed", "sequential"])
def test_keys_do_not_depend_on_how_draws_are_split(mode: str) -> None:
    order = SourceOrder((4, 6), seed=2, mode=mode, epochs=(2, 2))  # type: ignore[arg-type]
    whole, parts = order.keys(range(30)), [order.keys(range(k, k + 1)) for k in range(30)]
    assert np.array_equal(whole.index, np.concatenate([part.index for part in parts]))
    assert np.array_equal(whole.source, np.concatenate([part.source for part in parts]))


def test_one_mixed_source_is_the_plain_order() -> None:
    keys = SourceOrder((7,), seed=9).keys(range(5, 25))
    assert np.array_equal(keys.index, draw_indices(9, 5, batch=20, count=7))


def test_sources_that_follow_each_other_have_orders_of_their_own() -> None:
    keys = SourceOrder((50, 50), seed=9, mode="sequential", epochs=(1, 1)).keys(range(100))
    assert not np.array_equal(keys.index[:50], keys.index[50:])


def test_impossible_plans_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Sources of \[3, 0\] samples: expected at least one"):
        SourceOrder((3, 0), seed=0)
    with pytest.raises(ValueError, match=r"epochs \[2\]: expected one number .* each of the 2 sources"):
        SourceOrder((3, 4), seed=0, mode="sequential", epochs=(2,))
