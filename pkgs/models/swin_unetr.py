"""The published student of knowledge expansion: SwinUNETR in 2-D. MONAI loads when it is built, 3-6 s."""

from __future__ import annotations

from typing import Final, final

from torch import Tensor, nn

from pkgs.models.image_check import check_image
from pkgs.models.output import Output

SIDE_PX: Final = 32
"""It halves the image five times, and needs two elements at the bottom to normalise."""


@final
class SwinUNetR(nn.Module):
    """SwinUNETR: 7,183,483 parameters, 6,302,203 without `use_v2`. Keys of its weights are MONAI's.

    Takes over the parts of MONAI's module instead of wrapping it, so that the bottom features are an output.
    Keywords only: a positional call of MONAI's older form builds a wrong network without an error.

    Args:
        in_channels: Channels of the image.
        classes: Logits per pixel; 1 for foreground against background.
        feature_size: Channels at full resolution, a multiple of 12.
        use_v2: Residual convolutions at the start of each stage.

    Source: Hatamizadeh et al. 2022, arXiv:2201.01266.
    """

    swinViT: nn.Module  # noqa: N815 - the keys of its weights are MONAI's
    encoder1: nn.Module
    encoder2: nn.Module
    encoder3: nn.Module
    encoder4: nn.Module
    encoder10: nn.Module
    decoder1: nn.Module
    decoder2: nn.Module
    decoder3: nn.Module
    decoder4: nn.Module
    decoder5: nn.Module
    out: nn.Module

    def __init__(
        self, *, in_channels: int = 1, classes: int = 1, feature_size: int = 24, use_v2: bool = True
    ) -> None:
        super().__init__()
        from monai.networks.nets import SwinUNETR  # noqa: PLC0415 - only who chooses it pays

        self.in_channels = in_channels
        whole: nn.Module = SwinUNETR(
            in_channels=in_channels,
            out_channels=classes,
            spatial_dims=2,
            use_v2=use_v2,
            feature_size=feature_size,
            patch_norm=False,
        )
        for name, part in whole.named_children():
            self.add_module(name, part)

    def forward(self, image_BCHW: Tensor) -> Output:
        """Return logits [B, classes, H, W] and the bottom features."""
        check_image(
            image_BCHW,
            name="swin_unetr",
            channels=self.in_channels,
            divisor=SIDE_PX,
            least=2 * SIDE_PX,
        )
        stages = self.swinViT(image_BCHW, True)  # noqa: FBT003 - MONAI's `normalize`, its default
        skips = [
            self.encoder1(image_BCHW),
            self.encoder2(stages[0]),
            self.encoder3(stages[1]),
            self.encoder4(stages[2]),
            stages[3],
        ]
        bottom = features = self.encoder10(stages[4])
        decoders = (self.decoder5, self.decoder4, self.decoder3, self.decoder2, self.decoder1)
        for decoder, skip in zip(decoders, skips[::-1], strict=True):
            features = decoder(features, skip)
        return Output(self.out(features), features=bottom)
