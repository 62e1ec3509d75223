"""A U-Net on a ResNet: the encoder's maps are the skips. Their widths are known, so nothing is probed."""

from __future__ import annotations

from typing import Final, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pkgs.models.image_check import check_image
from pkgs.models.output import Output
from pkgs.models.resnet import ResNet

DIVISOR: Final = 32
FILTERS: Final = (4, 2, 1, 0.5, 0.25)
"""Of the five decoder blocks, in widths of the stem: 256, 128, 64, 32, 16 at the published 64."""


@final
class ResNetUNet(nn.Module):
    """Five blocks up from layer 4, with skips from layer 3, 2, 1 and the stem's ReLU; the last has none.

    ResNet-50: 36,495,667 parameters with 3 classes; ResNet-18: 15,550,259. Building runs no batch: probing
    the skips' widths in training mode would spoil loaded batch-norm statistics.

    Args:
        depth, in_channels, width: Of the encoder.
        classes: Logits per pixel, background included.

    Source: Ronneberger, Fischer and Brox 2015, arXiv:1505.04597, on He et al. 2016, arXiv:1512.03385.
    """

    def __init__(self, *, depth: int, classes: int, in_channels: int = 3, width: int = 64) -> None:
        super().__init__()
        backbone = ResNet(depth=depth, in_channels=in_channels, width=width)
        filters = [int(width * share) for share in FILTERS]
        before = [backbone.widths[-1], *filters[:-1]]
        skips = [*backbone.widths[-2::-1], 0]
        self.unet = nn.ModuleDict(
            {
                "backbone": backbone,
                "blocks": nn.ModuleList(map(_Block, before, skips, filters)),
                "head": nn.Conv2d(filters[-1], classes, 1),
            }
        )

    def forward(self, image_BCHW: Tensor) -> Output:
        """Return logits [B, classes, H, W] and layer 4 [B, d, H/32, W/32]."""
        encoder = self.unet["backbone"]
        assert isinstance(encoder, ResNet)
        check_image(image_BCHW, name="unet_resnet", channels=encoder.in_channels, divisor=DIVISOR)
        stages = encoder(image_BCHW)
        features: Tensor = stages.layer4
        skips = (stages.layer3, stages.layer2, stages.layer1, stages.stem, None)
        blocks = self.unet["blocks"]
        assert isinstance(blocks, nn.ModuleList)
        for block, skip in zip(blocks, skips, strict=True):
            features = block(features, skip)
        return Output(self.unet["head"](features), features=stages.layer4)


@final
class _Block(nn.Module):
    """Twice the size, joined with the skip, convolved once."""

    def __init__(self, before: int, skip: int, after: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)
        self.up_norm = nn.BatchNorm2d(after)
        self.conv = nn.Conv2d(after + skip, after, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, features: Tensor, skip: Tensor | None) -> Tensor:
        larger = F.relu(self.up_norm(self.up(features)))
        joined = larger if skip is None else torch.cat([larger, skip], dim=1)
        return F.relu(self.norm(self.conv(joined)))
