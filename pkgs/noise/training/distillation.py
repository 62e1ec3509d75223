r"""What a student is taught by a frozen network, and what it learns from labels, as one loss.

    w D(x) + (1 - w) L(z_S, y),    D(x) = mean (F_S - sg(F_T))² [+ T² KL(teacher || student) per pixel]

F are the deepest features, z logits. Each image enters D by what it weighs in L, its seen pixels or 1:
so micro-batches, replicas and processes add up exactly, and without ignored pixels that is the plain mean.
"""

from __future__ import annotations

from typing import NamedTuple, Self, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pkgs.losses.distillation import soft_kl_map, two_classes
from pkgs.losses.loss_sum import IGNORE, check_equal
from pkgs.models.output import Output
from pkgs.noise.config import DistillationConfig, LossConfig
from pkgs.noise.training.losses import LabelLoss, weights_of
from pkgs.training.replicas import in_float32


class TaughtSums(NamedTuple):
    """The loss of a batch and its two terms, as sums of the same weight, each of shape [1]."""

    total: Tensor
    weight: Tensor
    label: Tensor
    """L, without 1 - w."""
    taught: Tensor
    """D, without w."""


@final
class Frozen(nn.Module):
    """A network that stays as it is, whoever trains what holds it: in evaluation mode, without gradient."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(requires_grad=False).eval()

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's signature
        """Stay in evaluation mode: no step may touch the statistics of its norms."""
        del mode
        return super().train(False)  # noqa: FBT003 - torch's own

    def forward(self, image_BCHW: Tensor) -> Output:
        with torch.no_grad():
            output: Output = self.network(image_BCHW)
        return output


@final
class TaughtLoss(nn.Module):
    """Student, teacher and loss; the whole of what runs on one device.

    Args:
        student: Trained.
        teacher: Of features of the same shape; None: the labels are all there is.
        label_loss: L.
        loss: Which one that is: it says what an image weighs.
        config: w, normalisation, T.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: Frozen | None,
        *,
        label_loss: LabelLoss,
        loss: LossConfig,
        config: DistillationConfig,
    ) -> None:
        super().__init__()
        self.student, self.teacher, self.label_loss, self.loss, self.config = (
            student, teacher, label_loss, loss, config,
        )  # fmt: skip

    def forward(self, image_BCHW: Tensor, label_BHW: Tensor) -> TaughtSums:
        mine: Output = in_float32(self.student(image_BCHW))
        own = self.label_loss(mine.logits, label_BHW)
        if self.teacher is None:
            return TaughtSums(
                *(v.reshape(1) for v in (own.total, own.weight, own.total, own.total.new_zeros(())))
            )
        theirs: Output = in_float32(self.teacher(image_BCHW))
        distance_B = feature_distance(mine.features, theirs.features, normalise=self.config.normalise)
        if self.config.temperature:
            distance_B = distance_B + logit_distance(
                mine.logits, theirs.logits, label_BHW, temperature=self.config.temperature
            )
        taught = (distance_B * weights_of(label_BHW, self.loss)).sum()
        share = self.config.weight
        total = share * taught + (1 - share) * own.total
        return TaughtSums(*(v.reshape(1) for v in (total, own.weight, own.total, taught)))


def feature_distance(student: Tensor | None, teacher: Tensor | None, *, normalise: str) -> Tensor:
    r"""Return [B], the squared distance of features [B, C, *space] per image.

        none:     mean over all elements of (F_S - F_T)²
        channel:  mean over places of  2 - 2 cos(F_S, F_T),  angles over the channels; 0 ... 4

    Args:
        student: Receives the gradient.
        teacher: Taken as a constant.
        normalise: `none` or `channel`.

    Raises:
        ValueError: If a network has no features, or the shapes differ.

    Source: Romero et al. 2015, arXiv:1412.6550, equation 3, without a regressor.
    """
    if student is None or teacher is None:
        raise ValueError("A network without features cannot be distilled; choose one that hands them out.")
    check_equal(student, teacher, names=("Student's features", "teacher's features"))
    theirs = teacher.detach()
    if normalise == "channel":
        unit = F.normalize(student, dim=1) - F.normalize(theirs, dim=1)
        return unit.square().sum(dim=1).flatten(1).mean(dim=1)
    return (student - theirs).square().flatten(1).mean(dim=1)


def logit_distance(
    student_B1HW: Tensor, teacher_B1HW: Tensor, label_BHW: Tensor, *, temperature: float
) -> Tensor:
    """Return [B], the mean divergence T² KL(teacher || student) over the seen pixels of each image.

    Args:
        student_B1HW: Logits. Receives the gradient.
        teacher_B1HW: Logits, taken as constants.
        label_BHW: Only says which pixels are ignored.
        temperature: T, above 0.
    """
    soft = torch.softmax(two_classes(teacher_B1HW.detach()), dim=1)
    each_BHW = soft_kl_map(two_classes(student_B1HW), soft, temperature=temperature)
    seen_BHW = label_BHW != IGNORE
    pixels_B = seen_BHW.flatten(1).sum(dim=1).clamp(min=1)
    return torch.where(seen_BHW, each_BHW, 0).flatten(1).sum(dim=1) / pixels_B
