"""How well masks agree: Dice, IoU, precision, recall, specificity, accuracy; binary, by class, by region.

Empty masks: with both empty every overlap is 1; with one empty it is 0. So precision is 1 where nothing was
there and nothing found, and 0 where only the prediction or only the reference is empty; likewise recall.
Specificity is 1 where there is no background. Where every pixel is ignored there is no case.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import torch
from torch import Tensor

from pkgs.training.metrics.checks import IGNORE, same_shape, whole_labels, yes_or_no
from pkgs.training.metrics.fixed import UNIT, fixed
from pkgs.training.metrics.groups import PerGroup
from pkgs.training.metrics.pieces import pieces
from pkgs.training.metrics.sums import Sums

CASE_SCORES: Final = ("iou", "dice", "precision", "recall")


@final
@dataclass(frozen=True, slots=True)
class Overlap(Sums):
    """Pooled counts, and the sums of the cases' own scores."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0
    cases: int = 0
    present: int = 0
    """Cases whose reference is not empty."""
    both_empty: int = 0
    false_alarm: int = 0
    """Cases with an empty reference, and a prediction that is not."""
    missed: int = 0
    """Cases with an empty prediction, and a reference that is not."""
    case_sums: tuple[int, ...] = ()
    """Sums over cases of CASE_SCORES, fixed point."""
    present_sums: tuple[int, ...] = ()
    """The same over the cases whose reference is not empty."""

    @property
    def pixels(self) -> int:
        return self.tp + self.fp + self.fn + self.tn

    def scores(self) -> dict[str, float]:
        """Return the pooled scores, `..._case` (mean over cases) and `..._present` (reference not empty)."""
        if not self.pixels:
            return dict.fromkeys((*self._pooled(), *_named("case", ()), *_named("present", ())), math.nan)
        cases = [each / UNIT / self.cases for each in self.case_sums] if self.cases else ()
        present = [each / UNIT / self.present for each in self.present_sums] if self.present else ()
        return {**self._pooled(), **_named("case", cases), **_named("present", present)}

    def counts(self) -> dict[str, int]:
        names = ("tp", "fp", "fn", "tn", "cases", "present", "both_empty", "false_alarm", "missed")
        return {name: getattr(self, name) for name in names}

    def as_case(self) -> Overlap:
        """Return the pooled counts as one case: of images merged to a volume, say, the volume."""
        counts = Overlap(self.tp, self.fp, self.fn, self.tn)
        if not self.pixels:
            return counts
        own = self._pooled()
        sums = tuple(fixed(own[name]) for name in CASE_SCORES)
        reference, prediction = bool(self.tp + self.fn), bool(self.tp + self.fp)
        return replace(
            counts,
            cases=1,
            present=int(reference),
            both_empty=int(not reference and not prediction),
            false_alarm=int(prediction and not reference),
            missed=int(reference and not prediction),
            case_sums=sums,
            present_sums=sums if reference else (),
        )

    def _pooled(self) -> dict[str, float]:
        tp, fp, fn, tn = self.tp, self.fp, self.fn, self.tn
        nothing = 0.0 if fp or fn else 1.0
        return {
            "iou": tp / (tp + fp + fn) if tp + fp + fn else 1.0,
            "dice": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0,
            "precision": tp / (tp + fp) if tp + fp else nothing,
            "recall": tp / (tp + fn) if tp + fn else nothing,
            "specificity": tn / (tn + fp) if tn + fp else 1.0,
            "accuracy": (tp + tn) / self.pixels if self.pixels else math.nan,
        }


def measure_masks(prediction: Tensor, label: Tensor) -> list[Overlap]:
    """Return the overlap of each image, which counts as one case.

    Args:
        prediction: Yes or no, [B, ...].
        label: 0, 1 or IGNORE, same shape.

    Raises:
        ValueError: If the shapes differ, the batch is empty, or a value is another.
    """
    regions = {"": (1,)}
    same_shape(prediction, label)
    images = measure_regions(yes_or_no(prediction).to(torch.uint8), label, classes=2, regions=regions)
    return [image.parts[""] for image in images]


def measure_regions(
    prediction: Tensor, label: Tensor, *, classes: int, regions: Mapping[str, Sequence[int]]
) -> list[PerGroup[Overlap]]:
    """Return the overlap of each image and region; an image counts as one case.

    Args:
        prediction: Class numbers 0 to `classes` - 1, [B, ...], such as `logits.argmax(1)`.
        label: The same, or IGNORE.
        classes: Number of classes, background included.
        regions: Which classes make a region: `{"tumour": (2,), "liver": (1, 2)}`.

    Raises:
        ValueError: If the shapes differ, the batch is empty, or a value or a region has another class.
    """
    same_shape(prediction, label)
    whole_labels(prediction, classes=classes, ignore=0)
    whole_labels(label, classes=classes)
    for name, members in regions.items():
        if not members or not set(members) <= set(range(classes)):
            raise ValueError(f"Region {name!r} consists of {tuple(members)}; classes are 0 to {classes - 1}.")
    matrices = _confusion(prediction.reshape(len(prediction), -1), label.reshape(len(label), -1), classes)
    return [
        PerGroup({name: _region(matrix, set(members)).as_case() for name, members in regions.items()})
        for matrix in matrices
    ]


def by_class(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the regions that are the classes themselves: `by_class(["background", "kidney"])`."""
    return {name: (number,) for number, name in enumerate(names)}


def _confusion(prediction_BN: Tensor, label_BN: Tensor, classes: int) -> list[list[list[int]]]:
    """Return per image how many pixels have which label (row) and prediction (column)."""
    cells = classes * classes
    counts = torch.zeros(len(label_BN), cells + 1, dtype=torch.long, device=label_BN.device)
    for prediction, label in pieces(prediction_BN, label_BN):
        code = label.long() * classes + prediction
        code.masked_fill_(label == IGNORE, cells)
        counts.scatter_add_(1, code, torch.ones((), dtype=torch.long, device=code.device).expand_as(code))
    matrices: list[list[list[int]]] = counts[:, :cells].reshape(-1, classes, classes).tolist()
    return matrices


def _region(matrix: Sequence[Sequence[int]], members: set[int]) -> Overlap:
    cells = [(t in members, p in members, n) for t, row in enumerate(matrix) for p, n in enumerate(row)]
    return Overlap(
        tp=sum(n for t, p, n in cells if t and p),
        fp=sum(n for t, p, n in cells if p and not t),
        fn=sum(n for t, p, n in cells if t and not p),
        tn=sum(n for t, p, n in cells if not t and not p),
    )


def _named(suffix: str, values: Sequence[float]) -> dict[str, float]:
    every = values or (math.nan,) * len(CASE_SCORES)
    return {f"{name}_{suffix}": value for name, value in zip(CASE_SCORES, every, strict=True)}
