"""A network without a global token that predicts errors: a small U-Net on image and mask."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pkgs.models.light_unet import LightUNet
from pkgs.models.output import Output


@final
class UNetError(nn.Module):
    """Error logits per pixel; the answer for the image is the logit of their mean share, without weights.

        u = unet(x, m),    q = logit(mean_pixels sigmoid(u))

    504,801 parameters with three image channels, 126,833 with base 8. Errors of single objects are local:
    no token of the whole image is needed. Sides must be divisible by 8.

    Args:
        image_channels: Channels of the image; the mask is one more, the last.
        base: Channels at full resolution, a multiple of 4.
    """

    def __init__(self, *, image_channels: int = 1, base: int = 16) -> None:
        super().__init__()
        self.unet = LightUNet(in_channels=image_channels + 1, base=base)

    def forward(self, image_and_mask_BCHW: Tensor) -> Output:
        """Return `logits` [B, 1, H, W] and `image_logits` [B].

        Args:
            image_and_mask_BCHW: The image's channels, then the mask within [0, 1].
        """
        output: Output = self.unet(image_and_mask_BCHW)
        u = output.logits.flatten(1).float()
        # log mean sigmoid(u) - log mean sigmoid(-u), the number of pixels cancels: finite for any logit
        q = torch.logsumexp(F.logsigmoid(u), dim=1) - torch.logsumexp(F.logsigmoid(-u), dim=1)
        return output._replace(image_logits=q)
