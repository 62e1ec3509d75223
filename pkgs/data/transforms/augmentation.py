"""The usual pair: everything moves in space, then the images change in value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from pkgs.data.transforms.config import AugmentationConfig
from pkgs.data.transforms.contract import Kinds, Sides, Tensors
from pkgs.data.transforms.intensity import Intensity, IntensityDraws
from pkgs.data.transforms.spatial import Spatial, SpatialDraws
from pkgs.foundation.seeds import Purpose


@dataclass(frozen=True, slots=True)
class AugmentationDraws:
    """All that happens to a batch; `contract.dump` stores it, `contract.restore` brings it back."""

    spatial: SpatialDraws
    intensity: IntensityDraws


@final
class Augmentation:
    """A spatial and an intensity transform, drawn together and applied in this order."""

    def __init__(self, config: AugmentationConfig, kinds: Kinds, *, name: str = "") -> None:
        """Take `name` to tell apart two augmentations of one purpose."""
        self.spatial = Spatial(config.spatial, kinds, name=name)
        self.intensity = Intensity(config.intensity, kinds, name=name)
        self.size = config.spatial.size

    def draw(self, seed: int, purpose: Purpose, *, first: int, batch: int, sides: Sides) -> AugmentationDraws:
        """Return what happens to the draws `first` .. `first + batch - 1`; `sides`: of the source."""
        return AugmentationDraws(
            self.spatial.draw(seed, purpose, first=first, batch=batch, sides=sides),
            self.intensity.draw(seed, purpose, first=first, batch=batch, sides=self.size or sides),
        )

    def __call__(self, batch: Tensors, draws: AugmentationDraws) -> dict[str, Tensor]:
        """Return the changed batch; the given one stays as it is."""
        return self.intensity(self.spatial(batch, draws.spatial), draws.intensity)
