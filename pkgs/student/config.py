"""Everything that decides about a run of `python -m pkgs.student`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from pkgs.data.config import AugmentConfig, DataConfig
from pkgs.foundation.config import Section
from pkgs.models.config import ModelConfig
from pkgs.training.config import TrainingConfig
from pkgs.training.trackers.config import TrackerConfig

SWIN_SIDE_PX = 32
"""SwinUNETR halves the image five times, and needs two elements at the bottom."""


class OutputConfig(Section):
    """What is kept besides tables and weights."""

    samples: int = Field(default=6, ge=0)
    """Test images whose prediction is stored for overlays; the same ones in all conditions and seeds."""


class StudentConfig(Section):
    """A student on labelled images."""

    data: DataConfig
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    training: TrainingConfig = TrainingConfig()
    output: OutputConfig = OutputConfig()
    trackers: TrackerConfig = TrackerConfig()

    @model_validator(mode="after")
    def _size_fits_the_network(self) -> Self:
        side = self.data.size_px
        if self.model.name == "swin_unetr" and (side % SWIN_SIDE_PX or side < 2 * SWIN_SIDE_PX):
            raise ValueError(f"data.size_px is {side}; swin_unetr needs a multiple of 32, at least 64")
        return self
