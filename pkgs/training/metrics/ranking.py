"""Whether what is true gets higher scores than what is not: AUROC and average precision.

Of images and classes exactly, from stored scores; of pixels from 4096 bins of p. Ties count half. A class
without both outcomes is NaN, left out of the mean, and counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from pkgs.training.metrics.checks import UNKNOWN, finite, same_shape, whole_labels
from pkgs.training.metrics.reliability import FINE_BINS, Reliability, measure_reliability
from pkgs.training.metrics.sums import KIND, Sums, defined, macro


@final
@dataclass(frozen=True, slots=True)
class ClassRanking(Sums):
    """Scores of one class, apart by outcome. Grows with the number of images, never of pixels."""

    positive: tuple[float, ...] = ()
    negative: tuple[float, ...] = ()

    def __add__(self, other: ClassRanking) -> ClassRanking:
        return ClassRanking(self.positive + other.positive, self.negative + other.negative)

    def as_state(self) -> dict[str, Any]:
        """Return the scores in rising order, so that no order of the items shows."""
        return {
            KIND: type(self).__name__,
            "positive": sorted(self.positive),
            "negative": sorted(self.negative),
        }

    def scores(self) -> dict[str, float]:
        values = torch.tensor(self.positive + self.negative, dtype=torch.float64)
        _, place = torch.unique(values, return_inverse=True)
        steps = int(place.max()) + 1 if len(values) else 0
        split = len(self.positive)
        counts = (torch.bincount(each, minlength=steps).tolist() for each in (place[:split], place[split:]))
        return ranked(*counts)


@final
@dataclass(frozen=True, slots=True)
class Ranking(Sums):
    """AUROC and average precision of each class, exact."""

    names: tuple[str, ...] = ()
    classes: tuple[ClassRanking, ...] = ()

    def scores(self) -> dict[str, float]:
        """Return `auroc_<name>` and `ap_<name>` of each class, and `auroc_macro`, `ap_macro`."""
        every = {
            f"{score}_{name}": value
            for name, ranking in zip(self.names, self.classes, strict=True)
            for score, value in ranking.scores().items()
        }
        return every | {f"{score}_macro": value for score, value in macro(self.classes).items()}

    def counts(self) -> dict[str, int]:
        """Return how many classes there are, and how many have both outcomes."""
        return {"classes": len(self.names), "classes_defined": defined(self.classes).get("auroc", 0)}


@final
@dataclass(frozen=True, slots=True)
class PixelRanking(Sums):
    """Ranking and equal-mass calibration of pixels, from 4096 bins of p; constant memory.

    Two pixels of one bin count as tied: AUROC is off by at most half the share of such pairs. The edges of
    the equal-mass bins are off by at most 1/4096.
    """

    table: Reliability = Reliability()  # noqa: RUF009 - frozen

    def scores(self) -> dict[str, float]:
        """Return `auroc`, `ap` and `ece_adaptive`."""
        negative = [count - y for count, y in zip(self.table.count, self.table.y, strict=True)]
        return {**ranked(self.table.y, negative), "ece_adaptive": self.table.adaptive().ece()}


def measure_ranking(scores_NK: Tensor, label_NK: Tensor, *, names: Sequence[str]) -> Ranking:
    """Return what the ranking keeps of a batch.

    Args:
        scores_NK: Logits or probabilities; only their order matters.
        label_NK: 0, 1, or UNKNOWN (-1), which is left out.
        names: Of the K classes.

    Raises:
        ValueError: If shapes, names or labels are others, a score is not finite, or the batch is empty.
    """
    same_shape(scores_NK, label_NK)
    if scores_NK.dim() != 2 or scores_NK.shape[1] != len(names):
        raise ValueError(
            f"Scores [N, K] with a name for each of the K classes are expected, got the shape "
            f"{tuple(scores_NK.shape)} and {len(names)} names."
        )
    whole_labels(label_NK, classes=2, ignore=UNKNOWN)
    finite(scores_NK)
    scores, label = scores_NK.detach().float().cpu(), label_NK.cpu()
    return Ranking(
        tuple(names),
        tuple(
            ClassRanking(tuple(own[known == 1].tolist()), tuple(own[known == 0].tolist()))
            for own, known in zip(scores.unbind(1), label.unbind(1), strict=True)
        ),
    )


def measure_pixel_ranking(p: Tensor, label: Tensor) -> list[PixelRanking]:
    """Return the ranking sums of each image from probabilities [B, ...] and labels 0, 1 or IGNORE.

    Raises:
        ValueError: If the shapes differ, the batch is empty, a p is outside of [0, 1] or a label is another.
    """
    return [PixelRanking(table) for table in measure_reliability(p, label, bins=FINE_BINS)]


def ranked(positive: Sequence[int], negative: Sequence[int]) -> dict[str, float]:
    """Return `auroc` and `ap` from counts per distinct score, lowest first; NaN without both outcomes.

        AUROC = sum_i pos_i (neg below i + neg_i / 2) / (P N)
        AP    = sum_i pos_i / P * precision at score i,    from the highest score down

    Fawcett 2006, doi:10.1016/j.patrec.2005.10.010; AP without interpolation.
    """
    positives, negatives = sum(positive), sum(negative)
    if not positives or not negatives:
        return {"auroc": math.nan, "ap": math.nan}
    twice_above, below = 0, 0
    for pos, neg in zip(positive, negative, strict=True):
        twice_above += pos * (2 * below + neg)
        below += neg
    terms, true, marked = [], 0, 0
    for pos, neg in zip(reversed(positive), reversed(negative), strict=True):
        true, marked = true + pos, marked + pos + neg
        if pos:
            terms.append(pos * true / marked)
    return {"auroc": twice_above / (2 * positives * negatives), "ap": math.fsum(terms) / positives}
