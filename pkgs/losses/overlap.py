"""Losses of overlap: soft Dice and Lovasz. Ratios of sums, so each says over what it is pooled.

`dice_sum` and both Lovasz losses are taken per image and summed, weight = images: replicas, ranks and
micro-batches then average exactly. `pooled_dice_sum` is taken over the batch that it is given and weighs as
many images as that has: two replicas give the mean of two pooled values, not the value pooled over both.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from pkgs.losses.loss_sum import IGNORE, LossSum, check_pixels

SMOOTH: Final = 1e-5
"""Added to both sides of Dice's fraction: a class that is in neither mask scores 1."""


def dice_sum(
    logits_BK: Tensor, label: Tensor, *, background: bool = True, smooth: float = SMOOTH, ignore: int = IGNORE
) -> LossSum:
    r"""Return the sum over images of 1 - soft Dice, and the number of images.

        1 - mean_c (2 sum p_c y_c + e) / (sum p_c + sum y_c + e),    sums over the pixels of one image

    Args:
        logits_BK: [B, K, *space]. K = 1: p = sigmoid, one class; else p = softmax over K classes.
        label: [B, *space], 0 ... max(K, 2)-1 or `ignore`; whole numbers.
        background: Whether class 0 enters the mean; with K = 1 there is only the foreground.
        smooth: e.
        ignore: Label of the pixels that do not count.

    Raises:
        ValueError: If the shapes do not belong together, or the labels are no whole numbers.

    Source: Milletari, Navab and Ahmadi 2016, arXiv:1606.04797, with p instead of p^2 in the denominator.
    """
    both, sums = _dice_terms(logits_BK, label, background=background, ignore=ignore)
    dice_BC = (2 * both + smooth) / (sums + smooth)
    return LossSum((1 - dice_BC.mean(dim=1)).sum(), _images(logits_BK))


def pooled_dice_sum(
    logits_BK: Tensor, label: Tensor, *, background: bool = True, smooth: float = SMOOTH, ignore: int = IGNORE
) -> LossSum:
    """Return `(1 - Dice) * images` with Dice pooled over the batch, and the number of images.

    As `dice_sum`, but sums run over all pixels of the batch (the published form of ensemble distillation).
    """
    both, sums = _dice_terms(logits_BK, label, background=background, ignore=ignore)
    dice_C = (2 * both.sum(dim=0) + smooth) / (sums.sum(dim=0) + smooth)
    images = _images(logits_BK)
    return LossSum((1 - dice_C.mean()) * images, images)


def lovasz_hinge_sum(logits_B1: Tensor, label: Tensor, *, ignore: int = IGNORE) -> LossSum:
    r"""Return the sum over images of the Lovasz hinge, a convex surrogate of 1 - IoU, and their number.

        sum_i relu(m_i) * g_i,    m = 1 - z (2 y - 1) sorted downwards, g = steps of the Jaccard loss

    Args:
        logits_B1: [B, 1, *space]. Receives the gradient.
        label: [B, *space], 0, 1 or `ignore`; whole numbers.
        ignore: Label of the pixels that do not count.

    Raises:
        ValueError: If the shapes do not belong together, or the labels are no whole numbers.

    Source: Berman, Triki and Blaschko 2018, arXiv:1705.08790, section 3.1 and algorithm 1.
    """
    check_pixels(logits_B1, label, channels=1, ignore=ignore)
    seen = (label != ignore).flatten(1)
    inside = (label == 1).flatten(1) & seen
    margin = 1 - logits_B1[:, 0].flatten(1) * (2.0 * inside - 1)
    return LossSum(_lovasz(margin, inside, seen).sum(), _images(logits_B1))


def lovasz_softmax_sum(logits_BK: Tensor, label: Tensor, *, ignore: int = IGNORE) -> LossSum:
    r"""Return the sum over images of the Lovasz softmax, and the number of images.

        mean over the classes that are in the image of  sum_i m_i * g_i,    m = |y_c - p_c| sorted downwards

    Args:
        logits_BK: [B, K, *space], K at least 2. Receives the gradient.
        label: [B, *space], 0 ... K-1 or `ignore`; whole numbers.
        ignore: Label of the pixels that do not count.

    Raises:
        ValueError: If the shapes do not belong together, or the labels are no whole numbers.

    Source: Berman, Triki and Blaschko 2018, arXiv:1705.08790, section 3.2.
    """
    check_pixels(logits_BK, label, channels=None, ignore=ignore)
    seen = (label != ignore).flatten(1)
    classes = logits_BK.shape[1]
    inside = (label.flatten(1).unsqueeze(1) == torch.arange(classes, device=label.device)[:, None]) & seen[
        :, None
    ]
    error = (inside.to(logits_BK.dtype) - F.softmax(logits_BK, dim=1).flatten(2)).abs()
    each_BC = _lovasz(error.flatten(0, 1), inside.flatten(0, 1), seen.repeat_interleave(classes, dim=0))
    present_BC = inside.any(dim=2)
    each_BC = torch.where(present_BC, each_BC.view_as(present_BC), 0)
    return LossSum(
        (each_BC.sum(dim=1) / present_BC.sum(dim=1).clamp(min=1)).sum(),
        _images(logits_BK),
    )


def _lovasz(error_RP: Tensor, inside_RP: Tensor, seen_RP: Tensor) -> Tensor:
    """Return the Lovasz extension of the Jaccard loss for each row."""
    ranked, order = torch.where(seen_RP, error_RP, -torch.inf).sort(dim=1, descending=True)
    hit = inside_RP.gather(1, order).long()
    objects = hit.sum(dim=1, keepdim=True)
    left = objects - hit.cumsum(dim=1)  # whole numbers: a float cumsum has no deterministic form on CUDA
    union = (objects + (1 - hit).cumsum(dim=1)).to(error_RP.dtype)
    jaccard = 1 - left.to(error_RP.dtype) / union
    steps = torch.cat([jaccard[:, :1], jaccard[:, 1:] - jaccard[:, :-1]], dim=1)
    return (F.relu(ranked) * steps).sum(dim=1)  # ignored pixels rank last, and relu(-inf) is 0


def _dice_terms(logits_BK: Tensor, label: Tensor, *, background: bool, ignore: int) -> tuple[Tensor, Tensor]:
    """Return sum p y and sum p + sum y per image and class."""
    check_pixels(logits_BK, label, channels=None, ignore=ignore)
    classes = logits_BK.shape[1]
    seen = (label != ignore).unsqueeze(1)
    first = 1 if classes == 1 or not background else 0
    numbers = torch.arange(first, max(classes, 2), device=label.device)
    target = label.unsqueeze(1) == numbers.view(-1, *[1] * (label.ndim - 1))
    score = torch.sigmoid(logits_BK) if classes == 1 else F.softmax(logits_BK, dim=1)[:, first:]
    share, truth = torch.where(seen, score, 0).flatten(2), (target & seen).to(score.dtype).flatten(2)
    return (share * truth).sum(dim=2), share.sum(dim=2) + truth.sum(dim=2)


def _images(logits_BK: Tensor) -> Tensor:
    return logits_BK.new_tensor(float(logits_BK.shape[0]))
