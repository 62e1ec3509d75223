"""Losses of pixels against masks, in 2-D and 3-D: sum and weight, so that replicas and steps average rightly.

The `..._map` form keeps one number per pixel, for error maps. Ratios of sums are in `overlap`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pkgs.losses.loss_sum import IGNORE, LossSum, check_pixels, summed

__all__ = [
    "IGNORE",
    "LossSum",
    "bce_map",
    "bce_sum",
    "cross_entropy_map",
    "cross_entropy_sum",
]


def bce_map(logits_B1: Tensor, label: Tensor, *, ignore: int = IGNORE) -> Tensor:
    r"""Return the binary cross-entropy of each pixel, 0 where it is ignored.

        -y log p - (1 - y) log(1 - p),    p = sigmoid(logits)

    Args:
        logits_B1: [B, 1, *space], before the sigmoid. Receives the gradient.
        label: [B, *space], 0, 1 or `ignore`; whole numbers.
        ignore: Label of the pixels that do not count.

    Returns:
        [B, *space].

    Raises:
        ValueError: If the shapes do not belong together, or the labels are no whole numbers.

    Source: Good 1952; the stable form is torch's binary_cross_entropy_with_logits.
    """
    check_pixels(logits_B1, label, channels=1, ignore=ignore)
    seen = label != ignore
    logits = logits_B1[:, 0]
    target = torch.where(seen, label, 0).to(logits.dtype)
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return torch.where(seen, each, 0)


def bce_sum(logits_B1: Tensor, label: Tensor, *, ignore: int = IGNORE) -> LossSum:
    """Return the sum of `bce_map` and the number of pixels that entered it; arguments as there."""
    return LossSum(
        bce_map(logits_B1, label, ignore=ignore).sum(), (label != ignore).sum().to(logits_B1.dtype)
    )


def cross_entropy_map(
    logits_BK: Tensor, label: Tensor, *, class_weights: Tensor | None = None, ignore: int = IGNORE
) -> Tensor:
    r"""Return the weighted cross-entropy of each pixel, 0 where it is ignored.

        -w_y log p_y,    p = softmax over the class axis of the logits

    Picked by gather: torch's own cross-entropy on maps has no deterministic form on CUDA.

    Args:
        logits_BK: [B, K, *space], before the softmax. Receives the gradient.
        label: [B, *space], 0 ... K-1 or `ignore`; whole numbers.
        class_weights: [K], at least 0; None: 1 for each.
        ignore: Label of the pixels that do not count.

    Returns:
        [B, *space].

    Raises:
        ValueError: If the shapes do not belong together, the labels are no whole numbers, or the number of
        weights is not K.

    Source: Good 1952; class weights as in torch.nn.CrossEntropyLoss.
    """
    check_pixels(logits_BK, label, channels=None, ignore=ignore)
    seen = label != ignore
    target = torch.where(seen, label, 0).long()
    each = -F.log_softmax(logits_BK, dim=1).gather(1, target.unsqueeze(1)).squeeze(1)
    if class_weights is not None:
        each = each * _checked(class_weights, logits_BK)[target]
    return torch.where(seen, each, 0)


def cross_entropy_sum(
    logits_BK: Tensor, label: Tensor, *, class_weights: Tensor | None = None, ignore: int = IGNORE
) -> LossSum:
    """Return the sum of `cross_entropy_map` and the sum of the weights of the pixels that entered it.

    Without class weights that is their number. Arguments and errors as in `cross_entropy_map`.
    """
    each = cross_entropy_map(logits_BK, label, class_weights=class_weights, ignore=ignore)
    seen = label != ignore
    if class_weights is None:
        return LossSum(each.sum(), seen.sum().to(each.dtype))
    share = _checked(class_weights, logits_BK)[torch.where(seen, label, 0).long()]
    return LossSum(each.sum(), summed(share, seen).total)


def _checked(class_weights: Tensor, logits_BK: Tensor) -> Tensor:
    classes = logits_BK.shape[1]
    if class_weights.shape != (classes,):
        raise ValueError(f"{class_weights.numel()} class weights for {classes} classes; give one per class.")
    return class_weights.to(logits_BK)
