"""A mask alone is falsified: moved, partly erased, blurred, and cut to 0 and 1 again."""

# ruff: noqa: N815 - arrays end in their axes, fields too
from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pkgs.data.transforms.config import CorruptionConfig
from pkgs.data.transforms.contract import Sides, Tensors
from pkgs.data.transforms.erasing import draw_boxes, erase
from pkgs.data.transforms.instances import soften, threshold
from pkgs.data.transforms.matrices import only_where
from pkgs.data.transforms.spatial import Spatial, SpatialDraws
from pkgs.data.transforms.stream import Flags, Numbers, Stream
from pkgs.foundation.seeds import Purpose


@dataclass(frozen=True, slots=True)
class CorruptionDraws:
    """How each mask of a batch is falsified."""

    spatial: SpatialDraws
    boxes_BD2: NDArray[np.int64]
    sigma_px_B: Numbers
    """0: the mask is as it is."""
    soft_B: Flags


@final
class Corruption:
    """Falsifies masks: affine, flips, crop, perspective, erasing, blur, threshold, in this order."""

    def __init__(self, config: CorruptionConfig, mask: str, *, name: str = "") -> None:
        """Take the mask's name in the batch, and `name` to tell apart two corruptions of one purpose."""
        self.config, self.mask, self.name = config, mask, name
        self.spatial = Spatial(config.spatial, {mask: "label"}, name=name)

    def draw(self, seed: int, purpose: Purpose, *, first: int, batch: int, sides: Sides) -> CorruptionDraws:
        """Return what happens to the draws `first` .. `first + batch - 1` for masks of these sides."""
        config, stream = self.config, Stream(seed, purpose, first, batch, self.name)
        chosen = stream.chance("corrupt", config.p)
        moves = self.spatial.draw(seed, purpose, first=first, batch=batch, sides=sides)
        field = moves.field_BDP
        boxes = draw_boxes(
            stream, p=config.erase_p, area=config.erase_area, aspect=config.erase_aspect, sides=sides
        )
        return CorruptionDraws(
            spatial=SpatialDraws(
                only_where(chosen, moves.matrix_BEE),
                np.where(chosen.reshape(-1, *(1 for _ in field.shape[1:])), field, 0.0),
            ),
            boxes_BD2=np.where(chosen[:, None, None], boxes, 0),
            sigma_px_B=np.where(chosen, stream.between("sigma", config.blur_sigma_px), 0.0),
            soft_B=chosen & stream.chance("soft", config.soft_p),
        )

    def __call__(self, batch: Tensors, draws: CorruptionDraws) -> dict[str, Tensor]:
        """Return the batch with falsified masks, float32 in [0, 1]; untouched ones keep their values exactly.

        Raises:
            ValueError: If the mask is not whole numbers, or holds others than 0 and 1.
        """
        mask = self.spatial(batch, draws.spatial)[self.mask]
        if mask.numel() and int(mask.amax()) > 1:
            raise ValueError(
                f"{self.mask!r} holds {int(mask.amax())}; a mask to falsify holds 0 and 1. "
                "Set ignored pixels to 0 first."
            )
        mask = erase(mask, draws.boxes_BD2, value=0)
        sigma_B = torch.from_numpy(draws.sigma_px_B).float().to(mask.device)
        shares = soften(mask, sigma_B, kernel_px=self.config.blur_kernel_px)
        soft_B = torch.from_numpy(draws.soft_B).to(mask.device)
        keep = soft_B.view(-1, *(1 for _ in shares.shape[1:]))
        return {**batch, self.mask: torch.where(keep, shares, threshold(shares).float())}
