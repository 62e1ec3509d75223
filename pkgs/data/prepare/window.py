"""The intensity window of CT, on the device: the cache keeps int16, half the bytes of float32."""

from __future__ import annotations

import torch
from torch import Tensor


def window(image: Tensor, *, low: float, high: float) -> Tensor:
    """Return `image` with [low, high] mapped linearly to [-1, 1] and clipped there; float32.

        y = clip(2 (x - low) / (high - low) - 1, -1, 1)

    Args:
        image: Any shape and dtype, such as int16 HU. Pad it before with at most `low`, or after with -1.
        low: In the units of the image; -100 for the kidneys.
        high: Above `low`; 400 for the kidneys.

    Raises:
        ValueError: If the window is empty.
    """
    if not low < high:
        raise ValueError(f"The window {low:g} .. {high:g} is empty; expected low < high.")
    return ((image.to(torch.float32) - low) * (2 / (high - low)) - 1).clamp_(-1, 1)
