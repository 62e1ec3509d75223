"""The pixels near a mask."""

from __future__ import annotations

import pytest
import torch
from scipy import ndimage

from pkgs.ensemble.near import near


@pytest.mark.parametrize("radius", [0.0, 1.0, 2.29, 5.0, 8.0, 40.0])
def test_it_agrees_with_euclidean_distances(radius: float) -> None:
    mask = torch.rand(2, 20, 33, generator=torch.Generator().manual_seed(0)) < 0.01
    for found, given in zip(near(mask, radius_px=radius), mask, strict=True):
        expected = ndimage.distance_transform_edt(~given.numpy()) <= radius
        assert (found.numpy() == expected).all()


def test_nothing_is_near_an_empty_mask() -> None:
    assert not near(torch.zeros(1, 8, 8, dtype=torch.bool), radius_px=3).any()
