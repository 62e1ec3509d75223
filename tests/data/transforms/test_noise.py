"""Noise by the pixel: its laws, and whose numbers it uses."""

from __future__ import annotations

import math

import pytest
import torch

from pkgs.data.transforms.noise import gaussian, rician


def seeds(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers)


def test_gaussian_noise_has_its_standard_deviation_per_sample() -> None:
    noisy = gaussian(torch.zeros(2, 1, 200, 200), torch.tensor([0.1, 0.3]), seed_B=seeds(1, 2))
    assert noisy.mean(dim=(1, 2, 3)).abs().max() < 0.01
    assert torch.allclose(noisy.std(dim=(1, 2, 3)), torch.tensor([0.1, 0.3]), rtol=0.02)


def test_rician_noise_follows_its_formula() -> None:
    image, sd = torch.rand(1, 1, 8, 8), torch.tensor([0.2])
    generator = torch.Generator().manual_seed(7)
    real, imaginary = torch.randn(2, 1, 8, 8, generator=generator)
    expected = torch.sqrt((image + 0.2 * real) ** 2 + (0.2 * imaginary) ** 2)
    assert torch.allclose(rician(image, sd, seed_B=seeds(7)), expected, atol=1e-6)


def test_rician_noise_of_no_signal_has_the_mean_of_a_rayleigh_law() -> None:
    noisy = rician(torch.zeros(1, 1, 300, 300), torch.tensor([1.0]), seed_B=seeds(3))
    assert noisy.mean().item() == pytest.approx(math.sqrt(math.pi / 2), rel=0.01)
    assert noisy.min() >= 0


def test_no_noise_is_no_change() -> None:
    image = torch.rand(1, 1, 8, 8)
    assert torch.equal(gaussian(image, torch.zeros(1), seed_B=seeds(1)), image)
    assert torch.allclose(rician(image, torch.zeros(1), seed_B=seeds(1)), image)


def test_a_sample_has_the_same_noise_in_every_batch_and_the_global_generator_is_left_alone() -> None:
    image, sd, state = torch.zeros(3, 1, 8, 8), torch.ones(3), torch.get_rng_state()
    together = gaussian(image, sd, seed_B=seeds(5, 6, 7))
    alone = gaussian(image[1:2], sd[1:2], seed_B=seeds(6))
    assert torch.equal(together[1:2], alone)
    assert torch.equal(torch.get_rng_state(), state)
