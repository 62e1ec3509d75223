"""Losses of pixels against masks of which some are wrong. Binary: logits [B, 1, *space], labels [B, *space].

p = sigmoid(z), computed once, from logits; p_t is the probability of the given label. Each has a `..._map`
form, 0 where a pixel is ignored, and a `..._sum` form, whose weight is the number of pixels that count.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from pkgs.losses.loss_sum import IGNORE, LossSum, check_pixels
from pkgs.losses.segmentation import bce_map

LOG_FLOOR: Final = -4.0
"""A of symmetric cross-entropy: what log 0 counts as."""


def sce_map(
    logits_B1: Tensor, label: Tensor, *, alpha: float = 0.01, beta: float = 1.0, ignore: int = IGNORE
) -> Tensor:
    r"""Return the symmetric cross-entropy of each pixel.

        alpha CE + beta RCE,    RCE = -[p log y* + (1 - p) log(1 - y*)] = 4 |p - y|,    log 0 := -4

    The reverse term takes the label's logarithm, so no logit can turn it into NaN. At alpha .01 the loss is
    almost an MAE, which underfits.

    Args:
        logits_B1: [B, 1, *space]. Receives the gradient.
        label: [B, *space], 0, 1 or `ignore`; whole numbers.
        alpha: Weight of the cross-entropy.
        beta: Weight of the reverse term.
        ignore: Label of the pixels that do not count.

    Raises:
        ValueError: If the shapes do not belong together, or the labels are no whole numbers.

    Source: Wang et al. 2019, arXiv:1908.06112, equations 6 to 8.
    """
    ce = bce_map(logits_B1, label, ignore=ignore)
    return alpha * ce + beta * -LOG_FLOOR * _distance(logits_B1, label, ignore)


def forward_sce_map(
    logits_B1: Tensor, label: Tensor, *, alpha: float = 0.01, beta: float = 1.0, ignore: int = IGNORE
) -> Tensor:
    """Return the form of an earlier implementation, whose "reverse" term is one more cross-entropy.

    y is cut at 1e-4 and p at 1e-7. NaN at a sure and right answer (z = 20). For ablations only; arguments as
    `sce_map`.
    """
    ce = bce_map(logits_B1, label, ignore=ignore)
    seen = label != ignore
    target = torch.where(seen, label, 0).to(logits_B1.dtype).clamp(1e-4, 1)
    p = torch.sigmoid(logits_B1[:, 0]).clamp(1e-7, 1)
    forward = -(target * p.log() + (1 - target) * (1 - p).log())
    return alpha * ce + beta * torch.where(seen, forward, 0)


def gce_map(logits_B1: Tensor, label: Tensor, *, q: float = 0.7, ignore: int = IGNORE) -> Tensor:
    r"""Return the generalised cross-entropy of each pixel: (1 - p_t^q) / q.

    q -> 0 is cross-entropy, q = 1 the mean absolute error.

    Args:
        logits_B1: [B, 1, *space]. Receives the gradient.
        label: [B, *space], 0, 1 or `ignore`; whole numbers.
        q: Within (0, 1].
        ignore: Label of the pixels that do not count.

    Raises:
        ValueError: If the shapes do not belong together, the labels are no whole numbers, or q is out of
        range.

    Source: Zhang and Sabuncu 2018, arXiv:1805.07836, equation 6.
    """
    if not 0 < q <= 1:
        raise ValueError(f"q is {q:g}; expected one within (0, 1].")
    check_pixels(logits_B1, label, channels=1, ignore=ignore)
    log_pt = F.logsigmoid(_signed(logits_B1, label))
    return torch.where(label != ignore, -torch.expm1(q * log_pt) / q, 0)


def imae_map(logits_B1: Tensor, label: Tensor, *, sharpness: float = 8.0, ignore: int = IGNORE) -> Tensor:
    r"""Return |p - y| of each pixel, with the gradient of the improved mean absolute error.

        dL/dz = -(2 y - 1) exp(T p_t (1 - p_t))

    The loss is defined by how it weighs examples, and has no closed form: the value is the plain MAE, for the
    logs; only the gradient is IMAE's. MAE itself weighs by p_t (1 - p_t), and so never learns a hard pixel.

    Args:
        logits_B1: [B, 1, *space]. Receives the gradient.
        label: [B, *space], 0, 1 or `ignore`; whole numbers.
        sharpness: T, at least 0; at 0 all pixels weigh the same.
        ignore: Label of the pixels that do not count.

    Raises:
        ValueError: If the shapes do not belong together, or the labels are no whole numbers.

    Source: Wang et al. 2019, arXiv:1903.12141, section 4.
    """
    mae = _distance(logits_B1, label, ignore).detach()
    signed = _signed(logits_B1, label)
    weight = torch.where(label != ignore, torch.exp(sharpness * mae * (1 - mae)), 0).detach()
    pull = -weight * signed
    return mae + (pull - pull.detach())


def bootstrap_map(logits_B1: Tensor, label: Tensor, *, beta: float = 0.95, ignore: int = IGNORE) -> Tensor:
    r"""Return the soft bootstrapped cross-entropy of each pixel: the label is mixed with the prediction.

        -[t log p + (1 - t) log(1 - p)],    t = beta y + (1 - beta) p

    Args:
        logits_B1: [B, 1, *space]. Receives the gradient, through t too.
        label: [B, *space], 0, 1 or `ignore`; whole numbers.
        beta: Within [0, 1]; 1 is cross-entropy.
        ignore: Label of the pixels that do not count.

    Raises:
        ValueError: If the shapes do not belong together, the labels are no whole numbers, or beta is out of
        range.

    Source: Reed et al. 2015, arXiv:1412.6596, equation 6.
    """
    if not 0 <= beta <= 1:
        raise ValueError(f"beta is {beta:g}; expected one within [0, 1].")
    ce = bce_map(logits_B1, label, ignore=ignore)
    z = logits_B1[:, 0]
    entropy = F.softplus(z) - z * torch.sigmoid(z)
    return beta * ce + (1 - beta) * torch.where(label != ignore, entropy, 0)


def sce_sum(
    logits_B1: Tensor, label: Tensor, *, alpha: float = 0.01, beta: float = 1.0, ignore: int = IGNORE
) -> LossSum:
    """Return the sum of `sce_map` and the number of pixels that entered it."""
    return _counted(sce_map(logits_B1, label, alpha=alpha, beta=beta, ignore=ignore), label, ignore)


def gce_sum(logits_B1: Tensor, label: Tensor, *, q: float = 0.7, ignore: int = IGNORE) -> LossSum:
    """Return the sum of `gce_map` and the number of pixels that entered it."""
    return _counted(gce_map(logits_B1, label, q=q, ignore=ignore), label, ignore)


def imae_sum(logits_B1: Tensor, label: Tensor, *, sharpness: float = 8.0, ignore: int = IGNORE) -> LossSum:
    """Return the sum of `imae_map` and the number of pixels that entered it."""
    return _counted(imae_map(logits_B1, label, sharpness=sharpness, ignore=ignore), label, ignore)


def bootstrap_sum(logits_B1: Tensor, label: Tensor, *, beta: float = 0.95, ignore: int = IGNORE) -> LossSum:
    """Return the sum of `bootstrap_map` and the number of pixels that entered it."""
    return _counted(bootstrap_map(logits_B1, label, beta=beta, ignore=ignore), label, ignore)


def _distance(logits_B1: Tensor, label: Tensor, ignore: int) -> Tensor:
    """Return |p - y| = sigmoid(-z (2 y - 1)), 0 where ignored."""
    check_pixels(logits_B1, label, channels=1, ignore=ignore)
    return torch.where(label != ignore, torch.sigmoid(-_signed(logits_B1, label)), 0)


def _signed(logits_B1: Tensor, label: Tensor) -> Tensor:
    """Return z where the label is 1 and -z elsewhere: the logit of the given label."""
    z = logits_B1[:, 0]
    return torch.where(label == 1, z, -z)


def _counted(each: Tensor, label: Tensor, ignore: int) -> LossSum:
    return LossSum(each.sum(), (label != ignore).sum().to(each.dtype))
