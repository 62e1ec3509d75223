"""Settings of the network."""

from __future__ import annotations

from typing import Literal

from pkgs.foundation.config import Section


class ModelConfig(Section):
    """Which network learns."""

    name: Literal["unet2d", "swin_unetr"] = "swin_unetr"
    """`swin_unetr` is the published one; `unet2d` trains on a CPU in a minute."""

    init_prior: bool = True
    """Start the output's bias at the logit of the training foreground share; no step is spent on it."""


class TeacherModelConfig(Section):
    """Which network predicts errors."""

    name: Literal["vit_error_map", "vit_error_map_light", "unet_error_map", "unet_error_map_light"] = (
        "vit_error_map"
    )
    """`vit_error_map` is the published ViT with a map head; `unet_error_map` a U-Net for local errors, base
    16; the light ones (the U-Net's base is 8) train on a CPU in a minute."""
