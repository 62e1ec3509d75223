"""Losses of a teacher that predicts where a mask is wrong, as a share of the largest error.

    l(m, y) = BCE(clip(m, e, 1 - e), y),  e = .01,    t = l / l_max,  l_max = -log e = 4.605

t is within [.00218, 1] for hard and soft masks alike; a prediction r = sigmoid(u) shares that scale, and no
input can drive it below 0. Equal shapes everywhere: [B, 1] against [B] trains a constant.
Source: knowledge expansion, section 5.
"""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from pkgs.losses.loss_sum import IGNORE, LossSum, check_equal, check_pixels, summed

CLIP: Final = 0.01
LARGEST: Final = -math.log(CLIP)
"""l_max: a pixel that is surely wrong."""
LEAST_SHARE: Final = -math.log(1 - CLIP) / LARGEST
"""t0: the share of a pixel that is surely right; the clipping leaves it."""
LOG_FLOOR: Final = -100.0
"""Least logarithm of `image_nats`, as of torch's binary_cross_entropy."""
SMALLEST: Final = 1e-37
"""Keeps the slope of the logarithm finite beside it."""


def error_share(mask_B1: Tensor, label: Tensor, *, ignore: int = IGNORE) -> Tensor:
    """Return t [B, 1, *space], how wrong each pixel of the mask is; 0 where the label is ignored.

    Args:
        mask_B1: m [B, 1, *space], hard or soft, within [0, 1]. Keeps its gradient: detach it for a target.
        label: y [B, *space], 0, 1 or `ignore`; whole numbers.
        ignore: Label of the pixels that do not count.

    Raises:
        ValueError: If the shapes do not belong together, the labels are no whole numbers, or a mask value
        lies outside [0, 1].
    """
    check_pixels(mask_B1, label, channels=1, ignore=ignore)
    least, most = mask_B1.detach().aminmax()
    if not (least >= 0 and most <= 1):
        raise ValueError(
            f"Mask values must lie within [0, 1], got {least:g} to {most:g}. Are these logits? "
            "Pass their sigmoid."
        )
    m = mask_B1[:, 0].clamp(CLIP, 1 - CLIP)
    error = -torch.where(label == 1, m.log(), (1 - m).log())
    return torch.where(label != ignore, error / LARGEST, 0).unsqueeze(1)


def image_share(share_B1: Tensor, *, seen_B1: Tensor) -> Tensor:
    """Return the mean share of each image over its seen pixels, [B]; 0 for an image without any.

    Raises:
        ValueError: If the shapes differ.
    """
    check_equal(share_B1, seen_B1, names=("Shares", "seen"))
    count = seen_B1.flatten(1).sum(dim=1).clamp(min=1)
    return torch.where(seen_B1, share_B1, 0).flatten(1).sum(dim=1) / count


def image_nats(mask_B1: Tensor, label: Tensor, *, ignore: int = IGNORE) -> Tensor:
    """Return the mean cross-entropy of each image's mask in nats, logarithms cut at -100; [B].

    100 x the share of wrong pixels where the mask is hard: the scale on which an earlier implementation
    scored masks. 0 for an image without seen pixels.

    Args:
        mask_B1: [B, 1, *space], hard or soft, within [0, 1]. Keeps its gradient, 0 where a value is 0 or 1.
        label: y [B, *space], 0, 1 or `ignore`; whole numbers.
        ignore: Label of the pixels that do not count.

    Raises:
        ValueError: If the shapes do not belong together, or the labels are no whole numbers.
    """
    check_pixels(mask_B1, label, channels=1, ignore=ignore)
    chance = torch.where(label == 1, mask_B1[:, 0], 1 - mask_B1[:, 0])
    error = -torch.where(chance > 0, chance.clamp(min=SMALLEST).log(), LOG_FLOOR)
    return image_share(error.unsqueeze(1), seen_B1=(label != ignore).unsqueeze(1))


def share_bce_map(logits_B1: Tensor, share_B1: Tensor) -> Tensor:
    r"""Return -t log r - (1 - t) log(1 - r) per pixel, r = sigmoid(u): lowest at the expected share.

    Args:
        logits_B1: u, any shape. Receives the gradient.
        share_B1: t, the same shape, within [0, 1]. Pass it detached, unless the gradient is wanted there.

    Raises:
        ValueError: If the shapes differ.
    """
    check_equal(logits_B1, share_B1, names=("Logits", "shares"))
    return F.softplus(logits_B1) - logits_B1 * share_B1


def share_mae_map(logits_B1: Tensor, share_B1: Tensor) -> Tensor:
    """Return |r - t| per pixel: lowest at the median, which is 0 where nearly all pixels are right.

    Arguments and errors as `share_bce_map`.
    """
    check_equal(logits_B1, share_B1, names=("Logits", "shares"))
    return (torch.sigmoid(logits_B1) - share_B1).abs()


def share_huber_map(logits_B1: Tensor, share_B1: Tensor, *, delta: float = 0.1) -> Tensor:
    """Return Huber's loss of r - t per pixel: squared (halved) below `delta`, linear above.

    Arguments and errors as `share_bce_map`. Source: Huber 1964.
    """
    check_equal(logits_B1, share_B1, names=("Logits", "shares"))
    distance = (torch.sigmoid(logits_B1) - share_B1).abs()
    return torch.where(distance <= delta, distance.square() / 2, delta * (distance - delta / 2))


def share_bce_sum(logits_B1: Tensor, share_B1: Tensor, *, seen_B1: Tensor) -> LossSum:
    """Return the sum of `share_bce_map` over the seen pixels, and their number."""
    return _seen(share_bce_map(logits_B1, share_B1), seen_B1)


def share_mae_sum(logits_B1: Tensor, share_B1: Tensor, *, seen_B1: Tensor) -> LossSum:
    """Return the sum of `share_mae_map` over the seen pixels, and their number."""
    return _seen(share_mae_map(logits_B1, share_B1), seen_B1)


def share_huber_sum(logits_B1: Tensor, share_B1: Tensor, *, seen_B1: Tensor, delta: float = 0.1) -> LossSum:
    """Return the sum of `share_huber_map` over the seen pixels, and their number."""
    return _seen(share_huber_map(logits_B1, share_B1, delta=delta), seen_B1)


def image_mae_sum(logits_B: Tensor, share_B: Tensor) -> LossSum:
    r"""Return sum_images |sigmoid(q) - mean t|, and the number of images.

    Args:
        logits_B: q [B]: squeeze a head's [B, 1] first. Receives the gradient.
        share_B: The mean share of each image, [B].

    Raises:
        ValueError: If the shapes differ, [B, 1] against [B] included, or are not [B].
    """
    check_equal(logits_B, share_B, names=("Logits", "shares"))
    if logits_B.ndim != 1:
        raise ValueError(f"One number per image is needed, [B], got {tuple(logits_B.shape)}.")
    return LossSum(
        (torch.sigmoid(logits_B) - share_B).abs().sum(), logits_B.new_tensor(float(logits_B.shape[0]))
    )


def _seen(each: Tensor, seen_B1: Tensor) -> LossSum:
    check_equal(each, seen_B1, names=("Losses per pixel", "seen"))
    return summed(each, seen_B1)
