"""ResNet encoders of 18 to 152 layers, with the usual key names; and a classifier on them.

The stride is in the 3x3 convolution. Weights trained elsewhere load by name: `conv1.weight`,
`layer1.0.conv1.weight`, `layer2.0.downsample.0.weight` and so on.
"""

from __future__ import annotations

from typing import Final, NamedTuple, final

import torch.nn.functional as F
from torch import Tensor, nn

from pkgs.models.freezing import Freezable
from pkgs.models.image_check import check_image
from pkgs.models.output import Output


class Stages(NamedTuple):
    """The maps of an encoder, from the stem's ReLU at 1/2 size to layer 4 at 1/32."""

    stem: Tensor
    layer1: Tensor
    layer2: Tensor
    layer3: Tensor
    layer4: Tensor


BLOCKS: Final = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Blocks per layer, by depth."""

BOTTLENECK_FROM: Final = 50
EXPANSION: Final = 4
"""A bottleneck block has four times as many channels at its end as inside."""


@final
class ResNet(Freezable):
    """An encoder: 11,176,512 / 21,284,672 / 23,508,032 / 42,500,160 / 58,143,808 parameters.

    Args:
        depth: 18, 34, 50, 101 or 152.
        in_channels: Channels of the image.
        width: Channels of the stem; 64 is the published one, smaller ones are for tests and demos.

    Source: He et al. 2016, arXiv:1512.03385; the stride in the 3x3 convolution is torchvision's ("v1.5").
    """

    def __init__(self, *, depth: int, in_channels: int = 3, width: int = 64) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"depth is {depth}; expected one of {', '.join(map(str, BLOCKS))}.")
        grows = EXPANSION if depth >= BOTTLENECK_FROM else 1
        self.in_channels = in_channels
        self.widths = (width, *(width * grows * 2**level for level in range(4)))
        """Channels of the stem and of the four layers."""
        self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        layers = []
        for level, count in enumerate(BLOCKS[depth]):
            before, after = self.widths[level], self.widths[level + 1]
            strides = [1 if level == 0 else 2] + [1] * (count - 1)
            blocks = [
                _Block(before if number == 0 else after, after, stride=stride, grows=grows)
                for number, stride in enumerate(strides)
            ]
            layers.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        _initialise(self)

    def forward(self, image_BCHW: Tensor) -> Stages:
        """Return the maps of all stages; sides of the image must be at least 32 if they are to be joined."""
        check_image(image_BCHW, name="resnet", channels=self.in_channels)
        stem = F.relu(self.bn1(self.conv1(image_BCHW)))
        layer1 = self.layer1(F.max_pool2d(stem, 3, stride=2, padding=1))
        layer2 = self.layer2(layer1)
        layer3 = self.layer3(layer2)
        return Stages(stem, layer1, layer2, layer3, self.layer4(layer3))


@final
class ResNetClassifier(nn.Module):
    """A ResNet, the mean over space, and a linear head without bias.

    ResNet-50 has 25,556,032 parameters with 1000 classes; features d = 512 (18, 34) or 2048.

    Args:
        depth, in_channels, width: Of the encoder.
        classes: Logits per image.
    """

    def __init__(self, *, depth: int, classes: int, in_channels: int = 3, width: int = 64) -> None:
        super().__init__()
        self.encoder = ResNet(depth=depth, in_channels=in_channels, width=width)
        self.head = nn.Linear(self.encoder.widths[-1], classes, bias=False)

    def forward(self, image_BCHW: Tensor) -> Output:
        """Return logits [B, classes] and the pooled features [B, d]."""
        pooled = self.encoder(image_BCHW).layer4.mean(dim=(-2, -1))  # adaptive pooling is not deterministic
        return Output(self.head(pooled), features=pooled)


@final
class _Block(nn.Module):
    """A residual block: two 3x3 convolutions, or 1x1, 3x3, 1x1 if it `grows`."""

    def __init__(self, before: int, after: int, *, stride: int, grows: int) -> None:
        super().__init__()
        inner = after // grows
        if grows == 1:
            self.conv1 = nn.Conv2d(before, inner, 3, stride=stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(inner)
            self.conv2 = nn.Conv2d(inner, after, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(after)
        else:
            self.conv1 = nn.Conv2d(before, inner, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(inner)
            self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(inner)
            self.conv3 = nn.Conv2d(inner, after, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(after)
        self.grows = grows
        if stride != 1 or before != after:
            self.downsample: nn.Module = nn.Sequential(
                nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after)
            )
        else:
            self.downsample = nn.Identity()  # without weights: no key

    def forward(self, features: Tensor) -> Tensor:
        path = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(features)))))
        if self.grows != 1:
            path = self.bn3(self.conv3(F.relu(path)))
        return F.relu(path + self.downsample(features))


def _initialise(network: nn.Module) -> None:
    """Draw the convolutions as the paper of He et al. 2015 (arXiv:1502.01852) does for ReLU."""
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
