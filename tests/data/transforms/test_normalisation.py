"""From codes to numbers."""

from __future__ import annotations

import pytest
import torch

from pkgs.data.transforms.normalisation import normalise


def test_a_window_becomes_zero_to_one_then_mean_and_deviation_are_taken_out() -> None:
    codes = torch.tensor([-1000, -160, 40, 240, 3000], dtype=torch.int16).reshape(1, 1, 1, 5)
    assert normalise(codes, window=(-160, 240)).flatten().tolist() == pytest.approx([0, 0, 0.5, 1, 1])
    scaled = normalise(codes, window=(-160, 240), mean=(0.5,), sd=(0.25,))
    assert scaled.flatten().tolist() == pytest.approx([-2, -2, 0, 2, 2])


def test_channels_have_their_own_mean() -> None:
    codes = torch.full((1, 3, 1, 1), 51, dtype=torch.uint8)
    found = normalise(codes, window=(0, 255), mean=(0.0, 0.1, 0.2), sd=(1.0,))
    assert found.flatten().tolist() == pytest.approx([0.2, 0.1, 0.0], abs=1e-7)


def test_numbers_that_do_not_fit_are_refused() -> None:
    codes = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    with pytest.raises(ValueError, match="got 2 means and 1 sds for 3 channels"):
        normalise(codes, window=(0, 255), mean=(0.0, 0.1))
    with pytest.raises(ValueError, match=r"needs low < high and sd > 0, got window \(255, 0\)"):
        normalise(codes, window=(255, 0))
