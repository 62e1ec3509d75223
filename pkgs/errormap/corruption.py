"""Masks that a teacher learns from: the truth falsified, by draw; the same ones in every validation."""

from __future__ import annotations

from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from pkgs.data.samples import Batch, Part
from pkgs.data.transforms.config import CorruptionConfig
from pkgs.data.transforms.corruption import Corruption, CorruptionDraws
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.loss import true_mask
from pkgs.foundation.seeds import Purpose, derive

SOUND: Final = CorruptionConfig(p=1.0, soft_p=0.5)
PUBLISHED: Final = CorruptionConfig()
"""Applied to 13 of 100 masks: most targets are exactly 0 (D2)."""


def draw_corruption(
    seed: int, *, first: int, batch: int, side_px: int, compat: CompatConfig
) -> CorruptionDraws:
    """Return how the masks of the draws `first` .. `first + batch - 1` are falsified."""
    config = PUBLISHED if compat.rare_corruption else SOUND
    sides = (side_px, side_px)
    return Corruption(config, "mask").draw(seed, Purpose.CORRUPT, first=first, batch=batch, sides=sides)


def corrupted(samples: Batch, draws: CorruptionDraws) -> Tensor:
    """Return falsified masks [B, 1, H, W], float32 within [0, 1]; 0 where the label is ignored."""
    true = true_mask(samples.label_BHW)[:, 0].to(torch.uint8)
    return Corruption(PUBLISHED, "mask")({"mask": true}, draws)["mask"].unsqueeze(1)  # the draws say all


@final
class FixedCorruption:
    """Falsified masks of parts: the same for an image in whichever batch of neighbours it comes.

    Args:
        parts: Whose masks.
        seed: The split's, so that all runs are judged on the same ones.
        compat: Which set.
    """

    def __init__(self, *parts: Part, seed: int, compat: CompatConfig) -> None:
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
        draws = draw_corruption(
            self.seed,
            first=int(places[0]),
            batch=len(places),
            side_px=samples.label_BHW.shape[-1],
            compat=self.compat,
        )
        return corrupted(samples, draws)
