"""What teachers teach on unlabelled images: by hand, in the limit, and where the gradient goes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from pkgs.ensemble.committee import Committee
from pkgs.errormap.compat import CompatConfig
from pkgs.losses.error_map import LARGEST, LEAST_SHARE
from pkgs.losses.loss_sum import LossSum
from pkgs.models.error_teacher import ErrorPrediction, build_error_teacher
from pkgs.student.alternating import place
from pkgs.student.expansion import pool_loss, unanchored_loss, whole_loss
from pkgs.student.expansion_config import ExpansionConfig
from pkgs.student.pool_step import (
    PoolStep,
    PoolSums,
    UnanchoredStep,
    decoded_signal,
    opened,
    opinion,
    ramp,
    through_signal,
)

SOUND = CompatConfig()


def shares(*values: float) -> ErrorPrediction:
    """Return the answer of one teacher per value, for a single pixel."""
    logits = torch.tensor(values, dtype=torch.double).logit().reshape(-1, 1, 1, 1, 1)
    return ErrorPrediction(logits, torch.zeros(len(values), 1))


def pixel(value: float) -> Tensor:
    return torch.full((1, 1, 1, 1), value, dtype=torch.double)


def share_of(chance: float) -> float:
    return LEAST_SHARE + chance * (1 - LEAST_SHARE)


@pytest.mark.parametrize(
    ("mask", "chance", "label"), [(1.0, 0.1, 0.9), (0.0, 0.1, 0.1), (1.0, 0.9, 0.1), (0.0, 0.9, 0.9)]
)
def test_the_decoded_signal_is_the_cross_entropy_with_the_implied_label(
    mask: float, chance: float, label: float
) -> None:
    config = ExpansionConfig()
    said = opinion(shares(share_of(chance)), config, compat=SOUND)
    logit = pixel(0.4)
    p = 1 / (1 + math.exp(-0.4))
    found = decoded_signal(logit, pixel(mask), said=said, config=config)
    assert found.loss_B1HW.item() == pytest.approx(-label * math.log(p) - (1 - label) * math.log(1 - p))
    assert bool(found.open_B1HW.item())


def test_the_decoded_gradient_is_p_minus_the_implied_label() -> None:
    config = ExpansionConfig()
    said = opinion(shares(share_of(0.05)), config, compat=SOUND)
    logit = pixel(0.4).requires_grad_()
    decoded_signal(logit, pixel(1.0), said=said, config=config).loss_B1HW.sum().backward()
    assert logit.grad is not None
    assert logit.grad.item() == pytest.approx(1 / (1 + math.exp(-0.4)) - 0.95)


@pytest.mark.parametrize(("chance", "is_open"), [(0.19, True), (0.21, False), (0.79, False), (0.81, True)])
def test_the_gate_opens_where_the_teacher_is_sure(chance: float, is_open: bool) -> None:  # noqa: FBT001
    config = ExpansionConfig()
    said = opinion(shares(share_of(chance)), config, compat=SOUND)
    assert bool(opened(said, config).item()) == is_open
    signal = through_signal(said=said, config=config)
    assert signal.loss_B1HW.item() == pytest.approx(LARGEST * share_of(chance) if is_open else 0)


def test_a_committee_of_two_minds_is_not_heard() -> None:
    config = ExpansionConfig(combine="median")
    apart = opinion(shares(*(share_of(c) for c in (0.0, 0.0, 0.9))), config, compat=SOUND)
    assert apart.chance_B1HW.item() == pytest.approx(0, abs=1e-9)
    assert apart.spread_B1HW.item() == pytest.approx(0.4243, abs=1e-4)
    assert not bool(opened(apart, config).item())
    assert bool(opened(apart, ExpansionConfig(combine="median", most_spread=0.5)).item())


def test_a_sum_of_shares_may_exceed_one_and_its_chance_may_not() -> None:
    said = opinion(shares(0.9, 0.8), ExpansionConfig(combine="sum"), compat=SOUND)
    assert said.share_B1HW.item() == pytest.approx(1.7)
    assert said.chance_B1HW.item() == 1


def test_a_teacher_of_one_number_in_nats_says_it_of_every_pixel() -> None:
    answer = ErrorPrediction(torch.zeros(1, 2, 1, 2, 2), torch.tensor([[LARGEST / 2, 2 * LARGEST]]))
    said = opinion(answer, ExpansionConfig(), compat=CompatConfig(score_100=True))
    assert said.share_B1HW.flatten(1).tolist() == [[0.5] * 4, [1.0] * 4]


@pytest.mark.parametrize(("step", "factor"), [(0, 0.0), (10, 0.5), (20, 1.0), (99, 1.0)])
def test_the_teachers_weight_rises_over_the_first_fifth(step: int, factor: float) -> None:
    assert ramp(step, steps=100, share=0.2) == factor
    assert ramp(step, steps=100, share=0.0) == 1.0


def networks() -> tuple[nn.Module, nn.Module, Committee]:
    torch.manual_seed(0)
    student, average = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1)
    teachers = [build_error_teacher("vit_error_map_light", seed=seed, size_px=16) for seed in (1, 2)]
    return student, average.requires_grad_(requires_grad=False), Committee(teachers)


def gradient_of(student: nn.Module) -> Tensor:
    return torch.cat(
        [p.grad.flatten() if p.grad is not None else torch.zeros(1) for p in student.parameters()]
    )


@pytest.mark.parametrize("signal", ["decoded", "through"])
def test_the_students_gradient_is_not_zero_and_the_teachers_get_none(signal: str) -> None:
    student, average, committee = networks()
    config = ExpansionConfig.model_validate({"signal": signal, "sure": 0.0, "most_spread": 1.0})
    step = PoolStep(student, average, committee, config=config, compat=SOUND)
    step(torch.rand(2, 1, 16, 16)).signal.backward()
    assert gradient_of(student).abs().max() > 0
    assert all(p.grad is None for module in (average, committee) for p in module.parameters())


@pytest.mark.parametrize("signal", ["decoded", "through"])
def test_d7_a_committee_under_no_grad_teaches_nothing(signal: str) -> None:
    student, average, committee = networks()
    config = ExpansionConfig.model_validate({"signal": signal, "sure": 0.0, "most_spread": 1.0})
    compat = CompatConfig(committee_no_grad=True)
    sums = PoolStep(student, average, committee, config=config, compat=compat)(torch.rand(2, 1, 16, 16))
    assert not sums.signal.requires_grad
    assert sums.consistency.requires_grad
    unanchored = UnanchoredStep(student, committee, compat=compat)(torch.rand(2, 1, 16, 16))
    loss = unanchored_loss(*unanchored)
    loss.total.sum().backward()
    assert all(p.grad is None for p in student.parameters())


def test_the_through_gradient_is_that_of_finite_differences() -> None:
    _, _, committee = networks()
    committee.double()
    image = torch.rand(1, 1, 16, 16, dtype=torch.double)
    config = ExpansionConfig(signal="through", sure=0.0, most_spread=1.0)

    def loss(logits: Tensor) -> Tensor:
        said = opinion(committee(image, torch.sigmoid(logits)), config, compat=SOUND)
        return through_signal(said=said, config=config).loss_B1HW.mean()

    logits = torch.randn(1, 1, 16, 16, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(loss, (logits.requires_grad_(),), fast_mode=True)


def test_consistency_is_the_squared_distance_from_the_average() -> None:
    student, average = nn.Identity(), nn.Identity()
    step = PoolStep(student, average, None, config=ExpansionConfig(), compat=SOUND)
    assert step(torch.rand(2, 1, 4, 4)).consistency.item() == 0
    apart = PoolStep(
        nn.Threshold(9, 0.0), nn.Threshold(9, math.log(3)), None, config=ExpansionConfig(), compat=SOUND
    )
    sums = apart(torch.zeros(2, 1, 4, 4))  # p = .5 and .75
    assert (sums.consistency / sums.pixels).item() == pytest.approx(0.0625)


def test_d5_minimises_the_raw_number_of_all_teachers_on_half_of_the_batch() -> None:
    student, _, committee = networks()
    step = UnanchoredStep(student, committee, compat=CompatConfig(logits_to_teacher=True))
    assert committee.training
    image = torch.rand(4, 1, 16, 16)
    total, weight = step(image)
    with torch.no_grad():
        expected = committee(image[:2], student(image[:2])).image_logits_B.sum()
    assert weight.item() == 2
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)


def sums(signal: float, consistency: float, pixels: float = 8.0) -> PoolSums:
    return PoolSums(*(torch.tensor([value]) for value in (signal, 4.0, consistency, pixels)))


def test_a_step_adds_up_its_three_terms_by_their_weights() -> None:
    config = ExpansionConfig(labelled_weight=2.0, consistency_weight=3.0)
    s = LossSum(torch.tensor(6.0), torch.tensor(4.0))
    loss = whole_loss(s, sums(16.0, 8.0), config=config, teacher_weight=0.5)
    assert (loss.total / loss.weight).item() == pytest.approx(2 * 1.5 + 0.5 * 2 + 3 * 1)
    told = {name: (total / weight).item() for name, (total, weight) in loss.scalars.items()}
    assert told == pytest.approx({"s": 1.5, "P": 2, "consistency": 1, "gated": 0.5, "lambda_t": 0.5})
    alone = pool_loss(sums(16.0, 8.0), config=config, teacher_weight=0.5)
    assert (alone.total / alone.weight).item() == pytest.approx(0.5 * 2 + 3 * 1)


def test_rounds_alternate_and_each_kind_counts_its_own_draws() -> None:
    steps = [place(range(3 * k, 3 * k + 3), batch=3, round_steps=2) for k in range(6)]
    assert [unlabelled for unlabelled, _ in steps] == [True, True, False, False, True, True]
    assert [own.start for _, own in steps] == [0, 3, 0, 3, 6, 9]
    assert place(range(7, 9), batch=3, round_steps=2) == (False, range(1, 3))
