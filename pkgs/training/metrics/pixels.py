"""How good a binary segmentation is: the sums of which the studies' tables are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from pkgs.training.metrics.checks import (
    IGNORE,
    one_channel,
    probabilities,
    same_shape,
    whole_labels,
    yes_or_no,
)
from pkgs.training.metrics.fixed import UNIT, brier_sums, nll_sums, row_sums, within
from pkgs.training.metrics.pieces import pieces, sigmoid
from pkgs.training.metrics.reliability import BINS, Reliability, tables
from pkgs.training.metrics.sums import Sums

NOTHING: Final = (0,) * BINS
HALF: Final = 0.5
"""The probability from which on a pixel is foreground."""


@final
@dataclass(frozen=True, slots=True)
class PixelSums(Sums):
    """What is kept of any number of images; add two to merge them. Fixed-point fields say so."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0
    cases: int = 0
    case_iou: int = 0
    """Sum of the images' own IoU, fixed point."""
    case_dice: int = 0
    """Sum of the images' own Dice, fixed point."""
    brier: int = 0
    """Sum of (p - y)^2, fixed point."""
    nll: int = 0
    """Sum of negative log likelihoods, fixed point."""
    bin_count: tuple[int, ...] = NOTHING
    bin_p: tuple[int, ...] = NOTHING
    """Per bin the sum of p, fixed point."""
    bin_y: tuple[int, ...] = NOTHING

    @property
    def pixels(self) -> int:
        return self.tp + self.fp + self.fn + self.tn

    @property
    def reliability(self) -> Reliability:
        return Reliability(self.bin_count, self.bin_p, self.bin_y)

    def scores(self) -> dict[str, float]:
        """Return every score by name; those of probabilities only where probabilities were given."""
        scores = {
            "iou": _ratio(self.tp, self.tp + self.fp + self.fn),
            "dice": _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn),
            "accuracy": _ratio(self.tp + self.tn, self.pixels),
            "iou_case": self.case_iou / UNIT / max(self.cases, 1),
            "dice_case": self.case_dice / UNIT / max(self.cases, 1),
        }
        if any(self.bin_count):
            table = self.reliability
            scores |= {
                "ece_fg": table.ece(),
                "mce_fg": table.mce(),
                "brier": self.brier / UNIT / table.total,
                "nll": self.nll / UNIT / table.total,
            }
        return scores


def measure(logits_B1HW: Tensor, label_BHW: Tensor, *, threshold: float = HALF) -> list[PixelSums]:
    """Return the sums of each image, from logits.

    Args:
        logits_B1HW: Scores before the sigmoid.
        label_BHW: 0, 1 or IGNORE.
        threshold: The probability from which on a pixel is foreground.

    Raises:
        ValueError: If the shapes do not belong together, a logit is not finite or absurdly large, or a label
        is another.
    """
    logits = one_channel(logits_B1HW)
    same_shape(logits, label_BHW)
    within(logits.flatten(1), "Logits")
    nll = nll_sums(logits.flatten(1), label_BHW.flatten(1))
    return _sums(sigmoid(logits), label_BHW, nll, threshold=threshold)


def measure_probability(probability_BHW: Tensor, label_BHW: Tensor, *, nll_BHW: Tensor) -> list[PixelSums]:
    """Return the sums of each image, from probabilities of foreground and their negative log likelihoods.

    Raises:
        ValueError: If a value is outside of [0, 1]: logits have no calibration.
    """
    same_shape(probability_BHW, label_BHW)
    same_shape(nll_BHW, label_BHW)
    probabilities(probability_BHW)
    within(nll_BHW.flatten(1), "Negative log likelihoods")
    seen = (label_BHW != IGNORE).flatten(1)
    nll = row_sums(lambda each: each, nll_BHW.float().flatten(1), seen=seen)
    return _sums(probability_BHW.float(), label_BHW, nll)


def _sums(
    probability_BHW: Tensor, label_BHW: Tensor, nll: Sequence[int], *, threshold: float = HALF
) -> list[PixelSums]:
    overlaps = measure_overlap(probability_BHW >= threshold, label_BHW)  # checks the labels
    p, label = probability_BHW.flatten(1), label_BHW.flatten(1)
    brier = brier_sums(p, label)
    return [
        PixelSums(
            tp=o.tp, fp=o.fp, fn=o.fn, tn=o.tn, cases=1, case_iou=o.case_iou, case_dice=o.case_dice,
            brier=brier[k], nll=nll[k], bin_count=table.count, bin_p=table.p, bin_y=table.y,
        )
        for k, (o, table) in enumerate(zip(overlaps, tables(p, label), strict=True))
    ]  # fmt: skip


def measure_overlap(prediction_BHW: Tensor, label_BHW: Tensor) -> list[PixelSums]:
    """Return the sums of each image from a yes-or-no prediction; nothing about calibration.

    Raises:
        ValueError: If the shapes differ, the prediction holds more than 0 and 1, or a label is no 0, 1 or
        IGNORE.
    """
    same_shape(prediction_BHW, label_BHW)
    whole_labels(label_BHW, classes=2)
    found = _counts(yes_or_no(prediction_BHW).flatten(1), label_BHW.flatten(1))
    return [
        PixelSums(
            tp=tp, fp=marked - tp, fn=objects - tp, tn=total - marked - objects + tp, cases=1,
            case_iou=round(_ratio(tp, marked + objects - tp) * UNIT),
            case_dice=round(_ratio(2 * tp, marked + objects) * UNIT),
        )
        for tp, marked, objects, total in found
    ]  # fmt: skip


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0  # nothing there and nothing found is right


def _counts(yes_BN: Tensor, label_BN: Tensor) -> list[tuple[int, int, int, int]]:
    """Return per image how many pixels are found and true, found, true, and judged."""
    total_4B = torch.zeros(4, len(label_BN), dtype=torch.long, device=label_BN.device)
    for yes, label in pieces(yes_BN, label_BN):
        target, seen = label == 1, label != IGNORE
        total_4B += torch.stack([mask.sum(dim=1) for mask in (yes & target, yes & seen, target, seen)])
    return list(zip(*total_4B.tolist(), strict=True))
