"""Fixed point and the sigmoid whose bits depend on no neighbour."""

from __future__ import annotations

import pytest
import torch

from pkgs.training.metrics.fixed import UNIT, pieces, row_counts, row_sums, sigmoid, within


def test_sigmoid_depends_on_no_neighbour_and_no_thread() -> None:
    logits = 4 * torch.randn(50_021, generator=torch.Generator().manual_seed(0))
    whole, before = sigmoid(logits), torch.get_num_threads()
    for threads, start, stop in ((1, 3, 20), (2, 1, 40_002), (3, 17, 50_020), (2, 49_999, 50_021)):
        torch.set_num_threads(threads)
        assert torch.equal(sigmoid(logits[start:stop]), whole[start:stop])
    torch.set_num_threads(before)


def test_sigmoid_is_torchs_own_on_whole_vectors() -> None:
    logits = 4 * torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(sigmoid(logits), torch.sigmoid(logits))
    assert sigmoid(torch.tensor([-200.0, 0.0, 200.0])).tolist() == [0, 0.5, 1]


def test_row_sums_are_exact_and_skip_what_is_not_seen() -> None:
    values = torch.tensor([[0.5, 2.0**-24, 100.0], [1.0, 2.0**-25, 7.0]])
    seen = torch.tensor([[True, True, False], [True, True, True]])
    # half a unit is rounded to even
    assert row_sums(torch.clone, values, seen=seen) == [UNIT // 2 + 1, 8 * UNIT]


def test_pieces_cover_every_column_once() -> None:
    values = torch.ones(3, 200_001, dtype=torch.bool)
    assert sum(piece.shape[1] for (piece,) in pieces(values)) == 200_001
    assert row_counts(values) == [200_001] * 3


def test_sums_that_int64_cannot_hold_are_refused() -> None:
    within(torch.full((1, 4), 1e11), "Numbers")
    with pytest.raises(ValueError, match=r"Numbers up to 2e\+11 over 4 pixels exceed"):
        within(torch.full((1, 4), 2e11), "Numbers")
