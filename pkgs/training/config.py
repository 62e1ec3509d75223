"""Settings of optimiser, schedule and loop."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pkgs.foundation.config import Section
from pkgs.training.durations import Duration


class OptimiserConfig(Section):
    """How gradients become steps."""

    name: Literal["radam", "adam", "sgd"] = "radam"
    lr: float = Field(default=1e-3, gt=0)
    """Learning rate at the start."""

    weight_decay: float = Field(default=0.0, ge=0)


class ScheduleConfig(Section):
    """The learning rate as a function of the step, and of nothing else."""

    name: Literal["constant", "cosine", "multistep"] = "constant"
    final_lr: float = Field(default=1e-5, ge=0)
    """Where `cosine` ends."""

    milestones: tuple[str, ...] = ()
    """When `multistep` multiplies by `factor`, for instance `["25 epochs", "50 epochs"]`."""

    factor: float = Field(default=0.1, gt=0)

    @model_validator(mode="after")
    def _milestones_are_durations(self) -> Self:
        for text in self.milestones:
            Duration.parse(text)
        if (self.name == "multistep") != bool(self.milestones):
            raise ValueError("milestones belong to `multistep`, which needs at least one")
        return self


class TrainingConfig(Section):
    """How long, how much at once, how fast."""

    length: str = "100 epochs"
    """`300 steps` or `100 epochs`."""

    batch_samples: int = Field(default=16, ge=1)
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Number format of the network's forward pass; losses and metrics stay in fp32."""

    validate_every: str = "1 epochs"
    """When val is measured, `best` is chosen and `last` is saved. The last step is always due."""

    log_every: str = "10 steps"
    """How often a line goes to train.csv; losses are averaged in between."""

    threads: int = Field(default=0, ge=0)
    """CPU threads of torch; 0: as the environment says (OMP_NUM_THREADS)."""

    @model_validator(mode="after")
    def _durations_can_be_read(self) -> Self:
        for text in (self.length, self.validate_every, self.log_every):
            Duration.parse(text)
        return self
