"""`Unet3DSmallA` of ensemble distillation: convolutions without padding, skips cut to their centre."""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor, nn

from pkgs.models.dimensions import halved
from pkgs.models.image_check import check_image
from pkgs.models.output import Output

LEAST: Final = 92
"""The smallest side; it gives 4. Then every eighth: 100 -> 12, 108 -> 20, 116 -> 28."""
STEP: Final = 8


@final
class ValidUNet3d(nn.Module):
    """5,602,562 parameters with 2 classes. A side n = 4 mod 8 gives n - 88.

    Args:
        in_channels: Channels of the image.
        classes: Logits per voxel.
        base: Channels at full resolution, doubled thrice.

    Source: ensemble distillation, section 3.
    """

    def __init__(self, *, in_channels: int = 1, classes: int = 2, base: int = 32) -> None:
        super().__init__()
        self.in_channels = in_channels
        widths = [base * 2**level for level in range(4)]
        pairs = zip([in_channels, *widths[:-1]], widths, strict=True)
        self.down = nn.ModuleList([_double_conv(before, after) for before, after in pairs])
        self.up = nn.ModuleList([nn.ConvTranspose3d(2 * w, w, 2, stride=2) for w in widths[-2::-1]])
        self.join = nn.ModuleList([_double_conv(2 * w, w) for w in widths[-2::-1]])
        self.head = nn.Conv3d(base, classes, 1)

    def forward(self, image_BCDHW: Tensor) -> Output:
        """Return logits [B, classes, D - 88, H - 88, W - 88] and the bottom features."""
        check_image(image_BCDHW, name="Unet3DSmallA", channels=self.in_channels, dims=3)
        sides = tuple(image_BCDHW.shape[2:])
        if any(side % STEP != LEAST % STEP or side < LEAST for side in sides):
            raise ValueError(f"Unet3DSmallA: sides must be 92, 100, 108, ... (4 mod 8), got {sides}.")
        skips: list[Tensor] = []
        features = image_BCDHW
        for level, block in enumerate(self.down):
            features = block(halved(features) if level else features)
            skips.append(features)
        for up, join, skip in zip(self.up, self.join, skips[-2::-1], strict=True):
            larger = up(features)
            features = join(torch.cat([larger, _centre(skip, like=larger)], dim=1))
        return Output(self.head(features), features=skips[-1])


def _double_conv(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(before, after, 3),
        nn.BatchNorm3d(after),
        nn.ReLU(),
        nn.Conv3d(after, after, 3),
        nn.BatchNorm3d(after),
        nn.ReLU(),
    )


def _centre(skip: Tensor, *, like: Tensor) -> Tensor:
    """Return the middle of the skip, by whole voxels: the differences are even."""
    for axis in (2, 3, 4):
        surplus = skip.shape[axis] - like.shape[axis]
        skip = skip.narrow(axis, surplus // 2, like.shape[axis])
    return skip
