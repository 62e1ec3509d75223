"""Student and teacher learn by turns, with an optimiser each: nothing flows back.

    step 1, student:  s                                                p is computed anew after it
    step 2, teacher:  w L_T(x, sg(p), y) + (1 - w) L_T(x, y, y)

Step 1 is that of `supervised` to the last bit, and so is the student. p is that of the student after its
update: step 2 then depends on weights and batch alone, and can be replayed by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from pkgs.errormap.loss import MixedLoss, MixedSums, shown_mask
from pkgs.student.method import Common
from pkgs.student.step import Shown
from pkgs.student.with_teacher import WithTeacher
from pkgs.training.method import StepLoss, TrainedPart
from pkgs.training.replicas import in_float32, spread


@final
class TeacherStep(nn.Module):
    """The teacher's half of a step; what runs on one device. The student is only asked."""

    def __init__(self, student: nn.Module, mixed: MixedLoss) -> None:
        super().__init__()
        self.student, self.mixed = student, mixed

    def forward(self, image_BCHW: Tensor, label_BHW: Tensor) -> MixedSums:
        with torch.no_grad():
            logits_B1HW: Tensor = in_float32(self.student(image_BCHW))
        shown = shown_mask(logits_B1HW, compat=self.mixed.loss.compat)
        sums: MixedSums = self.mixed(image_BCHW, torch.sigmoid(logits_B1HW), label_BHW, shown)
        return sums


@final
class Split(WithTeacher):
    """The method `split`."""

    def __init__(self, common: Common) -> None:
        super().__init__(common)
        self.step = spread(TeacherStep(self.logits, self.mixed), ranks=self.ranks)

    @property
    def parts(self) -> Sequence[TrainedPart[Shown]]:
        teacher = self.config.teacher
        return [
            *self.student.parts,
            TrainedPart("teacher", ("teacher",), teacher.optimiser, teacher.schedule, self.loss_of_teacher),
        ]

    @property
    def train_columns(self) -> Sequence[str]:
        return (*super().train_columns, "loss_teacher", "lr_teacher", "grad_norm_teacher")

    def loss_of_teacher(self, batch: Shown) -> StepLoss:
        sums = self.step(batch.samples.image_BCHW, batch.samples.label_BHW)
        scalars = {"teacher_pred": (sums.predicted, sums.weight), "teacher_gt": (sums.true, sums.weight)}
        return StepLoss(sums.total, sums.weight, scalars)


def build(common: Common) -> Split:
    """Return the method `split`."""
    return Split(common)
