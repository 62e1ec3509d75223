"""All that is kept of predictions on test; add two to merge them. Memory does not grow with the pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from torch import Tensor

from pkgs.data.items import IGNORE
from pkgs.ensemble.near import NEAR, near
from pkgs.ensemble.objects import ObjectSums, measure_objects, true_objects
from pkgs.training.metrics import (
    FINE_BINS,
    HALF,
    UNIT,
    PixelSums,
    Reliability,
    Sums,
    measure,
    measure_reliability,
)
from pkgs.training.metrics.fixed import fixed
from pkgs.training.metrics.pieces import sigmoid

POPULATED = 100
"""Pixels that a bin needs to count in `mce_fg_100`: the largest gap of few pixels is chance."""


@final
@dataclass(frozen=True, slots=True)
class SegmentationSums(Sums):
    """Overlap, calibration in seven forms, objects."""

    pixels: PixelSums = PixelSums()  # noqa: RUF009 - frozen, all of them
    objects: ObjectSums = ObjectSums()  # noqa: RUF009
    foreground: Reliability = Reliability()  # noqa: RUF009
    """p(foreground); under D14 without the pixels of p = 1."""
    background: Reliability = Reliability()  # noqa: RUF009
    top: Reliability = Reliability()  # noqa: RUF009
    """The larger of both, and whether it was right."""
    fine: Reliability = Reliability()  # noqa: RUF009
    """p(foreground) in 4096 bins, for bins of equal mass."""
    near: Reliability = Reliability()  # noqa: RUF009
    """p(foreground) of the pixels near label or prediction."""
    scaled: Reliability = Reliability()  # noqa: RUF009
    """p(foreground) after temperature scaling."""
    images: int = 0
    image_ece: int = 0
    """Sum of the images' own ECE, fixed point."""

    def scores(self) -> dict[str, float]:
        """Return every score that is defined, by the name of its column."""
        scores = self.pixels.scores()
        if self.foreground.count:
            scores |= {
                "ece_fg": self.foreground.ece(),
                "mce_fg": self.foreground.mce(),
                "mce_fg_100": self.foreground.mce(at_least=POPULATED),
                "ece_top": self.top.ece(),
                "ece_image": self.image_ece / UNIT / self.images if self.images else math.nan,
                "ece_adaptive": self.fine.adaptive().ece() if self.fine.total else math.nan,
                "ece_class": (self.foreground.ece() + self.background.ece()) / 2,
                "ece_near": self.near.ece(),
                "ece_fg_scaled": self.scaled.ece(),
            }
        scores |= self.objects.scores()
        return {name: value for name, value in scores.items() if not math.isnan(value)}

    def counts(self) -> dict[str, int]:
        return {
            **{name: getattr(self.pixels, name) for name in ("tp", "fp", "fn", "tn")},
            "objects": self.objects.true,
        }


def measure_test(  # noqa: PLR0913 - all by name
    logits_B1HW: Tensor,
    label_BHW: Tensor,
    *,
    instances_BHW: Tensor | None = None,
    temperature: float = 1.0,
    drop_p1_bin: bool = False,
    threshold: float = HALF,
) -> list[SegmentationSums]:
    """Return the sums of each image.

    Args:
        logits_B1HW: z; p = sigmoid(z).
        label_BHW: 0, 1 or IGNORE.
        instances_BHW: Numbered objects; None: the connected pieces of the label.
        temperature: T, > 0, fitted on val.
        drop_p1_bin: Leave p = 1 out of every table of 15 bins (D14).
        threshold: The probability from which on a pixel is foreground.

    Raises:
        ValueError: If the shapes do not belong together, or a logit is not finite or absurdly large.
    """
    pixels = measure(logits_B1HW, label_BHW, threshold=threshold)  # checks all
    logits_BHW = logits_B1HW[:, 0].float()
    p, scaled = sigmoid(logits_BHW), sigmoid(logits_BHW / temperature)
    label = label_BHW.long()
    seen, marked = label != IGNORE, p >= threshold
    close = near((label == 1) | (marked & seen), radius_px=NEAR * label.shape[-1])
    ignore = torch.full_like(label, IGNORE)

    def table(p: Tensor, came_true: Tensor, where: Tensor) -> list[Reliability]:
        kept = where & (p < 1) if drop_p1_bin else where
        return measure_reliability(p, torch.where(kept, came_true.long(), ignore))

    foreground = table(p, label == 1, seen)
    tables = zip(
        foreground,
        table(1 - p, label == 0, seen),
        table(torch.maximum(p, 1 - p), marked == (label == 1), seen),
        measure_reliability(p, label, bins=FINE_BINS),
        table(p, label == 1, seen & close),
        table(scaled, label == 1, seen),
        strict=True,
    )
    objects = _objects(marked & seen, label_BHW, instances_BHW)
    return [
        _with_image_ece(SegmentationSums(own, counted, *six))
        for own, counted, six in zip(pixels, objects, tables, strict=True)
    ]


def _with_image_ece(sums: SegmentationSums) -> SegmentationSums:
    if not sums.foreground.total:
        return sums
    return replace(sums, images=1, image_ece=fixed(sums.foreground.ece()))


def _objects(marked_BHW: Tensor, label_BHW: Tensor, instances_BHW: Tensor | None) -> list[ObjectSums]:
    marked, label = marked_BHW.cpu().numpy(), label_BHW.cpu().numpy()
    known = None if instances_BHW is None else np.asarray(instances_BHW.cpu().numpy())
    return [
        measure_objects(marked[k], true_objects(label[k], None if known is None else known[k]))
        for k in range(len(label))
    ]
