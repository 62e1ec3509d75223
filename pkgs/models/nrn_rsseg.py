"""NRN-RSSEG: a U-Net whose skips pass an attention over channels, then over space."""

from __future__ import annotations

from typing import Final, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pkgs.models.image_check import check_image
from pkgs.models.output import Output

DIVISOR: Final = 16
REDUCTION: Final = 16
"""Channels per hidden unit of the channel attention; at least one unit, or 8 channels would leave none."""


@final
class NrnRsseg(nn.Module):
    """7,774,313 parameters, 7,820,961 with pooled attention; with base 8: 487,633 and 499,001.

    Sides are padded to a multiple of 16 and cropped back.

    Args:
        in_channels: Channels of the image.
        classes: Logits per pixel; 1 for foreground against background.
        base: Channels at full resolution.
        aligned: Pool before the bottom, so that every skip meets a map of its own size. False is the form of
            an earlier implementation: the deepest features come out twice as large as their skip and are cut
            to its centre, so that they are misplaced and three quarters of them are lost.
        pooled_attention: The earlier spatial attention: 7x7 pooling of each channel instead of mean and
            maximum over the channels (CBAM).

    Source: the network of label noise, section 3; attention of Woo et al. 2018, arXiv:1807.06521.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        classes: int = 1,
        base: int = 32,
        aligned: bool = True,
        pooled_attention: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels, self.aligned = in_channels, aligned
        widths = [base * 2**level for level in range(4)]
        pairs = zip([in_channels, *widths[:-1]], widths, strict=True)
        self.down = nn.ModuleList([_double_conv(before, after) for before, after in pairs])
        self.bridge = _double_conv(widths[-1], 2 * widths[-1])
        self.up = nn.ModuleList([nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in widths[::-1]])
        self.attention = nn.ModuleList([_Attention(w, pooled=pooled_attention) for w in widths[::-1]])
        self.join = nn.ModuleList([_double_conv(2 * w, w) for w in widths[::-1]])
        self.head = nn.Conv2d(base, classes, 1)

    def forward(self, image_BCHW: Tensor) -> Output:
        """Return logits [B, classes, H, W] and the bottom [B, 16 base, H/16, W/16] (H/8 unless aligned)."""
        check_image(image_BCHW, name="nrn_rsseg", channels=self.in_channels)
        height, width = image_BCHW.shape[-2:]
        features = F.pad(image_BCHW, (0, -width % DIVISOR, 0, -height % DIVISOR), mode="replicate")
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            features = block(F.max_pool2d(features, 2) if level else features)
            skips.append(features)
        bottom = features = self.bridge(F.max_pool2d(features, 2) if self.aligned else features)
        for up, attend, join, skip in zip(self.up, self.attention, self.join, skips[::-1], strict=True):
            larger = _centre(up(features), like=skip)
            features = join(torch.cat([attend(skip), larger], dim=1))
        return Output(self.head(features)[..., :height, :width], features=bottom)


@final
class _Attention(nn.Module):
    """Weighs the channels of a map, then its places."""

    def __init__(self, channels: int, *, pooled: bool) -> None:
        super().__init__()
        hidden = max(1, channels // REDUCTION)
        self.pooled = pooled
        self.shared = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1, bias=False),
        )
        self.place = nn.Conv2d(2 * channels if pooled else 2, 1, 7, padding=3, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        mean, largest = features.mean(dim=(-2, -1), keepdim=True), features.amax(dim=(-2, -1), keepdim=True)
        features = features * torch.sigmoid(self.shared(mean) + self.shared(largest))
        if self.pooled:
            maps = [
                F.avg_pool2d(features, 7, stride=1, padding=3),
                F.max_pool2d(features, 7, stride=1, padding=3),
            ]
        else:
            maps = [features.mean(dim=1, keepdim=True), features.amax(dim=1, keepdim=True)]
        return features * torch.sigmoid(self.place(torch.cat(maps, dim=1)))


def _double_conv(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


def _centre(features: Tensor, *, like: Tensor) -> Tensor:
    """Return the middle of a map in the size of another; the whole of it where sizes agree."""
    height, width = like.shape[-2:]
    top, left = (features.shape[-2] - height) // 2, (features.shape[-1] - width) // 2
    assert top >= 0 <= left, "a decoder's map must never be smaller than its skip"
    return features[..., top : top + height, left : left + width]
