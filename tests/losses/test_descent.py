"""Every loss trains: free logits, one batch, and the loss falls to a fraction."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pkgs.losses import (
    classification,
    contrastive,
    distillation,
    error_map,
    overlap,
    robust,
    segmentation,
)

MASK = torch.randint(0, 2, (2, 6, 6), generator=torch.Generator().manual_seed(0))
CLASSES = torch.randint(0, 3, (2, 6, 6), generator=torch.Generator().manual_seed(1))
SURE = torch.nn.functional.one_hot(CLASSES, 3).movedim(-1, 1).float()
SHARE = MASK.unsqueeze(1).float()
SEEN = torch.ones_like(SHARE).bool()

BINARY = (2, 1, 6, 6)
MULTI = (2, 3, 6, 6)

LOSSES: list[tuple[str, tuple[int, ...], Callable[[Tensor], tuple[Tensor, ...]]]] = [
    ("bce", BINARY, lambda z: segmentation.bce_sum(z, MASK)),
    ("cross_entropy", MULTI, lambda z: segmentation.cross_entropy_sum(z, CLASSES)),
    ("dice", BINARY, lambda z: overlap.dice_sum(z, MASK)),
    ("pooled_dice", MULTI, lambda z: overlap.pooled_dice_sum(z, CLASSES)),
    ("lovasz_hinge", BINARY, lambda z: overlap.lovasz_hinge_sum(z, MASK)),
    ("lovasz_softmax", MULTI, lambda z: overlap.lovasz_softmax_sum(z, CLASSES)),
    ("class", (6, 3), lambda z: classification.class_cross_entropy_sum(z, CLASSES[0, 0])),
    ("multilabel", (6, 6), lambda z: classification.multilabel_bce_sum(z, MASK[0])),
    ("soft_mse", MULTI, lambda z: distillation.soft_mse_sum(z, SURE)),
    ("soft_kl", MULTI, lambda z: distillation.soft_kl_sum(z, SURE, temperature=2.0)),
    ("soft_ce", MULTI, lambda z: distillation.soft_cross_entropy_sum(z, SURE)),
    ("features", MULTI, lambda z: distillation.feature_mse_sum(z, SURE)),
    ("std", MULTI, lambda z: distillation.std_mse_sum(z, 0.5 * SURE)),
    ("sce", BINARY, lambda z: robust.sce_sum(z, MASK)),
    ("gce", BINARY, lambda z: robust.gce_sum(z, MASK)),
    ("imae", BINARY, lambda z: robust.imae_sum(z, MASK)),
    ("bootstrap", BINARY, lambda z: robust.bootstrap_sum(z, MASK)),
    ("share_bce", BINARY, lambda u: error_map.share_bce_sum(u, SHARE, seen_B1=SEEN)),
    ("share_mae", BINARY, lambda u: error_map.share_mae_sum(u, SHARE, seen_B1=SEEN)),
    ("share_huber", BINARY, lambda u: error_map.share_huber_sum(u, SHARE, seen_B1=SEEN)),
    ("image_mae", (6,), lambda q: error_map.image_mae_sum(q, SHARE[0, 0, 0])),
    ("nt_xent", (2, 4, 8), lambda v: contrastive.nt_xent_sum(v[0], v[1], temperature=0.1)),
]


@pytest.mark.parametrize(("shape", "loss"), [case[1:] for case in LOSSES], ids=[case[0] for case in LOSSES])
def test_free_logits_descend_on_one_batch(
    shape: tuple[int, ...], loss: Callable[[Tensor], tuple[Tensor, ...]]
) -> None:
    logits = torch.randn(shape, generator=torch.Generator().manual_seed(2)).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.3)
    values = []
    for _ in range(60):
        total, weight, *_ = loss(logits)
        values.append((total / weight).item())
        optimiser.zero_grad()
        (total / weight).backward()
        optimiser.step()
    assert values[-1] < 0.2 * values[0]
