"""The teacher that predicts errors: a ViT on image and mask. One number per image, or a map and a number.

MONAI loads when it is built. Its traps: the classification head would end in Tanh, which bounds a predicted
error at 1; the position embedding fixes the image size; hidden states precede the last norm.
"""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor, nn

from pkgs.models.image_check import check_image
from pkgs.models.output import Output

FOLDED: Final = 8
"""Full-size channels of the map head; the light teacher has 4."""


@final
class ViTError(nn.Module):
    """85,592,833 parameters with one image channel and no map.

    Some of them (`norm_cross_attn` of each block) are MONAI's and take part in nothing.

    Args:
        image_channels: Channels of the image; the mask is one more, the last.
        size_px: The only side that it takes.
        patch_px: Side of a token; divides `size_px`.
        hidden: Numbers per token, a multiple of `heads`.
        mlp: Hidden units of each block's MLP.
        layers: Blocks.
        heads: Of the attention.
        error_map: Add the head for a map.
        folded: Full-size channels that the tokens are folded to.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929; heads as in knowledge expansion, section 3.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        image_channels: int = 1,
        size_px: int = 224,
        patch_px: int = 16,
        hidden: int = 768,
        mlp: int = 3072,
        layers: int = 12,
        heads: int = 12,
        error_map: bool = False,
        folded: int = FOLDED,
    ) -> None:
        super().__init__()
        from monai.networks.nets import ViT  # noqa: PLC0415 - 3-6 s; only who chooses it pays

        if size_px % patch_px:
            raise ValueError(f"size_px {size_px} is not a multiple of patch_px {patch_px}.")
        self.in_channels, self.size_px = image_channels + 1, size_px
        self.vit: nn.Module = ViT(
            in_channels=self.in_channels,
            img_size=(size_px, size_px),
            patch_size=(patch_px, patch_px),
            hidden_size=hidden,
            mlp_dim=mlp,
            num_layers=layers,
            num_heads=heads,
            spatial_dims=2,
            classification=True,
            num_classes=1,
            post_activation=None,
        )
        self.map_head = (
            _MapHead(self.in_channels, hidden=hidden, patch_px=patch_px, folded=folded) if error_map else None
        )

    def forward(self, image_and_mask_BCHW: Tensor) -> Output:
        """Return the error's logits: [B, 1] per image; with a map [B, 1, H, W], and `image_logits` [B].

        Args:
            image_and_mask_BCHW: The image's channels, then the mask within [0, 1].
        """
        check_image(image_and_mask_BCHW, name="vit_error", channels=self.in_channels)
        sides = tuple(image_and_mask_BCHW.shape[-2:])
        if sides != (self.size_px, self.size_px):
            raise ValueError(
                f"vit_error was built for sides of {self.size_px}, got {sides[0]} x {sides[1]}. "
                f"Its position embedding fixes the size: build it with size_px={sides[0]}, or resize."
            )
        image_logits_B1, hidden_states = self.vit(image_and_mask_BCHW)
        tokens = hidden_states[-1][:, 1:]  # without the class token
        if self.map_head is None:
            return Output(image_logits_B1, features=tokens)
        logits = self.map_head(image_and_mask_BCHW, tokens)
        return Output(logits, features=tokens, image_logits=image_logits_B1[:, 0])


@final
class _MapHead(nn.Module):
    """Tokens folded to full size, joined with convolutions of the input: where, and how exactly where."""

    def __init__(self, in_channels: int, *, hidden: int, patch_px: int, folded: int) -> None:
        super().__init__()
        self.patch_px, self.folded = patch_px, folded
        self.norm = nn.LayerNorm(hidden)
        self.unfold = nn.Linear(hidden, folded * patch_px**2)
        self.near = nn.Sequential(
            nn.Conv2d(in_channels, folded, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(folded, folded, 3, padding=1),
            nn.SiLU(),
        )
        self.join = nn.Sequential(
            nn.Conv2d(2 * folded, folded, 3, padding=1), nn.SiLU(), nn.Conv2d(folded, 1, 3, padding=1)
        )

    def forward(self, image_BCHW: Tensor, tokens_BTD: Tensor) -> Tensor:
        side, patch, folded = image_BCHW.shape[-1], self.patch_px, self.folded
        count = side // patch
        values = self.unfold(self.norm(tokens_BTD)).unflatten(1, (count, count))
        far = values.unflatten(3, (folded, patch, patch)).permute(0, 3, 1, 4, 2, 5)
        far = far.reshape(-1, folded, side, side)
        logits: Tensor = self.join(torch.cat([far, self.near(image_BCHW)], dim=1))
        return logits
