"""How good a binary segmentation is: the sums of which the studies' tables are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import torch.nn.functional as F
from torch import Tensor

from pkgs.training.metrics.checks import (
    IGNORE,
    one_channel,
    probabilities,
    same_shape,
    whole_labels,
    yes_or_no,
)
from pkgs.training.metrics.fixed import UNIT, row_sums, sigmoid, within
from pkgs.training.metrics.reliability import BINS, Reliability, tables
from pkgs.training.metrics.sums import Sums

NOTHING: Final = (0,) * BINS


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


def measure(logits_B1HW: Tensor, label_BHW: Tensor) -> list[PixelSums]:
    """Return the sums of each image, from logits.

    Args:
        logits_B1HW: Scores before the sigmoid.
        label_BHW: 0, 1 or IGNORE.

    Raises:
        ValueError: If the shapes do not belong together, a logit is not finite or absurdly large, or a label
        is another.
    """
    logits = one_channel(logits_B1HW)
    same_shape(logits, label_BHW)
    within(logits.flatten(1), "Logits")
    target = (label_BHW == 1).float()
    nll = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return measure_probability(sigmoid(logits), label_BHW, nll_BHW=nll)


def measure_probability(probability_BHW: Tensor, label_BHW: Tensor, *, nll_BHW: Tensor) -> list[PixelSums]:
    """Return the sums of each image, from probabilities of foreground and their negative log likelihoods.

    Raises:
        ValueError: If a value is outside of [0, 1]: logits have no calibration.
    """
    same_shape(probability_BHW, label_BHW)
    probabilities(probability_BHW)
    overlaps = measure_overlap(probability_BHW >= 0.5, label_BHW)  # checks the labels
    p, label, nll = (each.flatten(1) for each in (probability_BHW.float(), label_BHW, nll_BHW.float()))
    seen = label != IGNORE
    brier, nll_sums = row_sums((p - (label == 1).float()).square_(), seen), row_sums(nll, seen)
    return [
        PixelSums(
            tp=o.tp, fp=o.fp, fn=o.fn, tn=o.tn, cases=1, case_iou=o.case_iou, case_dice=o.case_dice,
            brier=brier[k], nll=nll_sums[k], bin_count=table.count, bin_p=table.p, bin_y=table.y,
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
    yes, target = yes_or_no(prediction_BHW), label_BHW == 1
    seen, yes_seen = label_BHW != IGNORE, yes & (label_BHW != IGNORE)
    found = zip(_count(yes & target), _count(yes_seen), _count(target), _count(seen), strict=True)
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


def _count(mask_BHW: Tensor) -> list[int]:
    counts: list[int] = mask_BHW.flatten(1).sum(dim=1).tolist()
    return counts
