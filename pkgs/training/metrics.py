"""How good a segmentation is, streaming and mergeable: any order of any parts gives the same bits.

Counts are whole numbers, sums are fixed point; memory does not grow with the number of pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, final

import torch
import torch.nn.functional as F
from torch import Tensor

BINS: Final = 15
IGNORE: Final = 255
"""Label of pixels that no metric may see."""
UNIT: Final = 2**24
"""Fixed point: sums hold multiples of 1 / UNIT."""
NOTHING: Final = (0,) * BINS


@final
@dataclass(frozen=True, slots=True)
class PixelSums:
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

    def __add__(self, other: PixelSums) -> PixelSums:
        sums: dict[str, Any] = {
            name: _plus(getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__
        }
        return PixelSums(**sums)

    @property
    def pixels(self) -> int:
        return self.tp + self.fp + self.fn + self.tn

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
            scores |= self._calibration()
        return scores

    def _calibration(self) -> dict[str, float]:
        """ECE = sum_b n_b / N |mean p - share of foreground|; MCE: the largest distance (n_b >= 1)."""
        total = sum(self.bin_count)
        gaps = [
            (count, abs(p / UNIT - y) / count)
            for count, p, y in zip(self.bin_count, self.bin_p, self.bin_y, strict=True)
            if count
        ]
        return {
            "ece_fg": sum(count * gap for count, gap in gaps) / total,
            "mce_fg": max(gap for _, gap in gaps),
            "brier": self.brier / UNIT / total,
            "nll": self.nll / UNIT / total,
        }


def measure(logits_B1HW: Tensor, label_BHW: Tensor) -> list[PixelSums]:
    """Return the sums of each image, from logits.

    Args:
        logits_B1HW: Scores before the sigmoid.
        label_BHW: 0, 1 or IGNORE.

    Raises:
        ValueError: If the shapes do not belong together or a logit is not finite.
    """
    logits = logits_B1HW[:, 0].float()
    _same(logits, label_BHW)
    if not bool(torch.isfinite(logits).all()):
        raise ValueError("Logits that are not finite cannot be measured; the network has diverged.")
    probability = torch.sigmoid(logits)
    target = (label_BHW == 1).float()
    nll = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return measure_probability(probability, label_BHW, nll_BHW=nll)


def measure_probability(probability_BHW: Tensor, label_BHW: Tensor, *, nll_BHW: Tensor) -> list[PixelSums]:
    """Return the sums of each image, from probabilities of foreground and their negative log likelihoods.

    Raises:
        ValueError: If a value is outside of [0, 1]: logits have no calibration.
    """
    _same(probability_BHW, label_BHW)
    low, high = probability_BHW.amin().item(), probability_BHW.amax().item()
    if not (low >= 0 and high <= 1):
        raise ValueError(f"Probabilities must lie within [0, 1], got {low:g} to {high:g}. Are these logits?")
    seen, target = label_BHW != IGNORE, label_BHW == 1
    place = torch.clamp((probability_BHW * BINS).floor().long(), max=BINS - 1)  # p = 1 counts in the last bin
    place = torch.where(seen, place, BINS)  # ignored pixels go to a bin that is dropped
    ones, codes = torch.ones_like(place), _fixed(probability_BHW)
    count, bin_p, bin_y = (_per_bin(place, values) for values in (ones, codes, target.long()))
    brier = _total(_fixed((probability_BHW - target.float()) ** 2), seen)
    nll = _total(_fixed(nll_BHW), seen)
    overlaps = measure_overlap(probability_BHW >= 0.5, label_BHW)
    return [
        PixelSums(
            tp=o.tp, fp=o.fp, fn=o.fn, tn=o.tn, cases=1, case_iou=o.case_iou, case_dice=o.case_dice,
            brier=brier[k], nll=nll[k], bin_count=count[k], bin_p=bin_p[k], bin_y=bin_y[k],
        )
        for k, o in enumerate(overlaps)
    ]  # fmt: skip


def measure_overlap(prediction_BHW: Tensor, label_BHW: Tensor) -> list[PixelSums]:
    """Return the sums of each image from a yes-or-no prediction; nothing about calibration."""
    _same(prediction_BHW, label_BHW)
    seen, yes, target = label_BHW != IGNORE, prediction_BHW.bool(), label_BHW == 1
    counts = zip(
        _total((yes & target).long(), seen),
        _total((yes & ~target).long(), seen),
        _total((~yes & target).long(), seen),
        _total((~yes & ~target).long(), seen),
        strict=True,
    )
    return [
        PixelSums(
            tp=tp, fp=fp, fn=fn, tn=tn, cases=1,
            case_iou=round(_ratio(tp, tp + fp + fn) * UNIT),
            case_dice=round(_ratio(2 * tp, 2 * tp + fp + fn) * UNIT),
        )
        for tp, fp, fn, tn in counts
    ]  # fmt: skip


def merged(parts: Iterable[PixelSums]) -> PixelSums:
    """Return the sums of all parts together."""
    total = PixelSums()
    for part in parts:
        total = total + part
    return total


def macro(parts: Iterable[PixelSums]) -> dict[str, float]:
    """Return the mean of the parts' scores: every source counts alike, however many images it has."""
    scores = [part.scores() for part in parts]
    return {name: sum(each[name] for each in scores) / len(scores) for name in (scores[0] if scores else {})}


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0  # nothing there and nothing found is right


def _plus(first: int | tuple[int, ...], second: int | tuple[int, ...]) -> int | tuple[int, ...]:
    if isinstance(first, tuple) and isinstance(second, tuple):
        return tuple(a + b for a, b in zip(first, second, strict=True))
    assert isinstance(first, int)
    assert isinstance(second, int)
    return first + second


def _fixed(values: Tensor) -> Tensor:
    return (values.double() * UNIT).round().long()


def _total(values_BHW: Tensor, seen_BHW: Tensor) -> list[int]:
    totals: list[int] = torch.where(seen_BHW, values_BHW, 0).flatten(1).sum(dim=1).tolist()
    return totals


def _per_bin(place_BHW: Tensor, values_BHW: Tensor) -> list[tuple[int, ...]]:
    sums = torch.zeros(len(place_BHW), BINS + 1, dtype=torch.long, device=place_BHW.device)
    sums.scatter_add_(1, place_BHW.flatten(1), values_BHW.flatten(1))
    return [tuple(row) for row in sums[:, :BINS].tolist()]


def _same(values_BHW: Tensor, label_BHW: Tensor) -> None:
    if values_BHW.shape != label_BHW.shape:
        raise ValueError(
            f"Predictions and labels must agree in shape, got {tuple(values_BHW.shape)} "
            f"and {tuple(label_BHW.shape)}."
        )
