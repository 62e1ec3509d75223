"""The published student, MONAI's SwinUNETR in 2-D. Imports MONAI when it is built, which costs seconds."""

from __future__ import annotations

from torch import nn


def build_swin_unetr(*, use_v2: bool = True) -> nn.Module:
    """Return the student: 7,183,483 parameters, 6,302,203 without `use_v2`; it returns logits.

    Sides must be divisible by 32 and at least 64. Keywords only: a positional call of the older form builds a
    wrong network without an error.

    Source: Hatamizadeh et al. 2022, arXiv:2201.01266.
    """
    from monai.networks.nets import SwinUNETR  # noqa: PLC0415 - 3-6 s; only who chooses it pays

    network: nn.Module = SwinUNETR(
        in_channels=1, out_channels=1, spatial_dims=2, use_v2=use_v2, feature_size=24, patch_norm=False
    )
    return network
