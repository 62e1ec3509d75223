"""How far a teacher is off on falsified masks and on true ones.

Both kinds count as in training: on true masks alone a teacher that always says 0 is perfect (D13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass

import numpy as np
import torch
from torch import Tensor

from pkgs.data.items import IGNORE
from pkgs.data.samples import Part
from pkgs.ensemble.evaluation import judging
from pkgs.errormap.asking import MaskOf, predicted_logit
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.config import TeacherLossConfig
from pkgs.errormap.loss import TeacherLoss, seen_of, true_mask
from pkgs.losses.error_map import error_share, image_share, share_bce_sum
from pkgs.models.error_teacher import ErrorPrediction, ErrorTeacher
from pkgs.teacher.columns import KINDS, MEASURED


@dataclass(frozen=True, slots=True)
class Off:
    """Sums over the seen pixels of some images and one kind of mask."""

    loss: float = 0.0
    bce: float = 0.0
    image: float = 0.0
    """Of the image term: each image counts by its pixels."""
    pixels: float = 0.0
    images: int = 0

    def __add__(self, other: Off) -> Off:
        return Off(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


BySource = dict[str, dict[str, Off]]
"""By source, then by kind of mask."""


def measured(  # noqa: PLR0913 - all by name
    teacher: ErrorTeacher,
    part: Part,
    *,
    corrupted: MaskOf,
    config: TeacherLossConfig,
    compat: CompatConfig,
    batch: int,
    check: Callable[[], None],
) -> BySource:
    """Return the sums of every source of `part`; `check` is called before each batch."""
    masks: dict[str, MaskOf] = dict(zip(KINDS, (corrupted, lambda s: true_mask(s.label_BHW)), strict=True))
    loss, sources = TeacherLoss(config, compat), part.sources
    found: BySource = {}
    with judging(teacher):
        for start in range(0, len(part), batch):
            check()
            places = np.arange(start, min(start + batch, len(part)))
            samples = part.batch(places).to(teacher.slope.device)
            label = samples.label_BHW
            for kind, mask_of in masks.items():
                mask = mask_of(samples)
                prediction = teacher(samples.image_BCHW, seen_of(mask, label))
                for place, off in zip(places.tolist(), _each(loss, prediction, mask, label), strict=True):
                    of_source = found.setdefault(sources[place], {})
                    of_source[kind] = of_source.get(kind, Off()) + off
    return found


def merged(shares: Iterable[BySource]) -> BySource:
    """Return the sums of every source over all shares."""
    whole: BySource = {}
    for share in shares:
        for source, kinds in share.items():
            mine = whole.setdefault(source, {})
            for kind, off in kinds.items():
                mine[kind] = mine.get(kind, Off()) + off
    return whole


def pooled(found: BySource) -> Mapping[str, Off]:
    """Return the sums over all sources."""
    return merged({"": kinds} for kinds in found.values()).get("", {})


def scores(kinds: Mapping[str, Off], *, config: TeacherLossConfig, compat: CompatConfig) -> dict[str, float]:
    """Return the columns of val.csv: both kinds together by their weight in training, then each for itself.

    Under `compat.gt_only_validation` together means true masks alone.
    """
    of_corrupted = 0.0 if compat.gt_only_validation else config.weight
    means = {
        kind: {name: getattr(off, field) / max(off.pixels, 1.0) for name, field in _FIELDS.items()}
        for kind, off in kinds.items()
    }
    both = {
        name: of_corrupted * means["corrupted"][name] + (1 - of_corrupted) * means["true"][name]
        for name in _FIELDS
    }
    return both | {f"{name}_{kind}": means[kind][name] for kind in KINDS for name in MEASURED}


_FIELDS = {"teacher_loss": "loss", "teacher_map_bce": "bce", "teacher_image_mae": "image"}


def _each(loss: TeacherLoss, prediction: ErrorPrediction, mask: Tensor, label: Tensor) -> Iterator[Off]:
    """Yield the sums of each image of a batch."""
    logits = predicted_logit(prediction, compat=loss.compat)
    share, seen = error_share(mask, label), (label != IGNORE).unsqueeze(1)
    image_B = (torch.sigmoid(prediction.image_logits_B) - image_share(share, seen_B1=seen)).abs()
    for k in range(len(mask)):
        one = slice(k, k + 1)
        total, pixels = loss(ErrorPrediction(*(v[one] for v in prediction)), mask[one], label[one])
        bce = share_bce_sum(logits[one], share[one], seen_B1=seen[one]).total
        yield Off(float(total), float(bce), float(image_B[k] * pixels), float(pixels), 1)
