"""Settings of a teacher and its loss. Loads no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pkgs.foundation.config import Section
from pkgs.models.config import TeacherModelConfig


class TeacherLossConfig(Section):
    """What a teacher minimises."""

    weight: float = Field(default=0.9, ge=0, le=1)
    """w: share of the masks that may be wrong; true masks get the rest (published ratio 1:9)."""

    map_loss: Literal["bce", "mae", "huber"] = "bce"
    """Distance of the predicted map from the target. `mae` and `huber` are lowest near the median, which is
    0 where nearly all pixels are right."""


class TeacherConfig(TeacherLossConfig):
    """A teacher that is trained."""

    model: TeacherModelConfig = TeacherModelConfig()
