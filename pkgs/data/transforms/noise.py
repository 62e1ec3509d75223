"""Noise by the pixel. Each sample has a seed of its own, so neither batch size nor order shifts it."""

from __future__ import annotations

import torch
from torch import Tensor

from pkgs.data.transforms.colour import per_sample


def gaussian(image: Tensor, sd_B: Tensor, *, seed_B: Tensor) -> Tensor:
    """Return image + sd n, with n standard normal."""
    return image + per_sample(sd_B, image) * _normal(image, seed_B, parts=1)[0]


def rician(image: Tensor, sd_B: Tensor, *, seed_B: Tensor) -> Tensor:
    """Return sqrt((image + sd n1)^2 + (sd n2)^2): the magnitude of a signal with noise in both its parts.

    Source: Gudbjartsson and Patz 1995, doi:10.1002/mrm.1910340618, equation 1.
    """
    real, imaginary = _normal(image, seed_B, parts=2)
    sd = per_sample(sd_B, image)
    return torch.hypot(image + sd * real, sd * imaginary)


def _normal(image: Tensor, seed_B: Tensor, *, parts: int) -> Tensor:
    """Return [parts, B, ...] normal numbers of a generator on the image's device, seeded per sample."""
    generator = torch.Generator(device=image.device)
    numbers = image.new_empty((parts, *image.shape))
    for index, seed in enumerate(seed_B.tolist()):
        numbers[:, index].copy_(
            torch.randn((parts, *image.shape[1:]), generator=generator.manual_seed(seed), device=image.device)
        )
    return numbers
