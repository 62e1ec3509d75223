"""Settings of a student that goes on with unlabelled images. Loads no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pkgs.foundation.config import Section


class ExpansionConfig(Section):
    """What the student learns from its teachers on images without labels, and what holds it back.

    Per step: labelled_weight s + teacher_weight P(x_u) + consistency_weight mean (p - p_ema)^2.
    """

    start: str = ""
    """Run folder of the student to go on with: `{root}/ke/joint/seed_{seed}`. Empty: a new one."""

    teachers: tuple[str, ...] = ()
    """Run folders of the error teachers. `*`, `?` and `[...]` stand for several: `{root}/ke/joint/seed_*`."""

    signal: Literal["decoded", "through"] = "decoded"
    """`decoded`: the label that the teacher's answer implies teaches the student. `through`: the predicted
    error itself is minimised, the gradient runs through the teacher's mask channel (published form)."""

    labelled_weight: float = Field(default=1.0, ge=0)
    teacher_weight: float = Field(default=1.0, ge=0)
    """0: the teacher is only watched; the control that trains on as long without its term."""
    consistency_weight: float = Field(default=1.0, ge=0)
    """Of the mean squared distance from the moving average's probabilities."""

    ramp: float = Field(default=0.2, ge=0, le=1)
    """Share of the steps over which teacher_weight rises from 0."""

    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the student's moving average: anchor, source of hard masks, and judged as `ema`."""

    sure: float = Field(default=0.3, ge=0, le=0.5)
    """Only pixels teach whose chance to be wrong is at least this far from a half."""
    most_spread: float = Field(default=0.2, ge=0)
    """Only pixels teach on whose chance a committee's standard deviation is at most this."""

    combine: Literal["mean", "median", "sum"] = "mean"
    """How a committee's predicted error shares become one."""
    form: Literal["auto", "stacked", "loop"] = "auto"
    """How a committee is asked: `auto` times the first batch, and the run keeps to it. Name one where two
    runs must agree to the last bit: the forms round differently."""

    round_steps: int = Field(default=1, ge=1)
    """`method: alternating`: so many steps on unlabelled images, then as many on labelled ones. Nothing
    labelled holds the student within a round: of 25 steps each, rounds teach it that there is nothing."""

    monitor_every: int = Field(default=25, ge=1)
    """After how many steps predicted and real error are compared on val and on the pool."""
    monitor_images: int = Field(default=64, ge=1)
    """How many images of val and of the pool, each; the same ones in all seeds and conditions."""
    on_exploit: Literal["warn", "stop"] = "warn"
    """What happens when the teacher sees the error fall while it rises: a line in alarms.json, or the end."""
