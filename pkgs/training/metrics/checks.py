"""What no metric accepts, and the sentence that says so."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from pkgs.training.metrics.pieces import bounds

IGNORE: Final = 255
"""Label of pixels that no metric may see."""

UNKNOWN: Final = -1
"""Entry of a label vector that nobody has judged; no metric may see it."""


def same_shape(values: Tensor, label: Tensor) -> None:
    """Refuse predictions and labels of unequal shape, and empty ones.

    Raises:
        ValueError: With both shapes.
    """
    if values.shape != label.shape:
        raise ValueError(
            f"Predictions and labels must agree in shape, got {tuple(values.shape)} and {tuple(label.shape)}."
        )
    _not_empty(values)


def one_channel(logits: Tensor) -> Tensor:
    """Return logits [B, 1, *S] as [B, *S].

    Raises:
        ValueError: If there is no class axis, or it has more than one entry.
    """
    if logits.dim() < 2 or logits.shape[1] != 1:
        raise ValueError(
            f"Binary logits have the shape [B, 1, ...], got {tuple(logits.shape)}. "
            "Networks with several classes have metrics of their own (`measure_class_calibration`)."
        )
    return logits[:, 0].float()


def class_axis(values: Tensor, label: Tensor) -> None:
    """Refuse scores that are not [B, K, *S] beside labels [B, *S], with K of 2 or more.

    Raises:
        ValueError: With both shapes.
    """
    if values.dim() < 2 or values.shape[:1] + values.shape[2:] != label.shape or values.shape[1] < 2:
        raise ValueError(
            f"Scores [B, K, ...] with K >= 2 and labels [B, ...] are expected, got {tuple(values.shape)} "
            f"and {tuple(label.shape)}."
        )
    _not_empty(values)


def probabilities(values: Tensor) -> None:
    """Refuse values outside of [0, 1]: logits have no calibration.

    Raises:
        ValueError: With the range that was found.
    """
    low, high = bounds(values)
    if not (low >= 0 and high <= 1):  # also NaN, which is passed on
        raise ValueError(f"Probabilities must lie within [0, 1], got {low:g} to {high:g}. Are these logits?")


def finite(values: Tensor) -> None:
    """Refuse NaN and infinity.

    Raises:
        ValueError: If there is one.
    """
    low, high = bounds(values)
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        raise ValueError("Scores that are not finite cannot be measured; the network has diverged.")


def whole_labels(label: Tensor, *, classes: int, ignore: int = IGNORE) -> None:
    """Refuse labels that are no whole numbers of 0 to `classes` - 1 or `ignore`.

    Raises:
        ValueError: With the dtype or the values.
    """
    if label.dtype == torch.bool:
        return
    if label.is_floating_point() or label.is_complex():
        raise ValueError(
            f"Labels must be whole numbers, got {label.dtype}. "
            "Are these soft labels, or a mask divided by 255?"
        )
    low, high = bounds(label)
    if low >= 0 and high < classes:  # the usual case, in one pass
        return
    low, high = bounds(torch.where(label == ignore, 0, label))
    if low < 0 or high >= classes:
        raise ValueError(
            f"Labels must be 0 to {classes - 1} or {ignore} (not judged), got {low} to {high}. "
            "Does the reader map the file's values to classes?"
        )


def yes_or_no(prediction: Tensor) -> Tensor:
    """Return the prediction as bool.

    Raises:
        ValueError: If it holds something else than 0 and 1: `bool()` of a probability is always true.
    """
    if prediction.dtype == torch.bool:
        return prediction
    if not bool(((prediction == 0) | (prediction == 1)).all()):
        raise ValueError(
            "A yes-or-no prediction holds 0 and 1 alone. Compare probabilities with a threshold."
        )
    return prediction.bool()


def _not_empty(values: Tensor) -> None:
    if not values.numel():
        raise ValueError(
            f"There is nothing to measure: the batch has the shape {tuple(values.shape)}. "
            "Is the data set empty?"
        )
