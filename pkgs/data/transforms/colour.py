"""Brightness, contrast, saturation, hue, gamma and grey of images [B, C, *space], one number per sample.

Pure functions; nothing is clipped here, so that one change does not cut what the next would bring back.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

LUMA: Final = (0.299, 0.587, 0.114)  # ITU-R BT.601, section 2.5.1: what PIL and torchvision call grey


def brightness(image: Tensor, factor_B: Tensor) -> Tensor:
    """Return image * factor."""
    return image * per_sample(factor_B, image)


def contrast(image: Tensor, factor_B: Tensor) -> Tensor:
    """Return mean + factor (image - mean), with the mean brightness of each image over all its pixels."""
    mean = grey(image).flatten(1).mean(dim=1)
    mean_like = per_sample(mean, image)
    return (image - mean_like) * per_sample(factor_B, image) + mean_like


def saturation(image: Tensor, factor_B: Tensor) -> Tensor:
    """Return grey + factor (image - grey): 0 is grey, 1 changes nothing. Three channels."""
    _refuse_unless_rgb(image, "saturation")
    without = grey(image)
    return (image - without) * per_sample(factor_B, image) + without


def hue(image: Tensor, turns_B: Tensor) -> Tensor:
    """Turn each colour around the circle of hues; value and saturation (HSV) stay. Three channels.

    Value V: largest channel; chroma C: largest less smallest; hue H in turns. New channels, n = 5, 3, 1:
    V - C max(0, min(k, 4 - k, 1)) with k = (n + 6 H) mod 6.

    Source: Smith 1978, Color gamut transform pairs; the closed form after Foley et al. 1990, section 13.3.
    """
    _refuse_unless_rgb(image, "hue")
    red, green, blue = image.unbind(dim=1)
    value, chroma = image.amax(dim=1), image.amax(dim=1) - image.amin(dim=1)
    divisor = torch.where(chroma == 0, torch.ones_like(chroma), chroma)
    sixths = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    turned = sixths + 6 * per_sample(turns_B, sixths)
    steps = [torch.remainder(turned + start, 6) for start in (5, 3, 1)]
    return torch.stack([value - chroma * torch.minimum(k, 4 - k).clamp(0, 1) for k in steps], dim=1)


def gamma(image: Tensor, exponent_B: Tensor) -> Tensor:
    """Return image ** exponent; negative values become 0, which has no real power."""
    return image.clamp_min(0) ** per_sample(exponent_B, image)


def grey(image: Tensor) -> Tensor:
    """Return the brightness [B, 1, *space]: luma of three channels, else their mean."""
    if image.shape[1] != len(LUMA):
        return image.mean(dim=1, keepdim=True)
    red, green, blue = (weight * image[:, k : k + 1] for k, weight in enumerate(LUMA))
    return red + green + blue


def per_sample(numbers_B: Tensor, like: Tensor) -> Tensor:
    """Return the numbers in a shape that multiplies each sample of `like`."""
    return numbers_B.to(like).reshape(-1, *(1 for _ in like.shape[1:]))


def _refuse_unless_rgb(image: Tensor, what: str) -> None:
    if image.shape[1] != len(LUMA):
        raise ValueError(
            f"{what} needs the three channels red, green, blue, got {image.shape[1]}. "
            f"Leave {what} at its default for these images."
        )
