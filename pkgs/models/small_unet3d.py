"""`Unet3DSmall` of ensemble distillation: dropout inside the blocks, normalisation between them."""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor, nn

from pkgs.models.dimensions import halved
from pkgs.models.image_check import check_image
from pkgs.models.output import Output

DIVISOR: Final = 8


@final
class SmallUNet3d(nn.Module):
    """`Unet3DSmall` and `Unet3DSmallELU`, 5,601,154 parameters with 2 classes; `Unet3DSmallDS`, 5,611,818.

    Args:
        in_channels: Channels of the image.
        classes: Logits per voxel.
        base: Channels at full resolution, doubled thrice.
        elu: ELU in place of ReLU.
        deep_supervision: Further heads at 1/2 and 1/4 size.

    Source: ensemble distillation, section 3.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        classes: int = 2,
        base: int = 32,
        elu: bool = False,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        act: type[nn.Module] = nn.ELU if elu else nn.ReLU
        widths = [base * 2**level for level in range(4)]
        pairs = zip([in_channels, *widths[:-1]], widths, strict=True)
        self.down = nn.ModuleList([_block(before, after, act) for before, after in pairs])
        self.pooled_norm = nn.ModuleList([nn.BatchNorm3d(w) for w in widths[:-1]])
        self.bottom_norm = nn.BatchNorm3d(widths[-1])
        self.up = nn.ModuleList([nn.ConvTranspose3d(2 * w, w, 2, stride=2) for w in widths[-2::-1]])
        self.join = nn.ModuleList(
            [nn.Sequential(*_block(2 * w, w, act), nn.BatchNorm3d(w)) for w in widths[-2::-1]]
        )
        self.head = nn.Conv3d(base, classes, 1)
        self.half_head = _auxiliary_head(widths[1], classes, size=2) if deep_supervision else None
        self.quarter_head = _auxiliary_head(widths[2], classes, size=4) if deep_supervision else None

    def forward(self, image_BCDHW: Tensor) -> Output:
        """Return logits [B, classes, D, H, W], and those of the heads at 1/2 and 1/4, if supervised."""
        check_image(image_BCDHW, name="Unet3DSmall", channels=self.in_channels, dims=3, divisor=DIVISOR)
        skips: list[Tensor] = []
        features = image_BCDHW
        for level, block in enumerate(self.down):
            features = block(self.pooled_norm[level - 1](halved(features)) if level else features)
            skips.append(features)
        bottom = features = self.bottom_norm(features)
        maps: list[Tensor] = []
        for up, join, skip in zip(self.up, self.join, skips[-2::-1], strict=True):
            features = join(torch.cat([up(features), skip], dim=1))
            maps.append(features)
        auxiliary: tuple[Tensor, ...] = ()
        if self.half_head is not None and self.quarter_head is not None:
            auxiliary = (self.half_head(maps[1]), self.quarter_head(maps[0]))
        return Output(self.head(features), features=bottom, auxiliary=auxiliary)


def _block(before: int, after: int, act: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(before, after, 3, padding=1),
        act(),
        nn.Dropout(0.2),
        nn.Conv3d(after, after, 3, padding=1),
        act(),
    )


def _auxiliary_head(before: int, classes: int, *, size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(before, classes, 3, padding=1),
        nn.ReLU(),
        nn.ConvTranspose3d(classes, classes, size, stride=size),
    )
