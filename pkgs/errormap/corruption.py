"""Masks that a teacher learns from: the truth falsified, by draw; the same ones in every judgement."""

from __future__ import annotations

from typing import final

import numpy as np
from torch import Tensor

from pkgs.data.config import FalsifyConfig
from pkgs.data.falsify import draw_published, draw_sound, published, sound
from pkgs.data.samples import Batch, Part
from pkgs.data.transforms.contract import Sides
from pkgs.data.transforms.corruption import CorruptionDraws
from pkgs.data.transforms.falsification import FalsifyDraws
from pkgs.errormap.compat import CompatConfig
from pkgs.foundation.seeds import Purpose, derive

MaskDraws = FalsifyDraws | CorruptionDraws
"""Of the sound set or of the published one."""


def draw_corruption(seed: int, *, first: int, batch: int, sides: Sides, compat: CompatConfig) -> MaskDraws:
    """Return how the masks of the draws `first` .. `first + batch - 1` are falsified.

    Under `compat.rare_corruption` by the published set, 13 of 100: most targets are exactly 0 (D2).
    """
    cycle = compat.rng_cycle
    if compat.rare_corruption:
        return draw_published(seed, first=first, batch=batch, sides=sides, cycle=cycle)
    return draw_sound(FalsifyConfig(), seed, first=first, batch=batch, sides=sides, cycle=cycle)


def corrupted(samples: Batch, draws: MaskDraws) -> Tensor:
    """Return falsified masks [B, 1, H, W], float32 within [0, 1]; 0 where the label is ignored."""
    if isinstance(draws, CorruptionDraws):
        return published(samples.label_BHW, draws).unsqueeze(1)
    return sound(samples, draws).unsqueeze(1)


@final
class FixedCorruption:
    """Falsified masks of parts: the same for an image in whichever batch of neighbours it comes.

    Args:
        parts: Whose masks; opened with instances, else an image's foreground counts as one object.
        seed: The split's, so that all runs are judged on the same ones.
        compat: Which set; left out where runs with and without a defect must be judged alike.
    """

    def __init__(self, *parts: Part, seed: int, compat: CompatConfig = CompatConfig()) -> None:  # noqa: B008
        ids = [sample for part in parts for sample in part.ids]
        self.places = {sample: place for place, sample in enumerate(ids)}
        self.seed, self.compat = derive(seed, Purpose.CORRUPT, "judged") >> 1, compat

    def __call__(self, samples: Batch) -> Tensor:
        """Return the masks [B, 1, H, W] of neighbours in a part.

        Raises:
            ValueError: If they are no neighbours.
        """
        places = np.array([self.places[sample] for sample in samples.ids])
        if bool((np.diff(places) != 1).any()):
            raise ValueError(f"Expected neighbours of a part in their order, got the places {places}.")
        height, width = samples.label_BHW.shape[1:]
        draws = draw_corruption(
            self.seed, first=int(places[0]), batch=len(places), sides=(height, width), compat=self.compat
        )
        return corrupted(samples, draws)
