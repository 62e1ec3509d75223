"""Losses against wrong masks, tested five ways."""

from __future__ import annotations

import math

import pytest
import torch

from pkgs.losses.loss_sum import IGNORE
from pkgs.losses.robust import (
    bootstrap_map,
    bootstrap_sum,
    forward_sce_map,
    gce_map,
    gce_sum,
    imae_map,
    imae_sum,
    sce_map,
    sce_sum,
)
from pkgs.losses.segmentation import bce_map

MAPS = [sce_map, gce_map, imae_map, bootstrap_map]
SUMS = [sce_sum, gce_sum, imae_sum, bootstrap_sum]
THREE_QUARTERS = torch.tensor([[[math.log(3.0)]]])
ONE = torch.tensor([[1]])


def test_values_worked_out_by_hand() -> None:
    # p = 3/4, y = 1
    ce = math.log(4 / 3)
    assert sce_sum(THREE_QUARTERS, ONE).total.item() == pytest.approx(0.01 * ce + 4 * 0.25)
    assert gce_sum(THREE_QUARTERS, ONE).total.item() == pytest.approx((1 - 0.75**0.7) / 0.7)
    assert imae_sum(THREE_QUARTERS, ONE).total.item() == pytest.approx(0.25)
    mixed = 0.95 + 0.05 * 0.75
    expected = -(mixed * math.log(0.75) + (1 - mixed) * math.log(0.25))
    assert bootstrap_sum(THREE_QUARTERS, ONE).total.item() == pytest.approx(expected, rel=1e-5)


def test_the_reverse_term_is_four_times_the_distance_and_finite_for_any_logit() -> None:
    z = torch.tensor([[[-100.0, -1.0, 0.0, 2.0, 100.0]]])
    for label in (torch.zeros(1, 5).long(), torch.ones(1, 5).long()):
        reverse = sce_map(z, label, alpha=0)
        assert torch.allclose(reverse, 4 * (torch.sigmoid(z[:, 0]) - label).abs(), atol=1e-6)
        assert torch.isfinite(sce_map(z, label)).all()


@pytest.mark.parametrize(("foreground", "floor"), [(2, 0.692), (10, 0.662), (20, 0.623)])
def test_the_earlier_form_on_probabilities_has_its_floor_and_ours_none(foreground: int, floor: float) -> None:
    label = (torch.arange(100) < foreground).long()[None]
    as_if_logits = label.float().unsqueeze(1)  # the perfect mask, given to a second sigmoid
    assert forward_sce_map(as_if_logits, label).mean().item() == pytest.approx(floor, abs=5e-4)
    assert sce_map(200.0 * as_if_logits - 100, label).mean().item() < 1e-6


def test_the_earlier_form_is_nan_for_a_sure_and_right_answer() -> None:
    assert torch.isnan(forward_sce_map(torch.full((1, 1, 1), 20.0), ONE)).all()


def test_limits_are_cross_entropy_and_mean_absolute_error() -> None:
    z, label = torch.randn(2, 1, 4, 4).double(), torch.randint(0, 2, (2, 4, 4))
    ce, mae = bce_map(z, label), (torch.sigmoid(z[:, 0]) - label).abs()
    assert torch.allclose(gce_map(z, label, q=1e-9), ce, atol=1e-6)
    assert torch.allclose(gce_map(z, label, q=1.0), mae)
    assert torch.allclose(sce_map(z, label, alpha=1, beta=0), ce)
    assert torch.allclose(bootstrap_map(z, label, beta=1.0), ce)


@pytest.mark.parametrize("loss", MAPS)
def test_swapping_the_classes_changes_nothing(loss: object) -> None:
    z, label = torch.randn(2, 1, 4, 4).double(), torch.randint(0, 2, (2, 4, 4))
    assert torch.allclose(loss(z, label), loss(-z, 1 - label))


@pytest.mark.parametrize("loss", SUMS)
def test_sums_do_not_depend_on_how_a_batch_is_cut_nor_on_ignored_pixels(loss: object) -> None:
    z, label = torch.randn(3, 1, 4).double(), torch.randint(0, 2, (3, 4))
    label[:, 3] = IGNORE
    whole, parts = loss(z, label), [loss(z[:1], label[:1]), loss(z[1:], label[1:])]
    assert torch.allclose(whole.total, parts[0].total + parts[1].total)
    assert whole.weight == parts[0].weight + parts[1].weight == 9
    assert torch.allclose(whole.total, loss(z[..., :3], label[:, :3]).total)


@pytest.mark.parametrize("loss", [sce_map, gce_map, bootstrap_map])
def test_the_gradient_is_right_in_double_precision(loss: object) -> None:
    z = torch.randn(2, 1, 3, dtype=torch.double, requires_grad=True)
    label = torch.tensor([[0, 1, IGNORE], [1, 1, 0]])
    assert torch.autograd.gradcheck(lambda x: loss(x, label).sum(), (z,))


def test_the_gradient_of_imae_is_its_definition() -> None:
    z = torch.tensor([[[-6.0, -1.0, 0.0, 3.0]]], dtype=torch.double, requires_grad=True)
    label = torch.tensor([[1, 0, 1, IGNORE]])
    imae_map(z, label, sharpness=8.0).sum().backward()
    p = torch.sigmoid(z.detach()[:, 0])
    expected = -(2.0 * label - 1) * torch.exp(8 * p * (1 - p))
    assert torch.allclose(z.grad[0, 0, :3], expected[0, :3])
    assert z.grad[0, 0, 3] == 0


@pytest.mark.parametrize("loss", [*MAPS, forward_sce_map])
def test_a_lost_channel_axis_is_refused(loss: object) -> None:
    with pytest.raises(ValueError, match=r"Logits must be \[B, 1, \*space\]"):
        loss(torch.zeros(2, 4, 4), torch.zeros(2, 4, 4).long())


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="q is 0"):
        gce_map(THREE_QUARTERS, ONE, q=0)
    with pytest.raises(ValueError, match="beta is 2"):
        bootstrap_map(THREE_QUARTERS, ONE, beta=2)
