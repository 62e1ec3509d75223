"""Blur and sharpness, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from pkgs.data.transforms.smoothing import gaussian_blur, sharpness


@pytest.mark.parametrize("shape", [(3, 2, 20, 25), (2, 1, 9, 10, 12)])
def test_blur_agrees_with_scipy(shape: tuple[int, ...]) -> None:
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sigma = torch.tensor([0.4, 1.0, 1.7][: shape[0]], dtype=torch.float64)
    found = gaussian_blur(image, sigma, kernel_px=7)
    for sample in range(shape[0]):
        for channel in range(shape[1]):
            expected = ndimage.gaussian_filter(
                image[sample, channel].numpy(), sigma[sample].item(), mode="mirror", radius=3
            )
            assert np.abs(found[sample, channel].numpy() - expected).max() < 1e-12


def test_blur_of_a_point_by_hand() -> None:
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 2] = 1
    side = np.exp(-0.5)  # sigma 1: weight of a neighbour against the centre
    smooth = gaussian_blur(image, torch.tensor([1.0]), kernel_px=3)
    assert smooth[0, 0, 2, 2].item() == pytest.approx(1 / (1 + 2 * side) ** 2, rel=1e-5)
    assert smooth[0, 0, 2, 1].item() == pytest.approx(side / (1 + 2 * side) ** 2, rel=1e-5)
    assert smooth.sum().item() == pytest.approx(1.0, rel=1e-5)


def test_a_tiny_sigma_is_no_blur_and_a_constant_stays() -> None:
    image = torch.rand(1, 1, 8, 8)
    assert torch.allclose(gaussian_blur(image, torch.tensor([0.05]), kernel_px=3), image, atol=1e-7)
    flat = torch.full((1, 1, 8, 8), 0.3)
    assert torch.allclose(gaussian_blur(flat, torch.tensor([2.0]), kernel_px=11), flat, atol=1e-6)


def test_a_window_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="blur over 11 pixels needs more than 5 pixels a side, got 4"):
        gaussian_blur(torch.zeros(1, 1, 4, 8), torch.ones(1), kernel_px=11)


def test_sharpness_by_hand_and_its_limits() -> None:
    image = torch.zeros(1, 1, 3, 3)
    image[0, 0, 1, 1] = 1
    smooth = sharpness(image, torch.zeros(1))
    assert smooth[0, 0, 1, 1].item() == pytest.approx(5 / 13)
    assert torch.allclose(sharpness(image, torch.ones(1)), image)
    assert sharpness(image, torch.full((1,), 2.0))[0, 0, 1, 1].item() == pytest.approx(2 - 5 / 13)
    assert smooth[0, 0, 0].abs().max() == 0  # the border stays
