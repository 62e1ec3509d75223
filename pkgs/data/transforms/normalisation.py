"""From the codes of a file to the numbers of a network, on the device. Deterministic."""

from __future__ import annotations

import torch
from torch import Tensor


def normalise(
    codes: Tensor,
    *,
    window: tuple[float, float],
    mean: tuple[float, ...] = (0.0,),
    sd: tuple[float, ...] = (1.0,),
) -> Tensor:
    """Return ((codes - low) / (high - low), cut to [0, 1], less mean) / sd, float32, on the codes' device.

    Args:
        codes: [B, C, *space] of any whole or float type, as the cache holds them.
        window: What becomes 0 and 1: (0, 255) for 8-bit codes, (-160, 240) HU for soft tissue.
        mean: Of the result of the window; one per channel, or one for all.
        sd: Likewise, > 0.

    Raises:
        ValueError: If the window is empty, a sd is not positive, or the numbers do not fit the channels.
    """
    low, high = window
    if not low < high or min(sd) <= 0:
        raise ValueError(f"normalise needs low < high and sd > 0, got window {window} and sd {sd}.")
    if not {len(mean), len(sd)} <= {1, codes.shape[1]}:
        raise ValueError(
            f"normalise got {len(mean)} means and {len(sd)} sds for {codes.shape[1]} channels; "
            "give one, or one per channel."
        )
    unit = ((codes.float() - low) / (high - low)).clamp_(0, 1)
    shape = (1, -1, *(1 for _ in codes.shape[2:]))
    return unit.sub_(torch.tensor(mean, device=codes.device).view(shape)).div_(
        torch.tensor(sd, device=codes.device).view(shape)
    )
