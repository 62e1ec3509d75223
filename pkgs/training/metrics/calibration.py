"""Whether p means what it says, pooled over all pixels: ECE, MCE, Brier score, negative log likelihood.

`ece_fg` and `mce_fg` judge p(foreground); `ece_top` and `mce_top` the largest class probability against "it
was right"; `ece_class` is the mean over classes of one class against the rest. `ece_image` is the mean of the
images' own `ece_fg`: another quantity (0.1 on two images that err in opposite directions, where pooled is 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from pkgs.training.metrics.checks import (
    IGNORE,
    class_axis,
    one_channel,
    probabilities,
    same_shape,
    whole_labels,
)
from pkgs.training.metrics.fixed import UNIT, brier_sums, fixed, nll_sums, row_sums, within
from pkgs.training.metrics.pieces import sigmoid
from pkgs.training.metrics.reliability import Reliability, tables
from pkgs.training.metrics.sums import Sums, mean_of

SUM_TOLERANCE = 1e-3
"""How far class probabilities may be from a sum of 1: float16 maps stay within, logits do not."""


@final
@dataclass(frozen=True, slots=True)
class Calibration(Sums):
    """Calibration of p(foreground)."""

    table: Reliability = Reliability()  # noqa: RUF009 - frozen
    brier: int = 0
    """Sum of (p - y)^2, fixed point."""
    nll: int = 0
    """Sum of negative log likelihoods, fixed point."""
    nll_pixels: int = 0
    """Pixels with a likelihood: from a probability of 0 none can be had, only from logits."""
    images: int = 0
    image_ece: int = 0
    """Sum of the images' own ECE, fixed point."""

    def scores(self) -> dict[str, float]:
        """Return `ece_fg`, `mce_fg` (bins with at least 1 pixel), `ece_image`, `brier`, and `nll`."""
        total = self.table.total
        return {
            "ece_fg": self.table.ece(),
            "mce_fg": self.table.mce(),
            "ece_image": self.image_ece / UNIT / self.images if self.images else math.nan,
            "brier": self.brier / UNIT / total if total else math.nan,
            "nll": self.nll / UNIT / self.nll_pixels if self.nll_pixels else math.nan,
        }

    def counts(self) -> dict[str, int]:
        return {"pixels": self.table.total, "images": self.images}

    def as_case(self) -> Calibration:
        """Return the pooled sums as one image of `ece_image`."""
        if not self.table.total:
            return replace(self, images=0, image_ece=0)
        return replace(self, images=1, image_ece=fixed(self.table.ece()))


@final
@dataclass(frozen=True, slots=True)
class ClassCalibration(Sums):
    """Calibration of several classes that exclude each other."""

    top: Reliability = Reliability()  # noqa: RUF009 - frozen
    """The largest class probability, and whether it was right."""
    classes: tuple[Reliability, ...] = ()
    """Each class against the rest."""
    brier: int = 0
    """Sum over pixels and classes of (p - y)^2, fixed point."""
    nll: int = 0
    nll_pixels: int = 0

    def scores(self) -> dict[str, float]:
        """Return `ece_top`, `mce_top`, `ece_class`, `brier` (0 to 2), and `nll`."""
        total = self.top.total
        by_class = mean_of([{"ece_class": table.ece()} for table in self.classes])
        return {
            "ece_top": self.top.ece(),
            "mce_top": self.top.mce(),
            "ece_class": by_class.get("ece_class", math.nan),
            "brier": self.brier / UNIT / total if total else math.nan,
            "nll": self.nll / UNIT / self.nll_pixels if self.nll_pixels else math.nan,
        }

    def counts(self) -> dict[str, int]:
        return {"pixels": self.top.total}


