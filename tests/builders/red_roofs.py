"""A network that knows the look-alikes: what is red is a roof."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pkgs.models.output import Output


class RedRoofs(nn.Module):
    """Logit `height` where red outweighs green, else `-height`; on tiles of `aerial` the clean mask."""

    def __init__(self, height: float = 5.0) -> None:
        super().__init__()
        self.height = nn.Parameter(torch.tensor(height))

    def forward(self, image_BCHW: Tensor) -> Output:
        red = image_BCHW[:, :1] > image_BCHW[:, 1:2]
        return Output(torch.where(red, self.height, -self.height), features=image_BCHW)
