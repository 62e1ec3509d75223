"""Losses of a student against its teachers, tested five ways."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from pkgs.losses.distillation import (
    feature_mse_sum,
    soft_cross_entropy_map,
    soft_cross_entropy_sum,
    soft_kl_map,
    soft_kl_sum,
    soft_mse_map,
    soft_mse_sum,
    std_mse_sum,
    two_classes,
)

MAPS = [soft_mse_map, soft_kl_map, soft_cross_entropy_map]
SUMS = [soft_mse_sum, soft_kl_sum, soft_cross_entropy_sum]


def soft(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.double).softmax(dim=1)


def test_the_oracle_of_three_classes_and_no_opinion() -> None:
    z, q = torch.zeros(1, 3, 1, 1), torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)
    assert soft_mse_sum(z, q).total.item() == pytest.approx(0.6667, abs=5e-5)
    assert soft_cross_entropy_sum(z, q).total.item() == pytest.approx(1.0986, abs=5e-5)
    assert soft_kl_sum(z, q).total.item() == pytest.approx(1.0986, abs=5e-5)  # a sure teacher has no entropy


def test_kl_matches_a_value_worked_out_by_hand() -> None:
    # q = (3/4, 1/4), p = (1/2, 1/2): 3/4 ln 3/2 + 1/4 ln 1/2
    student, teacher = torch.zeros(1, 2, 1), torch.tensor([0.75, 0.25]).reshape(1, 2, 1)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert soft_kl_sum(student, teacher).total.item() == pytest.approx(expected)


def test_a_temperature_softens_student_and_teacher_alike() -> None:
    # q = (9/10, 1/10) at T = 2 is (3/4, 1/4); z = 0 stays (1/2, 1/2); T^2 = 4
    student, teacher = torch.zeros(1, 2, 1), torch.tensor([0.9, 0.1]).reshape(1, 2, 1)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert soft_kl_sum(student, teacher, temperature=2).total.item() == pytest.approx(4 * expected)
    assert soft_mse_sum(student, teacher, temperature=2).total.item() == pytest.approx(2 * 0.25**2)


@pytest.mark.parametrize("loss", MAPS)
def test_a_pixel_does_not_depend_on_its_neighbours(loss: object) -> None:
    z, q = torch.randn(3, 4, 5, 5).double(), soft(3, 4, 5, 5)
    alone = loss(z[1:2, :, 2:3], q[1:2, :, 2:3], temperature=2.0)
    assert torch.allclose(loss(z, q, temperature=2.0)[1:2, 2:3], alone)


@pytest.mark.parametrize("loss", MAPS)
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_a_student_that_equals_its_teacher_has_no_gradient(loss: object, temperature: float) -> None:
    z = torch.randn(2, 3, 2, 2, dtype=torch.double, requires_grad=True)
    loss(z, z.detach().softmax(1), temperature=temperature).sum().backward()
    assert z.grad.abs().max() < 1e-12


def test_kl_and_cross_entropy_have_one_gradient() -> None:
    z, q = torch.randn(2, 3, 2, 2, dtype=torch.double, requires_grad=True), soft(2, 3, 2, 2)
    first = torch.autograd.grad(soft_kl_map(z, q, temperature=2.0).sum(), z)[0]
    second = torch.autograd.grad(soft_cross_entropy_map(z, q, temperature=2.0).sum(), z)[0]
    assert torch.allclose(first, second)


def test_the_gradient_of_kl_hardly_depends_on_the_temperature() -> None:
    z = (1e-3 * torch.randn(4, 3, 2, 2, dtype=torch.double)).requires_grad_()
    q = (1e-3 * torch.randn(4, 3, 2, 2, dtype=torch.double)).softmax(1)
    cold, warm = (torch.autograd.grad(soft_kl_map(z, q, temperature=t).sum(), z)[0] for t in (1.0, 4.0))
    assert (cold - warm).norm() / cold.norm() < 0.01


@pytest.mark.parametrize("loss", SUMS)
def test_the_gradient_is_right_in_double_precision(loss: object) -> None:
    z, q = torch.randn(2, 3, 2, 2, dtype=torch.double, requires_grad=True), soft(2, 3, 2, 2)
    seen = torch.rand(2, 2, 2) > 0.3
    assert torch.autograd.gradcheck(lambda x: loss(x, q, temperature=2.5, seen=seen).total, (z,))


@pytest.mark.parametrize("loss", SUMS)
def test_no_gradient_reaches_the_teacher_and_unseen_pixels_do_not_count(loss: object) -> None:
    z, q = torch.randn(1, 3, 4).double(), soft(1, 3, 4).requires_grad_()
    seen = torch.tensor([[True, False, True, True]])
    total, weight = loss(z, q, seen=seen)
    assert weight.item() == 3
    assert not total.requires_grad
    assert torch.allclose(total, loss(z[:, :, seen[0]], q[:, :, seen[0]]).total)


@pytest.mark.parametrize("loss", SUMS)
def test_unequal_shapes_and_a_temperature_of_nothing_are_refused(loss: object) -> None:
    with pytest.raises(ValueError, match="Logits and soft labels must have the same shape"):
        loss(torch.zeros(2, 3, 4), torch.zeros(2, 1, 4))
    with pytest.raises(ValueError, match="temperature is 0"):
        loss(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4), temperature=0)


def test_features_match_a_value_worked_out_by_hand_and_the_teacher_is_a_constant() -> None:
    student, teacher = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]], requires_grad=True)
    total, weight = feature_mse_sum(student.requires_grad_(), teacher)
    total.backward()
    assert (total.item(), weight.item()) == (5.0, 2.0)
    assert student.grad.tolist() == [[2.0, -4.0]]
    assert teacher.grad is None


def test_features_of_other_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="Student's features and teacher's features"):
        feature_mse_sum(torch.zeros(2, 1), torch.zeros(2))


def test_a_standard_deviation_can_be_nothing_and_its_gradient_is_right() -> None:
    assert std_mse_sum(torch.full((1, 2, 3), -50.0), torch.zeros(1, 2, 3)).total.item() < 1e-12
    u, s = torch.randn(1, 2, 3, dtype=torch.double, requires_grad=True), 0.5 * torch.rand(1, 2, 3).double()
    assert torch.autograd.gradcheck(lambda x: std_mse_sum(x, s).total, (u,))
    by_hand = std_mse_sum(torch.zeros(1, 1, 1), torch.zeros(1, 1, 1)).total.item()
    assert by_hand == pytest.approx(math.log(2) ** 2)
    with pytest.raises(ValueError, match="Std logits and standard deviations"):
        std_mse_sum(torch.zeros(1, 2, 3), torch.zeros(1, 3))


def test_one_logit_as_two_classes_has_the_probabilities_of_its_sigmoid() -> None:
    z = torch.randn(2, 1, 3)
    assert torch.allclose(F.softmax(two_classes(z), dim=1)[:, 1:], torch.sigmoid(z))
