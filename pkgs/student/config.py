"""Everything that decides about a run of `python -m pkgs.student`. Loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from pkgs.data.config import AugmentConfig, DataConfig, PoolConfig
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.config import TeacherLossConfig
from pkgs.foundation.config import Section
from pkgs.models.config import ModelConfig, TeacherModelConfig
from pkgs.student.expansion_config import ExpansionConfig
from pkgs.student.teacher_runs import teacher_runs
from pkgs.training.config import OptimiserConfig, ScheduleConfig, TrainingConfig
from pkgs.training.starting_point import StartingPoint
from pkgs.training.trackers.config import TrackerConfig

SWIN_SIDE_PX = 32
"""SwinUNETR halves the image five times, and needs two elements at the bottom."""

MethodName = Literal["supervised", "joint", "split", "expansion", "alternating"]


WITH_POOL: Final = ("expansion", "alternating")
"""Methods that see unlabelled images."""


class TargetConfig(Section):
    """What the student's loss takes for the truth."""

    corrupt: float = Field(default=0.0, ge=0, le=1)
    """Chance that a training mask is falsified by the published set before the loss sees it; 0.13 is
    `gt_augment`."""


class PartnerConfig(TeacherLossConfig):
    """The error teacher that learns beside the student."""

    model: TeacherModelConfig = TeacherModelConfig()

    carry: float = Field(default=0.1, ge=0, le=1)
    """c in p_c = sg(p) + c (p - sg(p)): how much of "be predictable" reaches the student in `joint`; 1 is the
    published form, 0 none."""

    optimiser: OptimiserConfig = OptimiserConfig()
    """Of `split`, whose teacher has one of its own; `joint` has one optimiser, `training.optimiser`."""

    schedule: ScheduleConfig = ScheduleConfig()
    """Of `split`, likewise."""

    start: str = ""
    """Run folder of the pretrained teacher: `{root}/ke/teacher_pretrained/seed_{seed}`; empty: a new one."""


class JudgeConfig(Section):
    """On which masks besides its own student's a teacher is judged."""

    baseline: str = ""
    """Run folder of the baseline of the seed: `{root}/ke/student_baseline/seed_{seed}`. Left out, and said,
    where it has not finished."""


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
    pool: PoolConfig | None = None
    """The unlabelled images, for `expansion` and `alternating`."""
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    target: TargetConfig = TargetConfig()
    teacher: PartnerConfig = PartnerConfig()
    expansion: ExpansionConfig = ExpansionConfig()
    training: TrainingConfig = TrainingConfig()
    output: OutputConfig = OutputConfig()
    judge: JudgeConfig = JudgeConfig()
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
        if self.method in WITH_POOL:
            return self._starting_points_of_expansion()
        return {}

    def _starting_points_of_expansion(self) -> dict[str, StartingPoint]:
        runs = teacher_runs(self.expansion.teachers)
        names = ["teacher"] if len(runs) == 1 else [f"teacher_{run.name}" for run in runs]
        if len(set(names)) < len(names):
            names = [f"teacher_{run}" for run in runs]
        points = {name: StartingPoint(run, "teacher") for name, run in zip(names, runs, strict=True)}
        if self.expansion.start:
            points = {"student": StartingPoint(Path(self.expansion.start), "student"), **points}
        return points

    @model_validator(mode="after")
    def _size_fits_the_network(self) -> Self:
        side = self.data.size_px
        if self.model.name == "swin_unetr" and (side % SWIN_SIDE_PX or side < 2 * SWIN_SIDE_PX):
            raise ValueError(f"data.size_px is {side}; swin_unetr needs a multiple of 32, at least 64")
        return self

    @model_validator(mode="after")
    def _unlabelled_images_have_a_pool_and_teachers(self) -> Self:
        if self.method not in WITH_POOL:
            return self
        if self.pool is None:
            raise ValueError(f"method {self.method} needs unlabelled images: give pool.root")
        if not self.expansion.teachers:
            raise ValueError(f"method {self.method} needs teachers: name run folders in expansion.teachers")
        if self.training.ema_decay:
            raise ValueError(
                f"method {self.method} has a moving average of its own: leave training.ema_decay at 0 and "
                "set expansion.ema_decay"
            )
        return self
