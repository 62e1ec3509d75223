"""Losses by name, and the two terms of a taught student."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from pkgs.losses.loss_sum import IGNORE
from pkgs.models.output import Output
from pkgs.noise.compat import CompatConfig
from pkgs.noise.config import DistillationConfig, LossConfig, LossName
from pkgs.noise.training.distillation import Frozen, TaughtLoss, feature_distance, logit_distance
from pkgs.noise.training.losses import label_loss


class Plain(nn.Module):
    """Features are the image times a weight, logits their sum over the channels."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.norm = nn.BatchNorm2d(2)

    def forward(self, image_BCHW: Tensor) -> Output:
        features = self.norm(image_BCHW) * 0 + image_BCHW * self.weight
        return Output(features.sum(dim=1, keepdim=True), features=features)


def mean(name: str, logits: Tensor, label: Tensor, **switches: bool) -> float:
    total, weight = label_loss(LossConfig(name=name), CompatConfig(**switches))(logits, label)
    return float(total / weight)


def perfect(share: float) -> tuple[Tensor, Tensor]:
    """Return sure and right logits of 100 pixels, and their labels."""
    label = (torch.arange(100) < share * 100).to(torch.uint8).reshape(1, 10, 10)
    return torch.where(label == 1, 100.0, -100.0).unsqueeze(1), label


@pytest.mark.parametrize("name", get_args(LossName))
def test_every_loss_vanishes_for_a_perfect_mask_and_stays_finite_for_an_utterly_wrong_one(name: str) -> None:
    logits, label = perfect(0.2)
    assert mean(name, logits, label) == pytest.approx(0, abs=1e-3)
    wrong = (-logits).requires_grad_()
    total, weight = label_loss(LossConfig(name=name), CompatConfig())(wrong, label)
    (gradient,) = torch.autograd.grad(total / weight, wrong)
    assert float((total / weight).detach()) > 0.5
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize(("share", "floor"), [(0.02, 0.692), (0.1, 0.662), (0.2, 0.623)])
def test_two_sigmoids_make_a_perfect_mask_cost_what_the_reference_paid(share: float, floor: float) -> None:
    logits, label = perfect(share)
    assert mean("sce", logits, label, double_sigmoid=True, forward_rce=True) == pytest.approx(floor, abs=1e-3)
    assert mean("bce", logits, label, double_sigmoid=True) > 0.6
    assert mean("sce", logits, label) == pytest.approx(0, abs=1e-6)


def test_the_reverse_term_is_four_times_the_distance_and_finite_and_that_of_the_reference_is_neither() -> (
    None
):
    logits, label = torch.tensor([0.3, -2.0, 100.0, -100.0]).reshape(1, 1, 2, 2), torch.ones(1, 2, 2).byte()
    config = LossConfig(name="sce", alpha=0, beta=1)
    total, _ = label_loss(config, CompatConfig())(logits, label)
    assert float(total) == pytest.approx(float(4 * (1 - torch.sigmoid(logits)).abs().sum()), rel=1e-6)
    forward, _ = label_loss(config, CompatConfig(forward_rce=True))(logits, label)
    assert math.isnan(float(forward)) or float(forward) != pytest.approx(float(total), rel=0.05)
    sure, _ = label_loss(config, CompatConfig(forward_rce=True))(
        torch.full((1, 1, 1, 1), 20.0), label[:, :1, :1]
    )
    assert math.isnan(float(sure))


def taught(student: nn.Module, teacher: nn.Module | None, **config: object) -> TaughtLoss:
    told = DistillationConfig.model_validate({"start": "somewhere", **config})
    frozen = None if teacher is None else Frozen(teacher)
    loss = LossConfig(name="bce")
    return TaughtLoss(student, frozen, label_loss=label_loss(loss, CompatConfig()), loss=loss, config=told)


def test_the_loss_is_the_weighted_mean_of_both_terms_worked_out_by_hand() -> None:
    image, label = torch.ones(2, 2, 2, 2), torch.zeros(2, 2, 2, dtype=torch.uint8)
    with torch.no_grad():
        sums = taught(Plain(1.0), Plain(3.0), weight=0.25)(image, label)
    labels = math.log(1 + math.exp(2.0))  # z = 2, y = 0
    assert float(sums.taught / sums.weight) == pytest.approx(4.0)  # (1 - 3)²
    assert float(sums.total / sums.weight) == pytest.approx(0.25 * 4 + 0.75 * labels, rel=1e-6)


def test_halves_of_a_batch_add_up_to_the_whole_also_with_ignored_pixels() -> None:
    torch.manual_seed(0)
    image, label = torch.rand(4, 2, 4, 4), torch.randint(0, 2, (4, 4, 4)).byte()
    label[0, :2] = IGNORE
    loss = taught(Plain(1.0), Plain(0.5), weight=0.5, temperature=3)
    loss.eval()
    with torch.no_grad():
        whole = loss(image, label)
        halves = [loss(image[half], label[half]) for half in (slice(2), slice(2, 4))]
    for part, name in enumerate(whole._fields):
        assert float(sum(half[part] for half in halves)) == pytest.approx(float(whole[part]), rel=1e-5), name


def test_the_teacher_gets_no_gradient_and_its_norms_stay_whoever_trains_around_it() -> None:
    teacher = Plain(0.5)
    loss = taught(Plain(1.0), teacher, weight=0.5)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    loss.train()
    sums = loss(torch.rand(2, 2, 4, 4), torch.zeros(2, 4, 4).byte())
    sums.total.sum().backward()
    assert not teacher.training
    assert teacher.weight.grad is None
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert int(loss.student.norm.num_batches_tracked) == 1


def test_features_compared_by_direction_do_not_care_for_their_scale() -> None:
    features = torch.rand(2, 5, 3, 3, dtype=torch.double)
    other = torch.rand(2, 5, 3, 3, dtype=torch.double)
    plain = feature_distance(features, other, normalise="channel")
    assert torch.allclose(plain, feature_distance(7 * features, other / 3, normalise="channel"))
    assert float(feature_distance(features, 9 * features, normalise="channel").max()) < 1e-12
    assert torch.autograd.gradcheck(
        lambda x: feature_distance(x, other, normalise="channel"), features.requires_grad_()
    )


def test_features_of_unequal_shape_are_refused() -> None:
    with pytest.raises(
        ValueError, match="Student's features and teacher's features must have the same shape"
    ):
        feature_distance(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 2, 2), normalise="none")
    with pytest.raises(ValueError, match="without features cannot be distilled"):
        feature_distance(None, torch.zeros(1, 2, 2, 2), normalise="none")


def test_logits_that_agree_cost_nothing_and_ignored_pixels_do_not_count() -> None:
    teacher, label = torch.tensor([[[[1.0, -2.0]]]]), torch.tensor([[[0, IGNORE]]], dtype=torch.uint8)
    student = torch.tensor([[[[1.0, 5.0]]]])
    assert float(logit_distance(student, teacher, label, temperature=3)) == pytest.approx(0, abs=1e-6)
    assert float(logit_distance(student + 1, teacher, label, temperature=3)) > 0.1
