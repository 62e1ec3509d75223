"""Losses of pixels against masks. Each returns sum and weight, so that replicas and steps average rightly."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE: Final = 255
"""Label of pixels that no loss may see."""


class LossSum(NamedTuple):
    """A loss before it is averaged: `total / weight` is the mean."""

    total: Tensor
    weight: Tensor


def bce_sum(logits_B1HW: Tensor, label_BHW: Tensor, *, ignore: int = IGNORE) -> LossSum:
    r"""Return the summed binary cross-entropy and the number of pixels that entered it.

        total = sum_pixels  -y log p - (1 - y) log(1 - p),    p = sigmoid(logits)

    Args:
        logits_B1HW: Scores before the sigmoid, any size. Receives the gradient.
        label_BHW: 0, 1 or `ignore` per pixel, same size; whole numbers.
        ignore: Pixels with this label count neither in the sum nor in the weight.

    Raises:
        ValueError: If the shapes do not belong together, or the labels are no whole numbers.

    Source: Good 1952; the stable form is torch's binary_cross_entropy_with_logits.
    """
    if (
        logits_B1HW.ndim != 4
        or logits_B1HW.shape[1] != 1
        or logits_B1HW.shape[:1] + logits_B1HW.shape[2:] != label_BHW.shape
    ):
        raise ValueError(
            f"Logits must be [B, 1, H, W] and labels [B, H, W] of the same size, got "
            f"{tuple(logits_B1HW.shape)} and {tuple(label_BHW.shape)}. Did a channel axis get lost?"
        )
    if label_BHW.is_floating_point():
        raise ValueError(f"Labels must be whole numbers (0, 1, {ignore} to ignore), got {label_BHW.dtype}.")
    seen = label_BHW != ignore
    logits = logits_B1HW[:, 0]
    target = torch.where(seen, label_BHW, 0).to(logits.dtype)
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return LossSum(torch.where(seen, each, 0).sum(), seen.sum().to(logits.dtype))
