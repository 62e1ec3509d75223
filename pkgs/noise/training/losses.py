"""What predictions cost against labels, by name: sums over pixels, or over images for ratios of sums."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import torch
from torch import Tensor

from pkgs.losses.loss_sum import IGNORE, LossSum
from pkgs.losses.overlap import dice_sum, lovasz_hinge_sum
from pkgs.losses.robust import bootstrap_sum, forward_sce_map, gce_sum, imae_sum, sce_sum
from pkgs.losses.segmentation import bce_sum
from pkgs.noise.compat import CompatConfig
from pkgs.noise.config import LossConfig

LabelLoss = Callable[[Tensor, Tensor], LossSum]
"""From logits [B, 1, H, W] and labels [B, H, W] to a sum and its weight."""

OF_IMAGES: Final = frozenset({"dice", "lovasz"})
"""Losses whose weight is the number of images; of all others it is that of the seen pixels."""


def label_loss(config: LossConfig, compat: CompatConfig) -> LabelLoss:
    """Return the loss that the settings name.

    Under `forward_rce` the reverse term of `sce` is one more cross-entropy; under `double_sigmoid` any loss
    gets probabilities where it wants logits. Both are what the reference did.
    """
    losses: dict[str, LabelLoss] = {
        "sce": partial(sce_sum, alpha=config.alpha, beta=config.beta),
        "bce": bce_sum,
        "dice": dice_sum,
        "lovasz": lovasz_hinge_sum,
        "gce": partial(gce_sum, q=config.q),
        "imae": partial(imae_sum, sharpness=config.sharpness),
        "bootstrap": partial(bootstrap_sum, beta=config.trust),
    }
    if compat.forward_rce:
        losses["sce"] = partial(_forward_sce_sum, alpha=config.alpha, beta=config.beta)
    chosen = losses[config.name]
    if not compat.double_sigmoid:
        return chosen
    return lambda logits_B1HW, label_BHW: chosen(torch.sigmoid(logits_B1HW), label_BHW)


def weights_of(label_BHW: Tensor, config: LossConfig) -> Tensor:
    """Return [B]: what each image weighs in the label loss, so that a second term can weigh the same."""
    if config.name in OF_IMAGES:
        return torch.ones(len(label_BHW), device=label_BHW.device)
    return (label_BHW != IGNORE).flatten(1).sum(dim=1).float()


def _forward_sce_sum(logits_B1HW: Tensor, label_BHW: Tensor, *, alpha: float, beta: float) -> LossSum:
    each = forward_sce_map(logits_B1HW, label_BHW, alpha=alpha, beta=beta)
    return LossSum(each.sum(), (label_BHW != IGNORE).sum().to(each.dtype))
