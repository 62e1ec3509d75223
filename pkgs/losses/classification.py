"""Losses of whole images against classes: one class each, or findings of which some were never judged."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pkgs.losses.loss_sum import UNKNOWN, LossSum, check_equal
from pkgs.losses.segmentation import cross_entropy_sum


def class_cross_entropy_sum(
    logits_BK: Tensor, class_B: Tensor, *, class_weights: Tensor | None = None
) -> LossSum:
    r"""Return the summed cross-entropy and the summed weights of the images that entered it.

        sum_images  -w_y log p_y,    p = softmax(logits)

    Args:
        logits_BK: [B, K], before the softmax. Receives the gradient.
        class_B: [B], 0 ... K-1, or -1 for unknown; whole numbers.
        class_weights: [K]; None: 1 for each.

    Raises:
        ValueError: If the shapes do not belong together, the classes are no whole numbers, or the number of
        weights is not K.

    Source: Good 1952; class weights as in torch.nn.CrossEntropyLoss.
    """
    if logits_BK.ndim != 2 or class_B.shape != logits_BK.shape[:1]:
        raise ValueError(
            f"Logits must be [B, K] and classes [B], got {tuple(logits_BK.shape)} and {tuple(class_B.shape)}."
        )
    return cross_entropy_sum(logits_BK, class_B, class_weights=class_weights, ignore=UNKNOWN)


def multilabel_bce_sum(
    logits_BK: Tensor, target_BK: Tensor, *, class_weights: Tensor | None = None
) -> LossSum:
    r"""Return the summed binary cross-entropy over images and findings, and the number of judged entries.

        sum_images sum_k  w_k (-y log p - (1 - y) log(1 - p)),    p = sigmoid(logits)

    A class weight multiplies the whole term of its class; it is no weight of the positives, and does not
    enter the weight that is divided by.

    Args:
        logits_BK: [B, K], before the sigmoid. Receives the gradient.
        target_BK: [B, K], 0, 1, or -1 for unknown; whole numbers.
        class_weights: [K]; None: 1 for each.

    Raises:
        ValueError: If the shapes differ, the targets are no whole numbers, or the number of weights is not K.

    Source: Good 1952; weights as in torch.nn.BCEWithLogitsLoss(weight=...).
    """
    check_equal(logits_BK, target_BK, names=("Logits", "targets"))
    if target_BK.is_floating_point():
        raise ValueError(f"Targets must be whole numbers (0, 1, -1 for unknown), got {target_BK.dtype}.")
    known = target_BK != UNKNOWN
    target = torch.where(known, target_BK, 0).to(logits_BK.dtype)
    each = F.binary_cross_entropy_with_logits(logits_BK, target, reduction="none")
    if class_weights is not None:
        if class_weights.shape != logits_BK.shape[1:]:
            raise ValueError(
                f"{class_weights.numel()} class weights for {logits_BK.shape[1]} classes; give one per class."
            )
        each = each * class_weights.to(each)
    return LossSum(torch.where(known, each, 0).sum(), known.sum().to(each.dtype))
