"""How often the right class is named: accuracy, recall, confusion; findings that may occur together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from pkgs.training.metrics.checks import IGNORE, UNKNOWN, class_axis, finite, same_shape, whole_labels
from pkgs.training.metrics.overlap import Overlap
from pkgs.training.metrics.sums import Sums, mean_of

TOP: Final = 5
FINDING_SCORES: Final = {"dice": "f1", "iou": "iou", "precision": "precision", "recall": "recall"}
"""Scores of findings by the overlap's name; the Dice of yes-or-no answers is their F1."""


@final
@dataclass(frozen=True, slots=True)
class Confusion(Sums):
    """Counts of K classes that exclude each other."""

    names: tuple[str, ...] = ()
    cells: tuple[int, ...] = ()
    """How many items have which label (row) and prediction (column), K x K."""
    top: int = 0
    """Items whose label is among the five highest scores."""

    @property
    def matrix(self) -> list[tuple[int, ...]]:
        """Return the rows, one per label."""
        classes = len(self.names)
        return [self.cells[row * classes : (row + 1) * classes] for row in range(classes)]

    def scores(self) -> dict[str, float]:
        """Return `accuracy`, `accuracy_top5` (K > 5), `balanced_accuracy` and `recall_<name>`.

        A class without items has no recall (NaN) and is left out of the balanced accuracy.
        """
        total, matrix = sum(self.cells), self.matrix
        right = [row[k] for k, row in enumerate(matrix)]
        recalls = [r / sum(row) if any(row) else math.nan for r, row in zip(right, matrix, strict=True)]
        scores = {"accuracy": sum(right) / total if total else math.nan}
        if len(self.names) > TOP:
            scores["accuracy_top5"] = self.top / total if total else math.nan
        balanced = mean_of([{"balanced_accuracy": each} for each in recalls])
        return scores | balanced | {f"recall_{n}": r for n, r in zip(self.names, recalls, strict=True)}

    def counts(self) -> dict[str, int]:
        """Return the number of items, of classes, and of classes that occur."""
        return {
            "items": sum(self.cells),
            "classes": len(self.names),
            "classes_defined": sum(any(row) for row in self.matrix),
        }


@final
@dataclass(frozen=True, slots=True)
class Findings(Sums):
    """Counts of K findings, each of which may be there or not, judged at p = 0.5."""

    names: tuple[str, ...] = ()
    classes: tuple[Overlap, ...] = ()

    def scores(self) -> dict[str, float]:
        """Return `f1`, `iou`, `precision` and `recall` as `..._<name>` and `..._macro`.

        A finding without both outcomes is NaN, left out of the mean, and counted.
        """
        own = [_finding(each) for each in self.classes]
        every = {
            f"{score}_{n}": value
            for n, each in zip(self.names, own, strict=True)
            for score, value in each.items()
        }
        return every | {f"{score}_macro": value for score, value in mean_of(own).items()}

    def counts(self) -> dict[str, int]:
        return {"classes": len(self.names), "classes_defined": sum(map(_both, self.classes))}


def measure_classes(logits_BK: Tensor, label_B: Tensor, *, names: Sequence[str]) -> Confusion:
    """Return the counts of a batch; of equal scores the first class is taken.

    Args:
        logits_BK: Scores; only their order matters.
        label_B: Classes, or IGNORE where there are at most 255.
        names: Of the K classes.

    Raises:
        ValueError: If shapes, names or labels are others, a score is not finite, or the batch is empty.
    """
    class_axis(logits_BK, label_B)
    _named(logits_BK, names)
    classes = len(names)
    whole_labels(label_B, classes=classes)
    finite(logits_BK)
    judged = (label_B != IGNORE) | (classes > IGNORE)  # with more classes 255 is one of them
    logits, label = logits_BK[judged], label_B[judged].long()
    own = logits.gather(1, label[:, None])
    before = torch.arange(classes, device=logits.device) < label[:, None]
    rank = ((logits > own) | ((logits == own) & before)).sum(dim=1)
    cells = torch.bincount(label * classes + logits.argmax(dim=1), minlength=classes * classes)
    return Confusion(tuple(names), tuple(cells.tolist()), int((rank < TOP).sum()))


def measure_findings(logits_BK: Tensor, label_BK: Tensor, *, names: Sequence[str]) -> Findings:
    """Return the counts of a batch: a logit of at least 0 (p >= 0.5) says yes.

    Args:
        logits_BK: Scores before the sigmoid.
        label_BK: 0, 1, or UNKNOWN (-1), which is left out.
        names: Of the K findings.

    Raises:
        ValueError: If shapes, names or labels are others, a score is not finite, or the batch is empty.
    """
    same_shape(logits_BK, label_BK)
    _named(logits_BK, names)
    whole_labels(label_BK, classes=2, ignore=UNKNOWN)
    finite(logits_BK)
    yes, there, absent = logits_BK >= 0, label_BK == 1, label_BK == 0
    masks = (yes & there, yes & absent, ~yes & there, ~yes & absent)
    counts = zip(*(mask.sum(dim=0).tolist() for mask in masks), strict=True)
    return Findings(tuple(names), tuple(Overlap(*each) for each in counts))


def _finding(counts: Overlap) -> dict[str, float]:
    own = counts.scores()
    return {name: own[key] if _both(counts) else math.nan for key, name in FINDING_SCORES.items()}


def _both(counts: Overlap) -> bool:
    return bool(counts.tp + counts.fn) and bool(counts.tn + counts.fp)


def _named(scores_BK: Tensor, names: Sequence[str]) -> None:
    if scores_BK.dim() != 2 or scores_BK.shape[1] != len(names):
        raise ValueError(
            f"Scores [B, K] with a name for each of the K classes are expected, got the shape "
            f"{tuple(scores_BK.shape)} and {len(names)} names."
        )
