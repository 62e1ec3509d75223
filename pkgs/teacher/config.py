"""Everything that decides about a run of `python -m pkgs.teacher`. Loads no torch."""

from __future__ import annotations

from pkgs.data.config import AugmentConfig, DataConfig
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.config import TeacherConfig
from pkgs.foundation.config import Section
from pkgs.training.config import BestConfig, TrainingConfig
from pkgs.training.trackers.config import TrackerConfig


class PretrainingConfig(Section):
    """A teacher on falsified masks of labelled images."""

    preset: str = ""
    """Which preset the settings are, for the report: `demo`, `readme`."""

    data: DataConfig
    teacher: TeacherConfig = TeacherConfig()
    augment: AugmentConfig = AugmentConfig()
    training: TrainingConfig = TrainingConfig(best=BestConfig(metric="teacher_loss"))
    compat: CompatConfig = CompatConfig()
    trackers: TrackerConfig = TrackerConfig()
