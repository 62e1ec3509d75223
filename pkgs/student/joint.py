"""Student and teacher learn together, under one optimiser.

    L = s + w L_T(x, p_c, y) + (1 - w) L_T(x, y, y),    p_c = sg(p) + c (p - sg(p))

p_c has the value of p and c times its gradient: the published "be predictable" signal to the student, which
the ground truth must outweigh. The targets are detached. Source: knowledge expansion, section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from pkgs.errormap.loss import MixedLoss, shown_mask
from pkgs.losses.segmentation import bce_sum
from pkgs.student.method import Common
from pkgs.student.step import Shown
from pkgs.student.with_teacher import WithTeacher
from pkgs.training.method import StepLoss, TrainedPart
from pkgs.training.replicas import in_float32, spread


@final
class JointStep(nn.Module):
    """Both networks and the whole loss; what runs on one device.

    Returns the sums of the student's loss, of the mixed teacher's, and of L_T on the student's masks and on
    the true ones, then their common weight, the seen pixels; [1] each.
    """

    def __init__(self, student: nn.Module, mixed: MixedLoss, *, carry: float) -> None:
        super().__init__()
        self.student, self.mixed, self.carry = student, mixed, carry

    def forward(self, image_BCHW: Tensor, label_BHW: Tensor) -> tuple[Tensor, ...]:
        logits_B1HW: Tensor = in_float32(self.student(image_BCHW))
        s = bce_sum(logits_B1HW, label_BHW)
        shown = carried(shown_mask(logits_B1HW, compat=self.mixed.loss.compat), share=self.carry)
        of_teacher = self.mixed(image_BCHW, torch.sigmoid(logits_B1HW), label_BHW, shown)
        return (
            s.total.reshape(1),
            of_teacher.total,
            of_teacher.predicted,
            of_teacher.true,
            of_teacher.weight,
        )


def carried(mask: Tensor, *, share: float) -> Tensor:
    """Return the mask with `share` times its gradient."""
    fixed = mask.detach()
    return fixed + share * (mask - fixed)


@final
class Joint(WithTeacher):
    """The method `joint`."""

    def __init__(self, common: Common) -> None:
        super().__init__(common)
        step = JointStep(self.logits, self.mixed, carry=self.config.teacher.carry)
        self.step = spread(step, ranks=self.ranks)

    @property
    def parts(self) -> Sequence[TrainedPart[Shown]]:
        training = self.config.training
        both = ("student", "teacher")
        return [TrainedPart("joint", both, training.optimiser, training.schedule, self.loss)]

    def loss(self, batch: Shown) -> StepLoss:
        s, of_teacher, predicted, true, weight = self.step(batch.samples.image_BCHW, batch.samples.label_BHW)
        scalars = {"s": (s, weight), "teacher_pred": (predicted, weight), "teacher_gt": (true, weight)}
        return StepLoss(s + of_teacher, weight, scalars)


def build(common: Common) -> Joint:
    """Return the method `joint`."""
    return Joint(common)
