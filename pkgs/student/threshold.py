"""What no network is needed for: one grey value as threshold, chosen on train, judged on test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from pkgs.data.items import IGNORE
from pkgs.data.samples import Part
from pkgs.student.evaluation import PerSource
from pkgs.training.metrics import PixelSums, measure_overlap

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
    codes, seen = _codes(part.images_NHW), part.labels_NHW != IGNORE
    inside = part.labels_NHW == 1
    object_counts = torch.bincount(codes[inside & seen].flatten(), minlength=CODES)
    every_count = torch.bincount(codes[seen].flatten(), minlength=CODES)
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


def judge(threshold: Threshold, part: Part) -> PerSource:
    """Return the sums of every source of `part` under the threshold; nothing about calibration."""
    dark = _codes(part.images_NHW) < threshold.code
    per_source: PerSource = {}
    sums = measure_overlap(~dark if threshold.bright else dark, part.labels_NHW)
    for source, image in zip(part.sources, sums, strict=True):
        per_source[source] = per_source.get(source, PixelSums()) + image
    return per_source


def _codes(images: Tensor) -> Tensor:
    return images.long() if images.dtype == torch.uint8 else (images * (CODES - 1)).round().long()