def measure_calibration(logits_B1: Tensor, label_B: Tensor) -> list[Calibration]:
    """Return the calibration of each image from logits [B, 1, ...] and labels 0, 1 or IGNORE [B, ...].

    Raises:
        ValueError: If shapes, dtype or values are others, a logit is not finite, or the batch is empty.
    """
    logits = one_channel(logits_B1)
    same_shape(logits, label_B)
    within(logits.reshape(len(logits), -1), "Logits")
    whole_labels(label_B, classes=2)
    nll = nll_sums(logits.reshape(len(logits), -1), label_B.reshape(len(label_B), -1))
    return [
        replace(each, nll=total, nll_pixels=each.table.total)
        for each, total in zip(measure_calibration_of(sigmoid(logits), label_B), nll, strict=True)
    ]


def measure_calibration_of(p: Tensor, label: Tensor) -> list[Calibration]:
    """Return the calibration of each image from probabilities of foreground; `nll` needs logits and is NaN.

    Raises:
        ValueError: If the shapes differ, the batch is empty, a p is outside of [0, 1] or a label is another.
    """
    same_shape(p, label)
    probabilities(p)
    whole_labels(label, classes=2)
    p_BN, label_BN = p.float().reshape(len(p), -1), label.reshape(len(label), -1)
    return [
        Calibration(table, brier).as_case()
        for table, brier in zip(tables(p_BN, label_BN), brier_sums(p_BN, label_BN), strict=True)
    ]


def measure_class_calibration(logits_BK: Tensor, label_B: Tensor) -> list[ClassCalibration]:
    """Return the calibration of each image from logits [B, K, ...] and classes or IGNORE [B, ...].

    Raises:
        ValueError: If shapes, dtype or values are others, a logit is not finite, or the batch is empty.
    """
    class_axis(logits_BK, label_B)
    whole_labels(label_B, classes=logits_BK.shape[1])
    logits_BNK = _classes_last(logits_BK)
    within(2 * logits_BNK.abs().amax(dim=-1), "Logits")  # -log p is up to the distance of two
    label_BN = label_B.reshape(len(label_B), -1)
    seen = label_BN != IGNORE
    chosen = torch.where(seen, label_BN, 0).long().unsqueeze(-1)
    # by gather: cross-entropy on maps is refused by CUDA under the determinism switch
    log_p = torch.log_softmax(logits_BNK, dim=-1).gather(-1, chosen).squeeze(-1)
    nll = row_sums(torch.neg, log_p, seen=seen)
    found = _classes(torch.softmax(logits_BNK, dim=-1), label_BN)
    return [replace(each, nll=sums, nll_pixels=each.top.total) for each, sums in zip(found, nll, strict=True)]


def measure_class_calibration_of(p_BK: Tensor, label_B: Tensor) -> list[ClassCalibration]:
    """Return the calibration of each image from class probabilities [B, K, ...]; `nll` is NaN.

    Raises:
        ValueError: Also if the probabilities of a pixel do not sum to 1.
    """
    class_axis(p_BK, label_B)
    probabilities(p_BK)
    whole_labels(label_B, classes=p_BK.shape[1])
    off = float((p_BK.float().sum(dim=1) - 1).abs().amax())
    if off > SUM_TOLERANCE:
        raise ValueError(f"Probabilities of the classes must sum to 1, one sum is off by {off:.3g}.")
    return _classes(_classes_last(p_BK), label_B.reshape(len(label_B), -1))


def _classes(p_BNK: Tensor, label_BN: Tensor) -> list[ClassCalibration]:
    top, choice = p_BNK.max(dim=-1)
    seen = label_BN != IGNORE
    right = torch.where(seen, (choice == label_BN).to(torch.uint8), IGNORE)
    best = tables(top, right)
    per_class, briers = [], []
    for number in range(p_BNK.shape[-1]):
        p, target = p_BNK[..., number].contiguous(), torch.where(seen, (label_BN == number).byte(), IGNORE)
        per_class.append(tables(p, target))
        briers.append(brier_sums(p, target))
    return [
        ClassCalibration(table, tuple(each[k] for each in per_class), sum(each[k] for each in briers))
        for k, table in enumerate(best)
    ]


def _classes_last(values_BK: Tensor) -> Tensor:
    """Return [B, N, K]: softmax over the last axis gives bits that depend on no neighbouring pixel."""
    return values_BK.float().reshape(*values_BK.shape[:2], -1).movedim(1, -1).contiguous()
