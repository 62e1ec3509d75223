"""Settings of optimiser, schedule and loop."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pkgs.foundation.config import Section
from pkgs.training.durations import Duration


class OptimiserConfig(Section):
    """How gradients become steps."""

    name: Literal["radam", "adam", "adamw", "sgd", "lars"] = "radam"
    lr: float = Field(default=1e-3, gt=0)
    """Learning rate at the start; `pkgs.training.optimisers.sqrt_rule_lr` gives one for large batches."""

    weight_decay: float = Field(default=0.0, ge=0)
    """Added to the gradient as `weight_decay * w`; `adamw` shrinks the weight by `lr * weight_decay * w`."""

    decay_norm_and_bias: bool = True
    """Whether biases, norm parameters and scalars decay as well: all that has at most one axis, or is named
    `bias`. False leaves them out, as is usual for `adamw`. `lars` always leaves them out."""

    momentum: float | None = Field(default=None, ge=0, lt=1)
    """For `sgd` and `lars`. None: 0.9 for `lars`, 0 for `sgd`."""

    nesterov: bool = False
    """For `sgd` with momentum: the gradient is taken as if the step were already made."""

    @model_validator(mode="after")
    def _momentum_has_an_effect(self) -> Self:
        if self.momentum is not None and self.name not in {"sgd", "lars"}:
            raise ValueError(f"momentum belongs to `sgd` and `lars`; leave it out for `{self.name}`")
        if self.nesterov and (self.name != "sgd" or not self.momentum):
            raise ValueError(
                "nesterov belongs to `sgd` with a momentum above 0, for instance `momentum: 0.9`"
            )
        return self


Curve = Literal[
    "constant",
    "cosine",
    "cosine_to_zero",
    "multistep",
    "exponential",
    "warm_restarts",
    "decaying_cosine",
    "plateau",
]


class ScheduleConfig(Section):
    """The learning rate as a function of the step; `pkgs.training.schedule` has the formulas."""

    name: Curve = "constant"

    final_lr: float = Field(default=1e-5, ge=0)
    """Where `cosine` ends; the lowest rate of `warm_restarts` and `decaying_cosine`."""

    warmup: str = ""
    """How long the rate rises linearly to its start, for instance `10 epochs`; the curve begins after it."""

    interval: Literal["step", "epoch"] = "step"
    """Whether the curve moves at each step, or only where an epoch begins."""

    milestones: tuple[str, ...] = ()
    """When `multistep` multiplies by `factor`, from the run's start: `["25 epochs", "50 epochs"]`."""

    factor: float = Field(default=0.1, gt=0)
    """What `multistep` and `plateau` multiply by."""

    decay_per_epoch: float = Field(default=0.97, gt=0, le=1)
    """What `exponential` and `decaying_cosine` multiply by in each epoch."""

    period: str = "10 epochs"
    """How long one turn of `warm_restarts` and `decaying_cosine` takes."""

    patience: int = Field(default=10, ge=0)
    """How many validations in a row `plateau` bears without a new best."""

    cooldown: int = Field(default=0, ge=0)
    """How many validations `plateau` does not count after it has lowered the rate."""

    threshold: float = Field(default=1e-4, ge=0, lt=1)
    """By which share a value must be better than the best to be a new best of `plateau`."""

    better: Literal["lower", "higher"] = "lower"
    """Which direction of the watched validation value is the better one."""

    min_lr: float = Field(default=0.0, ge=0)
    """Below this `plateau` does not go."""

    @model_validator(mode="after")
    def _durations_can_be_read(self) -> Self:
        for text in (*self.milestones, *filter(None, [self.warmup]), self.period):
            Duration.parse(text)
        if (self.name == "multistep") != bool(self.milestones):
            raise ValueError("milestones belong to `multistep`, which needs at least one")
        if self.name == "plateau" and self.factor >= 1:
            raise ValueError(f"plateau lowers the rate: factor must be below 1, got {self.factor:g}")
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
