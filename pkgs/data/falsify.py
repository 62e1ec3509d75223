"""Falsified masks of the first study: sound ones for a teacher, the published ones, and their draws.

Sound masks are always changed and partly soft. Published ones are changed in 13 of 100 cases and hard: what
`gt_augment` shows the loss, and what pretrained the reference's teacher.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pkgs.data.config import FalsifyConfig
from pkgs.data.cycles import CORRUPT_CYCLE, drawn
from pkgs.data.items import IGNORE
from pkgs.data.samples import Batch
from pkgs.data.transforms.config import CorruptionConfig
from pkgs.data.transforms.contract import Sides
from pkgs.data.transforms.corruption import Corruption, CorruptionDraws
from pkgs.data.transforms.falsification import Falsification, FalsifyDraws
from pkgs.foundation.seeds import Purpose

PUBLISHED_P = CorruptionConfig().p
"""Chance of the published set, of the whole of it."""


def draw_sound(  # noqa: PLR0913 - all by name
    config: FalsifyConfig, seed: int, *, first: int, batch: int, sides: Sides, cycle: bool = False
) -> FalsifyDraws:
    """Draw the sound changes for the draws `first` .. `first + batch - 1` of a run.

    Args:
        config: Ranges.
        seed: The run's.
        first: Number of the first draw.
        batch: How many.
        sides: Height and width of the masks.
        cycle: Repeat after 43 draws, as the generator of the reference did.
    """
    changes = Falsification(config)
    return drawn(
        lambda first, batch: changes.draw(seed, Purpose.CORRUPT, first=first, batch=batch, sides=sides),
        FalsifyDraws,
        first=first,
        batch=batch,
        cycle=CORRUPT_CYCLE if cycle else 0,
    )


def sound(batch: Batch, draws: FalsifyDraws) -> Tensor:
    """Return falsified masks [B, H, W] float32 in [0, 1], none of them the truth; ignored pixels are 0.

    Without numbered objects the foreground of a sample counts as one object.
    """
    known = batch.instances_BHW
    objects = (batch.label_BHW == 1).int() if known is None else known
    return Falsification(FalsifyConfig())(batch.label_BHW, objects, draws)  # the draws say all


def draw_published(  # noqa: PLR0913 - all by name
    seed: int, *, first: int, batch: int, sides: Sides, p: float = PUBLISHED_P, cycle: bool = False
) -> CorruptionDraws:
    """Draw the published changes; arguments as of `draw_sound`, `p` is the chance of the whole set."""
    changes = Corruption(CorruptionConfig(p=p), "mask")
    return drawn(
        lambda first, batch: changes.draw(seed, Purpose.CORRUPT, first=first, batch=batch, sides=sides),
        CorruptionDraws,
        first=first,
        batch=batch,
        cycle=CORRUPT_CYCLE if cycle else 0,
    )


def published(label_BHW: Tensor, draws: CorruptionDraws) -> Tensor:
    """Return hard masks [B, H, W] float32, changed where drawn; ignored pixels are 0."""
    known = label_BHW != IGNORE
    mask = torch.where(known, label_BHW, torch.zeros((), dtype=label_BHW.dtype, device=label_BHW.device))
    return Corruption(CorruptionConfig(), "mask")({"mask": mask}, draws)["mask"] * known


def published_label(label_BHW: Tensor, draws: CorruptionDraws) -> Tensor:
    """Return labels [B, H, W] as a loss takes them, changed where drawn; ignored pixels stay ignored."""
    changed = published(label_BHW, draws).to(label_BHW.dtype)
    return torch.where(label_BHW == IGNORE, label_BHW, changed)
