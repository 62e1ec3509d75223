"""The pixels near a mask, where nearly all errors are."""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

NEAR: Final = 8 / 224
"""Distance as a share of the side: 8 pixels of the published size."""


def near(mask_BHW: Tensor, *, radius_px: float) -> Tensor:
    """Return where the mask, or a pixel of it within the radius, is; bool [B, H, W].

    Distances are those of the pixels' centres. A disc is a union of rows, maxima along the mask's rows.

    Args:
        mask_BHW: Bool.
        radius_px: 0 gives the mask itself.
    """
    given = mask_BHW.float()
    found = torch.zeros_like(given)
    reach, height = int(radius_px), given.shape[1]
    for down in range(-min(reach, height - 1), min(reach, height - 1) + 1):
        half = math.isqrt(int(radius_px**2 - down**2))
        row = F.max_pool2d(given.unsqueeze(1), (1, 2 * half + 1), 1, (0, half)).squeeze(1)
        to, of = slice(max(down, 0), height + min(down, 0)), slice(max(-down, 0), height + min(-down, 0))
        found[:, to] = torch.maximum(found[:, to], row[:, of])
    return found > 0
