"""Losses of a teacher that predicts errors, tested five ways."""

from __future__ import annotations

import math

import pytest
import torch

from pkgs.losses.error_map import (
    LARGEST,
    LEAST_SHARE,
    error_share,
    image_mae_sum,
    image_nats,
    image_share,
    share_bce_map,
    share_bce_sum,
    share_huber_map,
    share_huber_sum,
    share_mae_map,
    share_mae_sum,
)
from pkgs.losses.loss_sum import IGNORE

MAPS = [share_bce_map, share_mae_map, share_huber_map]
SUMS = [share_bce_sum, share_mae_sum, share_huber_sum]


def test_the_scale_has_the_stated_ends() -> None:
    assert pytest.approx(4.605, abs=5e-4) == LARGEST
    assert pytest.approx(0.00218, abs=5e-6) == LEAST_SHARE


def test_shares_of_hard_and_soft_masks_worked_out_by_hand() -> None:
    mask = torch.tensor([[[1.0, 1.0, 0.5, 0.25, 0.0]]])
    share = error_share(mask, torch.tensor([[1, 0, 1, 0, IGNORE]]))
    expected = [LEAST_SHARE, 1.0, math.log(2) / LARGEST, math.log(4 / 3) / LARGEST, 0.0]
    assert torch.allclose(share, torch.tensor([[expected]]), atol=1e-6)
    assert share.shape == mask.shape


def test_swapping_the_classes_leaves_the_share() -> None:
    mask, label = torch.rand(2, 1, 4, 4), torch.randint(0, 2, (2, 4, 4))
    assert torch.allclose(error_share(mask, label), error_share(1 - mask, 1 - label), atol=1e-6)


def test_the_share_carries_a_gradient_that_can_be_cut() -> None:
    mask = (0.1 + 0.8 * torch.rand(1, 1, 3, 3, dtype=torch.double)).requires_grad_()
    label = torch.randint(0, 2, (1, 3, 3))
    assert torch.autograd.gradcheck(lambda m: error_share(m, label).sum(), (mask,))
    u = torch.zeros_like(mask, requires_grad=True)
    share_bce_map(u, error_share(mask, label).detach()).sum().backward()
    assert mask.grad is None


def test_logits_given_as_a_mask_are_refused() -> None:
    with pytest.raises(ValueError, match="Are these logits"):
        error_share(torch.tensor([[[3.0]]]), torch.tensor([[1]]))
    with pytest.raises(ValueError, match="within"):
        error_share(torch.tensor([[[math.nan]]]), torch.tensor([[1]]))


def test_images_have_the_mean_of_their_seen_pixels() -> None:
    share = torch.tensor([[[0.2, 0.4, 0.9]], [[0.5, 0.5, 0.5]]])
    seen = torch.tensor([[[True, True, False]], [[False, False, False]]])
    assert torch.allclose(image_share(share, seen_B1=seen), torch.tensor([0.3, 0.0]))


def test_losses_worked_out_by_hand() -> None:
    u, t = torch.tensor([[[math.log(3.0)]]]), torch.tensor([[[0.25]]])  # r = 3/4
    expected = -(0.25 * math.log(0.75) + 0.75 * math.log(0.25))
    assert share_bce_map(u, t).item() == pytest.approx(expected, rel=1e-6)
    assert share_mae_map(u, t).item() == pytest.approx(0.5)
    assert share_huber_map(u, t, delta=0.1).item() == pytest.approx(0.1 * (0.5 - 0.05))
    assert share_huber_map(u, t, delta=1.0).item() == pytest.approx(0.125)


def test_bce_is_lowest_at_the_expected_share_and_mae_at_the_median() -> None:
    t = torch.tensor([0.0, 0.0, 0.0, 1.0])  # nearly all pixels are right: the median is 0, the mean 1/4
    candidates = torch.linspace(0.01, 0.99, 99)
    bce, mae = (
        torch.stack([loss(torch.logit(r).expand(4), t).mean() for r in candidates])
        for loss in (share_bce_map, share_mae_map)
    )
    assert candidates[bce.argmin()].item() == pytest.approx(0.25, abs=0.011)
    assert candidates[mae.argmin()].item() == pytest.approx(0.01)


@pytest.mark.parametrize("loss", SUMS)
def test_sums_count_the_seen_pixels_and_have_the_right_gradient(loss: object) -> None:
    u = torch.randn(2, 1, 3, dtype=torch.double, requires_grad=True)
    t, seen = torch.rand(2, 1, 3).double(), torch.tensor([[[True, False, True]], [[True, True, True]]])
    assert torch.autograd.gradcheck(lambda z: loss(z, t, seen_B1=seen).total, (u,))
    assert loss(u, t, seen_B1=seen).weight.item() == 5


@pytest.mark.parametrize("loss", MAPS)
def test_maps_refuse_to_broadcast(loss: object) -> None:
    with pytest.raises(ValueError, match="Logits and shares must have the same shape"):
        loss(torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4))


def test_image_errors_worked_out_by_hand_with_their_gradient() -> None:
    total, weight = image_mae_sum(torch.tensor([0.0, math.log(3.0)]), torch.tensor([0.1, 0.7]))
    assert (total.item(), weight.item()) == (pytest.approx(0.4 + 0.05), 2.0)
    q = torch.randn(3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: image_mae_sum(z, torch.ones(3).double()).total, (q,))


def test_a_column_against_a_row_is_refused_because_it_trains_a_constant() -> None:
    with pytest.raises(ValueError, match=r"\(3, 1\) and \(3,\). They would broadcast"):
        image_mae_sum(torch.zeros(3, 1), torch.zeros(3))
    with pytest.raises(ValueError, match="One number per image"):
        image_mae_sum(torch.zeros(3, 1), torch.zeros(3, 1))


def test_nats_of_an_image_are_those_of_torch_and_100_times_the_wrong_share_of_hard_masks() -> None:
    mask, label = torch.rand(2, 1, 4, 4), torch.randint(0, 2, (2, 4, 4))
    oracle = torch.nn.functional.binary_cross_entropy(mask[:, 0], label.float(), reduction="none")
    assert torch.allclose(image_nats(mask, label), oracle.mean(dim=(1, 2)))
    assert image_nats(torch.tensor([[[0.0, 1.0, 1.0, 0.0]]]), torch.tensor([[1, 1, 1, IGNORE]])).tolist() == (
        pytest.approx([100 / 3])
    )


def test_nats_have_the_right_gradient() -> None:
    mask = (0.1 + 0.8 * torch.rand(2, 1, 3, dtype=torch.double)).requires_grad_()
    label = torch.tensor([[0, 1, IGNORE], [1, 1, 0]])
    assert torch.autograd.gradcheck(lambda m: image_nats(m, label), (mask,))
