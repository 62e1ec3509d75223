"""Blur and sharpness of [B, C, *space], one number per sample."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from pkgs.data.transforms.colour import per_sample

CENTRE_WEIGHT: Final = 5.0  # of PIL's and torchvision's sharpness kernel, neighbours 1; 13 in all in 2-D


def gaussian_blur(image: Tensor, sigma_px_B: Tensor, *, kernel_px: int) -> Tensor:
    """Return each sample smoothed by its own Gaussian, cut to `kernel_px` pixels, mirrored at the border.

    Weights exp(-d^2 / 2 sigma^2), sum 1 after the cut. One axis at a time, a sum of shifted views: a grouped
    convolution with one group per channel is slower on a CPU.

    Raises:
        ValueError: If the window does not fit into the image.
    """
    reach = kernel_px // 2
    steps = torch.arange(-reach, reach + 1, device=image.device)
    weight_BK = torch.exp(-0.5 * (steps / sigma_px_B.to(image)[:, None]) ** 2)
    weight_BK = weight_BK / weight_BK.sum(dim=1, keepdim=True)
    for axis in range(2, image.ndim):
        image = _along(image, weight_BK, axis=axis, reach=reach)
    return image


def sharpness(image: Tensor, factor_B: Tensor) -> Tensor:
    """Return smooth + factor (image - smooth): 0 smooths, 1 changes nothing, 2 sharpens.

    The smoothing window has 3 pixels a side, weight 5 in the centre and 1 beside; pixels at the border stay.
    """
    core = (slice(None), slice(None), *(slice(1, -1) for _ in image.shape[2:]))
    whole = image
    for axis in range(2, image.ndim):
        side = whole.shape[axis]
        whole = (
            whole.narrow(axis, 0, side - 2)
            + whole.narrow(axis, 1, side - 2)
            + whole.narrow(axis, 2, side - 2)
        )
    neighbours = 3 ** (image.ndim - 2) - 1
    smooth = image.clone()
    smooth[core] = (whole + (CENTRE_WEIGHT - 1) * image[core]) / (CENTRE_WEIGHT + neighbours)
    return (image - smooth) * per_sample(factor_B, image) + smooth


def _along(image: Tensor, weight_BK: Tensor, *, axis: int, reach: int) -> Tensor:
    side = image.shape[axis]
    if side <= reach:
        raise ValueError(
            f"A blur over {2 * reach + 1} pixels needs more than {reach} pixels a side, got {side}."
        )
    pad = [0, 0] * (image.ndim - 1 - axis) + [reach, reach]
    padded = _mirrored(image, pad, axis=axis)
    total = torch.zeros_like(image)
    for step in range(2 * reach + 1):
        total.addcmul_(padded.narrow(axis, step, side), per_sample(weight_BK[:, step], image))
    return total


def _mirrored(image: Tensor, pad: list[int], *, axis: int) -> Tensor:
    """Pad one axis by reflection without repeating the border; F.pad wants the axis last."""
    moved = image.movedim(axis, -1)
    flat = moved.reshape(1, -1, moved.shape[-1])
    return F.pad(flat, (pad[-1], pad[-1]), mode="reflect").reshape(*moved.shape[:-1], -1).movedim(-1, axis)
