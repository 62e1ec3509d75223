"""Pieces, and the sigmoid whose bits depend on no neighbour."""

from __future__ import annotations

import math

import pytest
import torch

from pkgs.training.metrics.pieces import GRAIN, bounds, pieces, sigmoid


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


@pytest.mark.parametrize("rows", [1, 3, 16, 600, 40_000])
def test_pieces_cover_every_column_once_and_stay_below_the_grain(rows: int) -> None:
    values = torch.ones(rows, max(200, 100_001 // rows), dtype=torch.bool)
    cuts = [piece for (piece,) in pieces(values)]
    assert torch.equal(torch.cat(cuts, dim=1), values)
    assert all(piece.numel() < GRAIN or piece.shape[1] == 1 for piece in cuts)


def test_bounds_look_at_every_piece_and_pass_nan_on() -> None:
    values = torch.zeros(3, 40_000)
    values[0, 1], values[2, 39_999] = -2, 7
    assert bounds(values) == (-2, 7)
    values[1, 5] = math.nan
    assert all(map(math.isnan, bounds(values)))
    assert bounds(torch.tensor([[True, False]])) == (0, 1)
