"""Everything that decides about a run of `python -m pkgs.teacher`. Loads no torch."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from pkgs.data.config import AugmentConfig, DataConfig
from pkgs.ensemble.apply_config import ApplyConfig
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.config import FalsifyingConfig, TeacherConfig
from pkgs.foundation.config import Section
from pkgs.training.config import BestConfig, TrainingConfig
from pkgs.training.trackers.config import TrackerConfig


class PretrainingConfig(Section):
    """A teacher on falsified masks of labelled images."""

    preset: str = ""
    """Which preset the settings are, for the report: `demo`, `readme`."""

    data: DataConfig
    falsify: FalsifyingConfig = FalsifyingConfig()
    """What is done to true masks. `objects` draws which stay true, so `teacher.weight` must be 1 there."""

    teacher: TeacherConfig = TeacherConfig()
    augment: AugmentConfig = AugmentConfig()
    training: TrainingConfig = TrainingConfig(best=BestConfig(metric="teacher_loss"))
    recalibrate: bool = False
    """Fit a, b of r = sigmoid(a u + b) on val after the training, on as many falsified masks as true ones.
    Only where val's labels are right: on wrong ones the fit unlearns to find what is wrong with them."""

    apply: ApplyConfig | None = None
    """Ask it about given labels; empty: about none."""

    compat: CompatConfig = CompatConfig()
    trackers: TrackerConfig = TrackerConfig()

    @model_validator(mode="after")
    def _what_belongs_together(self) -> Self:
        compat, applied = self.compat, self.apply
        if self.falsify.kind == "objects" and compat.rare_corruption:
            raise ValueError("compat.rare_corruption is a set of its own; choose falsify.kind: sound")
        if self.falsify.kind == "objects" and self.teacher.weight != 1:
            raise ValueError(
                f"teacher.weight is {self.teacher.weight:g}; with falsify.kind: objects the share of wrong "
                "masks is falsify.p, so write teacher.weight: 1"
            )
        if self.augment.kind == "aerial" and compat.reference_augment:
            raise ValueError("compat.reference_augment has no aerial form; choose augment.kind: sections")
        if compat.score_100 and (self.recalibrate or applied):
            raise ValueError("a teacher of compat.score_100 has no map; leave out apply and recalibrate")
        if applied and applied.data and applied.data.size_px != self.data.size_px:
            raise ValueError(
                f"apply.data.size_px is {applied.data.size_px}, data.size_px {self.data.size_px}; "
                "the teacher knows one size, choose the same"
            )
        return self
