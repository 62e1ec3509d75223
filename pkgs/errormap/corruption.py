"""Masks that a teacher learns from: the truth falsified, by draw; the same ones in every judgement."""

# ruff: noqa: N815 - arrays end in their axes, fields too
from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pkgs.data.config import FalsifyConfig
from pkgs.data.cycles import CORRUPT_CYCLE, drawn
from pkgs.data.falsify import draw_published, draw_sound, published, sound
from pkgs.data.items import IGNORE
from pkgs.data.object_noise import OPERATIONS, corrupt_objects
from pkgs.data.samples import Batch, Part
from pkgs.data.transforms.contract import Sides
from pkgs.data.transforms.corruption import CorruptionDraws
from pkgs.data.transforms.falsification import FalsifyDraws
from pkgs.data.transforms.stream import Stream
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.config import FalsifyingConfig
from pkgs.foundation.seeds import Purpose, derive

SOUND = FalsifyingConfig()


@dataclass(frozen=True, slots=True)
class ObjectDraws:
    """How each mask's objects are made wrong; the seed of a mask owns all that is drawn for it.

    At rate 0 without phantoms a mask stays as it is.
    """

    seed_B: NDArray[np.int64]
    rate_B: NDArray[np.float64]
    phantoms_B: NDArray[np.float64]
    without_BO: NDArray[np.bool_]
    """Of `OPERATIONS`."""


MaskDraws = FalsifyDraws | CorruptionDraws | ObjectDraws
"""Of the sound set, of the published one, or of objects."""


def draw_corruption(  # noqa: PLR0913 - all by name
    seed: int,
    *,
    first: int,
    batch: int,
    sides: Sides,
    compat: CompatConfig,
    falsify: FalsifyingConfig = SOUND,
) -> MaskDraws:
    """Return how the masks of the draws `first` .. `first + batch - 1` are falsified.

    Args:
        seed: The run's.
        first: Number of the first draw.
        batch: How many.
        sides: Height and width of the masks.
        compat: Under `rare_corruption` by the published set, 13 of 100: most targets are exactly 0 (D2).
        falsify: By which other set.
    """
    cycle = compat.rng_cycle
    if falsify.kind == "objects":
        return _draw_objects(seed, falsify, first=first, batch=batch, cycle=cycle)
    if compat.rare_corruption:
        return draw_published(seed, first=first, batch=batch, sides=sides, cycle=cycle)
    return draw_sound(FalsifyConfig(), seed, first=first, batch=batch, sides=sides, cycle=cycle)


def corrupted(samples: Batch, draws: MaskDraws) -> Tensor:
    """Return falsified masks [B, 1, H, W], float32 within [0, 1]; 0 where the label is ignored."""
    if isinstance(draws, CorruptionDraws):
        return published(samples.label_BHW, draws).unsqueeze(1)
    if isinstance(draws, ObjectDraws):
        return _with_wrong_objects(samples.label_BHW, draws).unsqueeze(1)
    return sound(samples, draws).unsqueeze(1)


@final
class FixedCorruption:
    """Falsified masks of parts: the same for an image in whichever batch of neighbours it comes.

    Args:
        parts: Whose masks; opened with instances, else an image's foreground counts as one object.
        seed: The split's, so that all runs are judged on the same ones.
        compat: Which set; left out where runs with and without a defect must be judged alike.
        falsify: As in training.
    """

    def __init__(
        self,
        *parts: Part,
        seed: int,
        compat: CompatConfig = CompatConfig(),  # noqa: B008 - frozen
        falsify: FalsifyingConfig = SOUND,
    ) -> None:
        ids = [sample for part in parts for sample in part.ids]
        self.places = {sample: place for place, sample in enumerate(ids)}
        self.seed, self.compat = derive(seed, Purpose.CORRUPT, "judged") >> 1, compat
        self.falsify = falsify

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
            self.seed,
            first=int(places[0]),
            batch=len(places),
            sides=(height, width),
            compat=self.compat,
            falsify=self.falsify,
        )
        return corrupted(samples, draws)


def _draw_objects(
    seed: int, falsify: FalsifyingConfig, *, first: int, batch: int, cycle: bool
) -> ObjectDraws:
    left_out = [name in falsify.without for name in OPERATIONS]

    def draw(first: int, batch: int) -> ObjectDraws:
        stream = Stream(seed, Purpose.CORRUPT, first, batch, "objects.")
        wrong_B = stream.chance("wrong", falsify.p)
        return ObjectDraws(
            seed_B=(stream.unit("seed")[:, 0] * 2.0**53).astype(np.int64),
            rate_B=np.where(wrong_B, stream.between("rate", falsify.rate), 0.0),
            phantoms_B=np.where(wrong_B, falsify.phantoms, 0.0),
            without_BO=np.tile(left_out, (batch, 1)),
        )

    return drawn(draw, ObjectDraws, first=first, batch=batch, cycle=CORRUPT_CYCLE if cycle else 0)


def _with_wrong_objects(label_BHW: Tensor, draws: ObjectDraws) -> Tensor:
    """Return hard masks [B, H, W] float32; on the CPU, where objects are numbered."""
    known = (label_BHW == 1).byte().cpu().numpy()
    numbers = zip(
        draws.seed_B.tolist(), draws.rate_B.tolist(), draws.phantoms_B.tolist(), draws.without_BO, strict=True
    )
    masks = [
        corrupt_objects(
            mask,
            np.random.default_rng(seed),
            rate=rate,
            phantoms=phantoms,
            without=[name for name, out in zip(OPERATIONS, left_out, strict=True) if out],
        )
        for mask, (seed, rate, phantoms, left_out) in zip(known, numbers, strict=True)
    ]
    changed = torch.from_numpy(np.stack(masks)).to(label_BHW.device)
    return torch.where(label_BHW != IGNORE, changed, 0).float()
