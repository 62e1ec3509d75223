"""Everything that decides about a run of `python -m pkgs.student`. Loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pkgs.data.config import AugmentConfig, DataConfig
from pkgs.errormap.compat import CompatConfig
from pkgs.foundation.config import Section
from pkgs.models.config import ModelConfig, TeacherModelConfig
from pkgs.training.config import TrainingConfig
from pkgs.training.starting_point import StartingPoint
from pkgs.training.trackers.config import TrackerConfig

SWIN_SIDE_PX = 32
"""SwinUNETR halves the image five times, and needs two elements at the bottom."""

MethodName = Literal["supervised", "joint", "split", "expansion", "alternating"]


class TargetConfig(Section):
    """What the student's loss takes for the truth."""

    corrupt: float = Field(default=0.0, ge=0, le=1)
    """Chance that a training mask is falsified by the published set before the loss sees it; 0.13 is
    `gt_augment`."""


class TeacherConfig(Section):
    """The error teacher that learns beside the student."""

    model: TeacherModelConfig = TeacherModelConfig()

    start: str = ""
    """Run folder of the pretrained teacher: `{root}/ke/teacher_pretrained/seed_{seed}`; empty: a new one."""


class OutputConfig(Section):
    """What is kept besides tables and weights."""

    samples: int = Field(default=6, ge=0)
    """Test images whose prediction is stored for overlays; the same ones in all conditions and seeds."""


class StudentConfig(Section):
    """A student, alone on labelled images or with teachers."""

    method: MethodName = "supervised"
    """What is trained on what; `pkgs.student.catalog` has the modules."""

    preset: str = ""
    """Name of the preset that the file extends, for the report."""

    data: DataConfig
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    target: TargetConfig = TargetConfig()
    teacher: TeacherConfig = TeacherConfig()
    training: TrainingConfig = TrainingConfig()
    output: OutputConfig = OutputConfig()
    trackers: TrackerConfig = TrackerConfig()
    compat: CompatConfig = CompatConfig()

    @property
    def starting_points(self) -> dict[str, StartingPoint]:
        """The checkpoints that the run begins with, by their name in provenance.json.

        Raises:
            ValueError: If there is none where at least one is needed.
        """
        if self.method in {"joint", "split"} and self.teacher.start:
            return {"teacher": StartingPoint(Path(self.teacher.start), "teacher")}
        return {}

    @model_validator(mode="after")
    def _size_fits_the_network(self) -> Self:
        side = self.data.size_px
        if self.model.name == "swin_unetr" and (side % SWIN_SIDE_PX or side < 2 * SWIN_SIDE_PX):
            raise ValueError(f"data.size_px is {side}; swin_unetr needs a multiple of 32, at least 64")
        return self
