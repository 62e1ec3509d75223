"""What no network is needed for: one grey value as threshold, chosen on train, judged on test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from pkgs.data.items import IGNORE
from pkgs.data.samples import Part
from pkgs.ensemble.evaluation import PerSourceWhole
from pkgs.ensemble.sums import SegmentationSums
from pkgs.training.metrics import measure_overlap

CODES: Final = 256
"""Grey values that are tried."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Foreground is every pixel with a grey code below `code`, or from it on if `bright`."""

    code: int
    bright: bool
    iou: float
    """Pooled, on the images on which it was chosen."""


def best_threshold(part: Part) -> Threshold:
    """Return the threshold with the best pooled IoU on `part`, over all codes, dark and bright foreground."""
    object_counts = every_count = torch.zeros(CODES, dtype=torch.long)
    for codes, labels in _read(part):
        object_counts = object_counts + torch.bincount(codes[labels == 1], minlength=CODES)
        every_count = every_count + torch.bincount(codes[labels != IGNORE], minlength=CODES)
    objects = int(object_counts.sum())
    found_dark = torch.cat([torch.zeros(1, dtype=torch.long), object_counts.cumsum(0)])
    marked_dark = torch.cat([torch.zeros(1, dtype=torch.long), every_count.cumsum(0)])
    best = Threshold(0, bright=False, iou=-1.0)
    for bright in (False, True):
        found = objects - found_dark if bright else found_dark
        marked = marked_dark[-1] - marked_dark if bright else marked_dark
        iou = found / (marked + objects - found).clamp(min=1)
        code = int(iou.argmax())
        if float(iou[code]) > best.iou:
            best = Threshold(code, bright=bright, iou=float(iou[code]))
    return best


def judge(threshold: Threshold, part: Part) -> PerSourceWhole:
    """Return the sums of every source of `part` under the threshold; nothing about calibration."""
    per_source: PerSourceWhole = {}
    for source, (codes, labels) in zip(part.sources, _read(part), strict=True):
        dark = codes < threshold.code
        (sums,) = measure_overlap((~dark if threshold.bright else dark)[None], labels[None])
        per_source[source] = per_source.get(source, SegmentationSums()) + SegmentationSums(sums)
    return per_source


def _read(part: Part) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield grey codes of 8 bits, the mean over the channels, and label [H, W] of each image."""
    for place in range(len(part)):
        batch = part.batch(np.array([place])).to(torch.device("cpu"))
        yield (batch.image_BCHW[0].mean(dim=0) * (CODES - 1)).round().long(), batch.label_BHW[0]
