"""Settings of optimiser, schedule and loop."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

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


class BestConfig(Section):
    """Which validation `best` shows."""

    metric: str = "nll"
    """A column of val.csv."""

    mode: Literal["min", "max"] = "min"
    """Whether lower or higher is better; the first validation always counts."""

    def improves(self, value: float, *, on: float) -> bool:
        """Say whether `value` is better than `on`; a number is better than NaN."""
        if math.isnan(on):
            return not math.isnan(value)
        return value < on if self.mode == "min" else value > on


class TrainingConfig(Section):
    """How long, how much at once, how fast."""

    length: str = "100 epochs"
    """`300 steps` or `100 epochs`."""

    batch_samples: int = Field(default=16, ge=1)
    """Samples of one step, over all devices and processes together."""

    accumulate: int = Field(default=1, ge=1)
    """Micro-batches in which a step is computed: more need less memory, and give the same gradient."""

    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()

    clip_norm: float = Field(default=0.0, ge=0)
    """Largest norm of a step's gradient; 0: not clipped. The norm is logged either way."""

    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    """Decay of a moving average of the weights, judged on test as `ema`; 0: none. 0.999 is usual."""

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Number format of the network's forward pass; losses and metrics stay in fp32."""

    validate_every: str = "1 epochs"
    """When val is measured, `best` is chosen and `last` is saved. The last step is always due."""

    save_every: str = ""
    """When `last` is saved besides, for instance `200 steps`; empty: with each validation only."""

    best: BestConfig = BestConfig()

    patience: int = Field(default=0, ge=0)
    """Validations in a row without a new best after which the training ends; 0: never."""

    log_every: str = "10 steps"
    """How often a line goes to train.csv; losses are averaged in between."""

    parallel: Literal["auto", "dp", "ddp", "none"] = "auto"
    """`dp`: threads of one process; `ddp`: a process per device; `none`: one device. `auto`: `ddp` under
    torchrun, else `dp` where several GPUs are visible."""

    processes: int = Field(default=0, ge=0)
    """How many `ddp` starts; 0: one per visible GPU. On a CPU it must be named."""

    compile: Literal["off", "auto"] = "off"
    """`auto`: torch.compile on CUDA; what cannot be compiled runs as it is, with one warning."""

    channels_last: bool = False
    """Lay images out with channels last: faster convolutions on recent GPUs in bf16 and fp16."""

    tf32: bool = False
    """Let fp32 multiplications on GPUs round to 10 bits of mantissa."""

    deterministic: bool = False
    """On a GPU: the same bits in every run, at a price; what cannot obey is listed at the start."""

    threads: int = Field(default=0, ge=0)
    """CPU threads of torch; 0: as the environment says (OMP_NUM_THREADS)."""

    debug: bool = False
    """Find faults: anomaly detection in the backward pass, nothing read ahead, data errors raised."""

    short_training: bool = False
    """One batch each of train, val and test: shows in seconds whether everything fits together."""

    @field_validator("compile", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: object) -> object:
        return "off" if value is False else value  # YAML 1.1 reads `off` as false

    @model_validator(mode="after")
    def _durations_can_be_read(self) -> Self:
        for text in (self.length, self.validate_every, self.log_every, self.save_every or "1 step"):
            Duration.parse(text)
        if self.accumulate > self.batch_samples:
            raise ValueError(
                f"accumulate is {self.accumulate}, batch_samples {self.batch_samples}: "
                "each micro-batch needs at least one sample"
            )
        return self
