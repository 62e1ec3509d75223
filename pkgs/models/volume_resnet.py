"""The ResNets of ensemble distillation, 2-D and 3-D: down to a quarter, six residual blocks, up again."""

from __future__ import annotations

from typing import Final, final

from torch import Tensor, nn

from pkgs.models.dimensions import Layers, layers_of
from pkgs.models.image_check import check_image
from pkgs.models.output import Output

DIVISOR: Final = 4
BLOCKS: Final = 6


@final
class VolumeResNet(nn.Module):
    """5,868,930 parameters in 3-D with 2 classes, 1,960,770 in 2-D. No skips across resolutions.

    Args:
        in_channels: Channels of the image.
        classes: Logits per pixel.
        base: Channels at full resolution; twice and four times that below.
        dims: 2 or 3.
        tail_relu: ReLU between the two last 1x1 convolutions (`NEW`); without it they are one linear map.
        uncertainty: The tail twice, the second for the teachers' standard deviation.

    Source: ensemble distillation, section 3; pre-activated blocks of He et al. 2016, arXiv:1603.05027.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        in_channels: int = 1,
        classes: int = 2,
        base: int = 32,
        dims: int = 3,
        tail_relu: bool = True,
        uncertainty: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels, self.dims = in_channels, dims
        layers = layers_of(dims)
        self.down = nn.Sequential(
            *_conv(in_channels, base, layers, stride=1),
            *_conv(base, 2 * base, layers, stride=2),
            *_conv(2 * base, 4 * base, layers, stride=2),
        )
        self.blocks = nn.Sequential(*(_Block(4 * base, layers) for _ in range(BLOCKS)))
        self.up = nn.Sequential(*_up(4 * base, 2 * base, layers), *_up(2 * base, base, layers))
        self.head = _tail(base, classes, layers, relu=tail_relu)
        self.std_head = _tail(base, classes, layers, relu=tail_relu) if uncertainty else None

    def forward(self, image: Tensor) -> Output:
        """Return logits [B, classes, *space] and the deepest features [B, 4 base, *space / 4]."""
        check_image(image, name="volume ResNet", channels=self.in_channels, dims=self.dims, divisor=DIVISOR)
        deepest = self.blocks(self.down(image))
        features = self.up(deepest)
        std = None if self.std_head is None else self.std_head(features)
        return Output(self.head(features), features=deepest, std_logits=std)


@final
class _Block(nn.Module):
    """Normalised before each convolution; the identity around both."""

    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__()
        self.path = nn.Sequential(
            layers.norm(channels),
            nn.ReLU(),
            layers.conv(channels, channels, 3, padding=1),
            layers.norm(channels),
            nn.Dropout(0.5),
            nn.ReLU(),
            layers.conv(channels, channels, 3, padding=1),
            nn.Dropout(0.5),
        )

    def forward(self, features: Tensor) -> Tensor:
        joined: Tensor = features + self.path(features)
        return joined


def _conv(before: int, after: int, layers: Layers, *, stride: int) -> list[nn.Module]:
    return [layers.conv(before, after, 3, stride=stride, padding=1), layers.norm(after), nn.ReLU()]


def _up(before: int, after: int, layers: Layers) -> list[nn.Module]:
    up = layers.up(before, after, 3, stride=2, padding=1, output_padding=1)
    return [up, layers.norm(after), nn.ReLU()]


def _tail(channels: int, classes: int, layers: Layers, *, relu: bool) -> nn.Sequential:
    return nn.Sequential(
        layers.drop_channels(0.5),
        layers.conv(channels, channels, 1),
        nn.ReLU() if relu else nn.Identity(),
        layers.drop_channels(0.5),
        layers.conv(channels, classes, 1),
    )
