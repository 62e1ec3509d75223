"""What every loss returns, and the checks of shape and labels that several losses share."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

IGNORE: Final = 255
"""Label of pixels that no loss may see."""

UNKNOWN: Final = -1
"""Entry of a class vector that nobody has judged; no loss may see it."""


class LossSum(NamedTuple):
    """A loss before it is averaged: `total / weight` is the mean."""

    total: Tensor
    weight: Tensor


def summed(each: Tensor, seen: Tensor) -> LossSum:
    """Return the sum of `each` where `seen`, and how many that are. Both have the same shape."""
    return LossSum(torch.where(seen, each, 0).sum(), seen.sum().to(each.dtype))


def check_pixels(logits: Tensor, label: Tensor, *, channels: int | None, ignore: int) -> None:
    """Refuse logits and labels that do not belong together.

    Args:
        logits: [B, K, *space].
        label: [B, *space], whole numbers.
        channels: K where it must be a certain one; None: any.
        ignore: Named in the message.

    Raises:
        ValueError: If the shapes do not belong together, or the labels are no whole numbers.
    """
    shown = "K" if channels is None else str(channels)
    fits = (
        logits.ndim >= 2
        and (channels is None or logits.shape[1] == channels)
        and logits.shape[:1] + logits.shape[2:] == label.shape
    )
    if not fits:
        raise ValueError(
            f"Logits must be [B, {shown}, *space] and labels [B, *space] of the same size, got "
            f"{tuple(logits.shape)} and {tuple(label.shape)}. Did a channel axis get lost?"
        )
    if label.is_floating_point():
        raise ValueError(f"Labels must be whole numbers ({ignore} to ignore), got {label.dtype}.")


def check_equal(first: Tensor, second: Tensor, *, names: tuple[str, str]) -> None:
    """Refuse tensors of unequal shape: [B, 1] - [B] is [B, B], and nobody is told.

    Raises:
        ValueError: Names both and their shapes.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"{names[0]} and {names[1]} must have the same shape, got {tuple(first.shape)} and "
            f"{tuple(second.shape)}. They would broadcast; squeeze or unsqueeze one of them."
        )
