"""dil2D: dilated 2-D convolutions without padding. What it says of a pixel rests on RF x RF pixels alone."""

from __future__ import annotations

from typing import Final, final

from torch import Tensor, nn

from pkgs.models.image_check import check_image
from pkgs.models.output import Output

DILATIONS: Final = {
    35: (1, 1, 2, 4, 8, 1),
    67: (1, 1, 2, 4, 8, 16, 1),
    131: (1, 1, 2, 4, 8, 16, 32, 1),
}
"""Of the 3x3 convolutions, by receptive field: RF = 1 + 2 x their sum."""

CHANNELS: Final = 32


@final
class Dil2D(nn.Module):
    """68,994 parameters at RF 35 and 2 classes. A side n gives n - RF + 1: 185 -> 55 at RF 131.

    Args:
        in_channels: Channels of the image.
        classes: Logits per pixel.
        rf: Receptive field in pixels: 35, 67 or 131.
        uncertainty: A second whole head, for the teachers' standard deviation.

    Source: Wolterink et al. 2017, arXiv:1704.03669, as in ensemble distillation, section 3.
    """

    def __init__(
        self, *, in_channels: int = 1, classes: int = 2, rf: int = 131, uncertainty: bool = False
    ) -> None:
        super().__init__()
        if rf not in DILATIONS:
            raise ValueError(f"rf is {rf}; dil2D exists with receptive fields 35, 67 and 131.")
        self.in_channels, self.rf = in_channels, rf
        layers: list[nn.Module] = []
        for number, dilation in enumerate(DILATIONS[rf]):
            before = CHANNELS if number else in_channels
            layers += [nn.Conv2d(before, CHANNELS, 3, dilation=dilation), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.head = _head(classes)
        self.std_head = _head(classes) if uncertainty else None

    def forward(self, image_BCHW: Tensor) -> Output:
        """Return logits [B, classes, H - rf + 1, W - rf + 1]."""
        check_image(image_BCHW, name=f"dil2D (rf {self.rf})", channels=self.in_channels, least=self.rf)
        features = self.trunk(image_BCHW)
        std = None if self.std_head is None else self.std_head(features)
        return Output(self.head(features), features=features, std_logits=std)


def _head(classes: int) -> nn.Sequential:
    """Return three 1x1 convolutions, 32 -> 96 -> 192 -> classes."""
    return nn.Sequential(
        nn.BatchNorm2d(CHANNELS),
        nn.Dropout2d(0.5),
        nn.Conv2d(CHANNELS, 96, 1),
        nn.ReLU(),
        nn.BatchNorm2d(96),
        nn.Dropout2d(0.5),
        nn.Conv2d(96, 192, 1),
        nn.ReLU(),
        nn.Conv2d(192, classes, 1),
    )
