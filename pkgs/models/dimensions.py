"""What a network in two dimensions and the same in three are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of one number of dimensions."""

    conv: type[nn.Conv2d | nn.Conv3d]
    up: type[nn.ConvTranspose2d | nn.ConvTranspose3d]
    norm: type[nn.BatchNorm2d | nn.BatchNorm3d]
    drop_channels: type[nn.Dropout2d | nn.Dropout3d]


LAYERS: Final = {
    2: Layers(nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.Dropout2d),
    3: Layers(nn.Conv3d, nn.ConvTranspose3d, nn.BatchNorm3d, nn.Dropout3d),
}


def layers_of(dims: int) -> Layers:
    """Return the layers of two or three dimensions.

    Raises:
        ValueError: For any other number.
    """
    if dims not in LAYERS:
        raise ValueError(f"dims is {dims}; networks exist in 2 and 3 dimensions.")
    return LAYERS[dims]


def halved(features: Tensor) -> Tensor:
    """Return the maxima of blocks of 2 along each axis of space; sides are even.

    In 3-D by reshape: the backward pass of max_pool3d has no deterministic form on CUDA. Where a block has
    several equal maxima, the gradient is shared there, while pooling gives it to the first.
    """
    if features.ndim == 4:
        return F.max_pool2d(features, 2)
    batch, channels, depth, height, width = features.shape
    blocks = features.reshape(batch, channels, depth // 2, 2, height // 2, 2, width // 2, 2)
    return blocks.amax(dim=(3, 5, 7))
