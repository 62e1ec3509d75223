"""Settings of a teacher and its loss. Loads no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pkgs.foundation.config import Section
from pkgs.models.config import TeacherModelConfig

Chance = Annotated[float, Field(ge=0, le=1)]
Operation = Literal["drop", "shift", "rotate", "resize", "add"]


class FalsifyingConfig(Section):
    """How the masks come about that a teacher learns from: the truth, made wrong."""

    kind: Literal["sound", "objects"] = "sound"
    """`sound`: look-alikes of predictions, one to three changes of the whole mask or of one object, half of
    them soft. `objects`: look-alikes of wrong labels, hard, each object for itself."""

    p: Chance = 0.8
    """`objects`: chance that a mask is made wrong; the others are shown as they are. (`sound` masks always
    are; there the share of true ones is 1 - teacher.weight.)"""

    rate: tuple[Chance, Chance] = (0.2, 1.0)
    """`objects`: range of a mask's rate, drawn evenly; each of its objects is hit with that chance, by drop,
    shift, rotate or resize."""

    phantoms: float = Field(default=0.7, ge=0, allow_inf_nan=False)
    """`objects`: mean number of invented objects per mask, Poisson."""

    without: tuple[Operation, ...] = ()
    """`objects`: what never happens, of drop, shift, rotate, resize, add: how well is it found unlearned?"""

    @model_validator(mode="after")
    def _low_before_high(self) -> Self:
        if self.rate[0] > self.rate[1]:
            raise ValueError(f"rate is [low, high], got {list(self.rate)}; swap the two")
        return self

    @model_validator(mode="after")
    def _only_objects_have_settings(self) -> Self:
        fields = type(self).model_fields
        idle = [name for name in fields if name != "kind" and getattr(self, name) != fields[name].default]
        if self.kind == "sound" and idle:
            raise ValueError(f"{', '.join(idle)}: no effect with kind: sound; choose kind: objects")
        return self


class TeacherLossConfig(Section):
    """What a teacher minimises."""

    weight: float = Field(default=0.9, ge=0, le=1)
    """w: share of the masks that may be wrong; true masks get the rest (published ratio 1:9)."""

    image_weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Weight of the answer for the whole image beside the map; 0: the map alone."""

    map_loss: Literal["bce", "mae", "huber"] = "bce"
    """Distance of the predicted map from the target. `mae` and `huber` are lowest near the median, which is
    0 where nearly all pixels are right."""


class TeacherConfig(TeacherLossConfig):
    """A teacher that is trained."""

    model: TeacherModelConfig = TeacherModelConfig()
