"""`Unet3D` of ensemble distillation: no normalisation but in the tail, trilinear upsampling."""

from __future__ import annotations

from typing import Final, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pkgs.models.dimensions import halved
from pkgs.models.image_check import check_image
from pkgs.models.output import Output

DIVISOR: Final = 8


@final
class PlainUNet3d(nn.Module):
    """`Unet3D`, 907,426 parameters with 2 classes; `Unet3DStrided`, 950,546.

    The backward pass of trilinear upsampling has no deterministic form on CUDA.

    Args:
        in_channels: Channels of the image.
        classes: Logits per voxel.
        width: C; the blocks have C/2, C and 2C channels.
        strided: A convolution of stride 2 and a ReLU in place of each pool.

    Source: ensemble distillation, section 3.
    """

    def __init__(
        self, *, in_channels: int = 1, classes: int = 2, width: int = 32, strided: bool = False
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        widths = [width // 2, width, 2 * width, 2 * width]
        pairs = list(zip([in_channels, *widths[:-1]], widths, strict=True))
        self.down = nn.ModuleList([_double_conv(before, after) for before, after in pairs])
        self.shrink = nn.ModuleList(
            [nn.Sequential(nn.Conv3d(w, w, 2, stride=2), nn.ReLU()) for w in widths[:-1]] if strided else []
        )
        upward = zip(widths[:0:-1], widths[-2::-1], strict=True)
        self.join = nn.ModuleList([_double_conv(below + skip, skip) for below, skip in upward])
        self.head = nn.Sequential(
            nn.BatchNorm3d(widths[0]),
            nn.Dropout3d(0.5),
            nn.Conv3d(widths[0], widths[0], 1),
            nn.ReLU(),
            nn.BatchNorm3d(widths[0]),
            nn.Dropout3d(0.5),
            nn.Conv3d(widths[0], width, 1),
            nn.ReLU(),
            nn.Conv3d(width, classes, 1),
        )

    def forward(self, image_BCDHW: Tensor) -> Output:
        """Return logits [B, classes, D, H, W] and the bottom features."""
        check_image(image_BCDHW, name="Unet3D", channels=self.in_channels, dims=3, divisor=DIVISOR)
        skips: list[Tensor] = []
        features = image_BCDHW
        for level, block in enumerate(self.down):
            features = block(self._smaller(features, level) if level else features)
            skips.append(features)
        for join, skip in zip(self.join, skips[-2::-1], strict=True):
            larger = F.interpolate(features, scale_factor=2, mode="trilinear", align_corners=True)
            features = join(torch.cat([larger, skip], dim=1))
        return Output(self.head(features), features=skips[-1])

    def _smaller(self, features: Tensor, level: int) -> Tensor:
        if not self.shrink:
            return halved(features)
        smaller: Tensor = self.shrink[level - 1](features)
        return smaller


def _double_conv(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(before, after, 3, padding=1), nn.ReLU(), nn.Conv3d(after, after, 3, padding=1), nn.ReLU()
    )
