"""SmallOrig: a U-Net of ensemble distillation, 2-D and 3-D, with two auxiliary heads."""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor, nn

from pkgs.models.dimensions import Layers, halved, layers_of
from pkgs.models.image_check import check_image
from pkgs.models.output import Output

DIVISOR: Final = 8


@final
class SmallOrig(nn.Module):
    """5,613,226 parameters in 3-D with 2 classes, 1,931,418 in 2-D.

    Args:
        in_channels: Channels of the image.
        classes: Logits per pixel.
        base: Channels at full resolution, doubled thrice.
        dims: 2 or 3.
        deep_supervision: Use the auxiliary heads, at 1/2 and 1/4 size. They belong to the module either way,
            so both forms have the same weights.
        uncertainty: A 1x1 head for the teachers' standard deviation.

    Source: ensemble distillation, section 3; Çiçek et al. 2016, arXiv:1606.06650.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        in_channels: int = 1,
        classes: int = 2,
        base: int = 32,
        dims: int = 3,
        deep_supervision: bool = False,
        uncertainty: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels, self.dims, self.deep_supervision = in_channels, dims, deep_supervision
        layers = layers_of(dims)
        widths = [base * 2**level for level in range(4)]
        pairs = zip([in_channels, *widths[:-1]], widths, strict=True)
        self.down = nn.ModuleList([_double_conv(before, after, layers) for before, after in pairs])
        self.up = nn.ModuleList([layers.up(2 * w, w, 2, stride=2) for w in widths[-2::-1]])
        self.join = nn.ModuleList([_double_conv(2 * w, w, layers) for w in widths[-2::-1]])
        self.head = layers.conv(base, classes, 1)
        self.quarter_head = _auxiliary_head(widths[2], classes, size=4, layers=layers)
        self.half_head = _auxiliary_head(widths[1], classes, size=2, layers=layers)
        self.std_head = layers.conv(base, classes, 1) if uncertainty else None

    def forward(self, image: Tensor) -> Output:
        """Return logits [B, classes, *space], and those of the heads at 1/2 and 1/4, if supervised."""
        check_image(image, name="SmallOrig", channels=self.in_channels, dims=self.dims, divisor=DIVISOR)
        skips: list[Tensor] = []
        features = image
        for level, block in enumerate(self.down):
            features = block(halved(features) if level else features)
            skips.append(features)
        maps = []
        for up, join, skip in zip(self.up, self.join, skips[-2::-1], strict=True):
            features = join(torch.cat([up(features), skip], dim=1))
            maps.append(features)
        auxiliary = (self.half_head(maps[1]), self.quarter_head(maps[0])) if self.deep_supervision else ()
        std = None if self.std_head is None else self.std_head(features)
        return Output(self.head(features), features=skips[-1], auxiliary=auxiliary, std_logits=std)


def _double_conv(before: int, after: int, layers: Layers) -> nn.Sequential:
    return nn.Sequential(
        layers.conv(before, after, 3, padding=1),
        layers.norm(after),
        nn.ReLU(),
        layers.conv(after, after, 3, padding=1),
        layers.norm(after),
        nn.ReLU(),
    )


def _auxiliary_head(before: int, classes: int, *, size: int, layers: Layers) -> nn.Sequential:
    """Return logits at 1/size, brought to full size."""
    return nn.Sequential(
        layers.conv(before, classes, 3, padding=1), layers.up(classes, classes, size, stride=size)
    )
