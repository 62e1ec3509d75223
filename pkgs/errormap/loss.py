"""What an error teacher minimises, on masks that may be wrong and on true ones.

    L_T(x, m, y) = mean_pixels BCE(r, t) + v mean_images |sigmoid(q) - mean_pixels t|,  t = l(m, y) / l_max

v is 1 unless `image_weight` says otherwise. Each image of the second mean counts by its seen pixels: one
weight for both, so that micro-batches, replicas and processes add up exactly. For hard masks
t = t0 + (1 - t0) 1[m != y], so that `error_chance(r)` is the chance that a pixel is wrong. The defects of
`compat` change target and form here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, final

import torch
from torch import Tensor, nn

from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.config import TeacherLossConfig
from pkgs.losses.error_map import (
    error_share,
    image_nats,
    image_share,
    share_bce_map,
    share_huber_map,
    share_mae_map,
)
from pkgs.losses.loss_sum import IGNORE, LossSum, check_equal, summed
from pkgs.models.error_teacher import ErrorPrediction

__all__ = ["MixedLoss", "MixedSums", "TeacherLoss", "TeacherLossConfig", "shown_mask", "true_mask"]

MAP_LOSSES: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "bce": share_bce_map,
    "mae": share_mae_map,
    "huber": share_huber_map,
}


@final
class TeacherLoss:
    """L_T of predictions, as a sum and its weight.

    Under `compat.score_100` the teacher is one raw number q per image, and its target the mean cross-entropy
    of the mask in nats with logarithms cut at -100: 100 x the share of wrong pixels where masks are hard.

    Args:
        config: Its map loss and the image's weight; `weight` is applied by `MixedLoss`.
        compat: Defects to repeat: `score_100`, `broadcast`, `batch_mean_target`, `undetached_target`.
    """

    def __init__(self, config: TeacherLossConfig, compat: CompatConfig) -> None:
        self.config, self.compat = config, compat

    def __call__(self, prediction: ErrorPrediction, mask_B1HW: Tensor, label_BHW: Tensor) -> LossSum:
        """Return the sum over the seen pixels and their number; the mean is their ratio.

        Args:
            prediction: The teacher's on the mask. Receives the gradient.
            mask_B1HW: m, probabilities within [0, 1], for the target. Cut off from the gradient, unless
                `compat.undetached_target`.
            label_BHW: y, 0, 1 or IGNORE.

        Raises:
            ValueError: If shapes or values do not belong together.
        """
        mask = mask_B1HW if self.compat.undetached_target else mask_B1HW.detach()
        seen_B1HW = (label_BHW != IGNORE).unsqueeze(1)
        pixels_B = seen_B1HW.flatten(1).sum(dim=1).to(prediction.image_logits_B.dtype)
        if self.compat.score_100:
            target_B = self._of_batch(image_nats(mask, label_BHW), pixels_B)
            return self._image_sum(prediction.image_logits_B, target_B, pixels_B)
        share_B1HW = error_share(mask, label_BHW)
        target_B = self._of_batch(image_share(share_B1HW, seen_B1=seen_B1HW), pixels_B)
        if self.compat.batch_mean_target:
            share_B1HW = target_B.view(-1, 1, 1, 1).expand_as(share_B1HW)
        each_B1HW = MAP_LOSSES[self.config.map_loss](prediction.logits_B1HW, share_B1HW)
        of_map = summed(each_B1HW, seen_B1HW)
        if self.config.image_weight == 0:
            return of_map
        of_image = self._image_sum(torch.sigmoid(prediction.image_logits_B), target_B, pixels_B)
        return LossSum(of_map.total + self.config.image_weight * of_image.total, of_map.weight)

    def _of_batch(self, target_B: Tensor, pixels_B: Tensor) -> Tensor:
        """Return the target of each image; under D12 the mean of the batch for all."""
        if not self.compat.batch_mean_target:
            return target_B
        return ((target_B * pixels_B).sum() / pixels_B.sum().clamp(min=1)).expand_as(target_B)

    def _image_sum(self, predicted_B: Tensor, target_B: Tensor, pixels_B: Tensor) -> LossSum:
        """Return the distances of the images, each times its pixels."""
        if self.compat.broadcast:  # each prediction against the targets of all images: their median wins
            distance_B = (predicted_B[:, None] - target_B).abs().mean(dim=0)
        else:
            check_equal(predicted_B, target_B, names=("Predictions", "targets"))
            distance_B = (predicted_B - target_B).abs()
        return LossSum((distance_B * pixels_B).sum(), pixels_B.sum())


class MixedSums(NamedTuple):
    """w L_T(x, m, y) + (1 - w) L_T(x, y, y) of a batch, and both parts, as sums of the same weight."""

    total: Tensor
    weight: Tensor
    predicted: Tensor
    """L_T on the masks that may be wrong, without w."""
    true: Tensor
    """L_T on the true masks, without 1 - w."""


@final
class MixedLoss(nn.Module):
    """A teacher and its loss on both kinds of masks; the whole of what runs on one device.

    Args:
        teacher: Trained, or only asked.
        config: Weight and map loss.
        compat: Defects to repeat.
        both: Whether true masks are asked about. Without, L is L_T(x, m, y), and some of the masks m that
            come are true ones.
    """

    def __init__(
        self, teacher: nn.Module, config: TeacherLossConfig, compat: CompatConfig, *, both: bool = True
    ) -> None:
        super().__init__()
        self.teacher, self.share, self.both = teacher, config.weight, both
        self.loss = TeacherLoss(config, compat)

    def forward(
        self, image_BCHW: Tensor, mask_B1HW: Tensor, label_BHW: Tensor, shown_B1HW: Tensor | None = None
    ) -> MixedSums:
        """Return the sums of a batch, in float32, each of shape [1] as DataParallel wants them.

        Args:
            image_BCHW: x.
            mask_B1HW: m, probabilities, for the target; under D4 its gradient flows.
            label_BHW: y, 0, 1 or IGNORE.
            shown_B1HW: What the teacher sees in place of m, such as `p_c`, or logits under D3; its gradient
                flows. None: m.
        """
        shown = mask_B1HW if shown_B1HW is None else shown_B1HW
        if not self.both:
            told = ErrorPrediction(*(t.float() for t in self.teacher(image_BCHW, seen_of(shown, label_BHW))))
            total, weight = (v.reshape(1) for v in self.loss(told, mask_B1HW.float(), label_BHW))
            return MixedSums(total, weight, total, torch.zeros_like(total))
        true = true_mask(label_BHW)
        both: ErrorPrediction = self.teacher(
            torch.cat([image_BCHW, image_BCHW]), torch.cat([seen_of(shown, label_BHW), true.to(shown.dtype)])
        )
        mine, theirs = (
            ErrorPrediction(*pair) for pair in zip(*(t.float().chunk(2) for t in both), strict=True)
        )
        predicted = self.loss(mine, mask_B1HW.float(), label_BHW)
        sure = self.loss(theirs, true, label_BHW)
        total = self.share * predicted.total + (1 - self.share) * sure.total
        return MixedSums(*(v.reshape(1) for v in (total, predicted.weight, predicted.total, sure.total)))


def shown_mask(logits_B1HW: Tensor, *, compat: CompatConfig) -> Tensor:
    """Return what a teacher sees of a student: probabilities; raw logits under D3."""
    return logits_B1HW if compat.logits_to_teacher else torch.sigmoid(logits_B1HW)


def true_mask(label_BHW: Tensor) -> Tensor:
    """Return the label as a mask [B, 1, H, W], float32; 0 where it is ignored."""
    return (label_BHW == 1).unsqueeze(1).float()


def seen_of(mask_B1HW: Tensor, label_BHW: Tensor) -> Tensor:
    """Return the mask with 0 where the label is ignored: what a teacher sees there says nothing."""
    return torch.where((label_BHW != IGNORE).unsqueeze(1), mask_B1HW, 0)
