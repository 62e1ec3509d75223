"""Asking a teacher about a whole part: no gradient, batches in order, what it says on one scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from torch import Tensor

from pkgs.data.items import IGNORE
from pkgs.data.samples import Batch, Part
from pkgs.ensemble.evaluation import judging
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.loss import seen_of
from pkgs.losses.error_map import LARGEST, error_share
from pkgs.models.error_teacher import ErrorPrediction, ErrorTeacher

MaskOf = Callable[[Batch], Tensor]
"""From samples on the device to their masks, probabilities [B, 1, H, W]."""
EDGE = 1e-6


class Answer(NamedTuple):
    """What a teacher says of one batch of masks, and the truth; on the CPU, pixels in rows [B, N]."""

    places: list[int]
    mask: Tensor
    """p."""
    logit: Tensor
    """Of the predicted share."""
    share: Tensor
    """t, the real share."""
    wrong: Tensor
    """Whether 1[p >= .5] is not the label."""
    seen: Tensor


def answers(  # noqa: PLR0913 - all by name
    teacher: ErrorTeacher,
    part: Part,
    masks: Mapping[str, MaskOf],
    *,
    batch: int,
    check: Callable[[], None],
    compat: CompatConfig,
) -> Iterator[tuple[str, Answer]]:
    """Yield the answers about each kind of mask, batch by batch; `check` is called before each batch."""
    device = teacher.slope.device
    with judging(teacher):
        for start in range(0, len(part), batch):
            check()
            places = np.arange(start, min(start + batch, len(part)))
            samples = part.batch(places).to(device)
            for kind, mask_of in masks.items():
                mask = mask_of(samples).detach().float()
                yield kind, _answer(teacher, samples, mask, places=places.tolist(), compat=compat)


def _answer(
    teacher: ErrorTeacher, samples: Batch, mask: Tensor, *, places: list[int], compat: CompatConfig
) -> Answer:
    label = samples.label_BHW
    shown = mask.logit(eps=EDGE) if compat.logits_to_teacher else mask
    prediction = teacher(samples.image_BCHW, seen_of(shown, label))
    share = error_share(mask, label)
    wrong = (mask[:, 0] >= 0.5) != (label == 1)
    pixels = (mask, predicted_logit(prediction, compat=compat), share, wrong, label != IGNORE)
    return Answer(places, *(each.flatten(1).cpu() for each in pixels))


def predicted_logit(prediction: ErrorPrediction, *, compat: CompatConfig) -> Tensor:
    """Return the logit of r [B, 1, H, W]; of a teacher of one raw number in nats, that for every pixel."""
    if not compat.score_100:
        return prediction.logits_B1HW.float()
    share_B = (prediction.image_logits_B.float() / LARGEST).clamp(EDGE, 1 - EDGE)
    return share_B.logit().view(-1, 1, 1, 1).expand_as(prediction.logits_B1HW)
