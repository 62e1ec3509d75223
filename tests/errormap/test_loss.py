"""The teacher's loss: one scale, equal shapes, a detached target; and each defect by its switch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.loss import MixedLoss, TeacherLoss, TeacherLossConfig, seen_of, shown_mask, true_mask
from pkgs.losses.error_map import LEAST_SHARE, error_share
from pkgs.losses.loss_sum import IGNORE
from pkgs.models.error_teacher import ErrorPrediction, build_error_teacher

SOUND = CompatConfig()


def loss_of(compat: CompatConfig = SOUND, **config: object) -> TeacherLoss:
    return TeacherLoss(TeacherLossConfig(**config), compat)


def told(image_logits: list[float], *, side: int = 2, map_logit: float = 0.0) -> ErrorPrediction:
    batch = len(image_logits)
    return ErrorPrediction(torch.full((batch, 1, side, side), map_logit), torch.tensor(image_logits))


def with_wrong(*wrong: int, side: int = 2) -> tuple[Tensor, Tensor]:
    """Return empty labels, and masks in which so many pixels are wrong."""
    mask = torch.zeros(len(wrong), side * side)
    for k, count in enumerate(wrong):
        mask[k, :count] = 1
    return mask.view(-1, 1, side, side), torch.zeros(len(wrong), side, side, dtype=torch.uint8)


def test_the_loss_worked_out_by_hand() -> None:
    mask, label = with_wrong(1)  # t = 1 in one pixel, t0 in three; r = 1/2 everywhere, sigmoid(q) = 3/4
    total, weight = loss_of()(told([math.log(3.0)]), mask, label)
    mean_t = (1 + 3 * LEAST_SHARE) / 4
    assert weight.item() == 4
    assert total.item() / 4 == pytest.approx(math.log(2) + 0.75 - mean_t, rel=1e-6)


def test_the_weight_of_the_image_scales_its_term_alone_and_0_leaves_the_map() -> None:
    mask, label = with_wrong(1)
    totals = [loss_of(image_weight=v)(told([3.0]), mask, label).total.item() for v in (0, 1, 2)]
    assert totals[0] / 4 == pytest.approx(math.log(2), rel=1e-6)
    assert totals[2] - totals[1] == pytest.approx(totals[1] - totals[0], rel=1e-6)
    assert loss_of()(told([3.0]), mask, label).total.item() == totals[1]


def test_ignored_pixels_have_no_part_in_it() -> None:
    mask, label = with_wrong(2)
    label[0, 0, 0] = IGNORE  # one of the two wrong ones
    total, weight = loss_of()(told([0.0]), mask, label)
    mean_t = (1 + 2 * LEAST_SHARE) / 3
    assert weight.item() == 3
    assert total.item() / 3 == pytest.approx(math.log(2) + abs(0.5 - mean_t), rel=1e-6)
    assert seen_of(torch.ones_like(mask), label).flatten().tolist() == [0, 1, 1, 1]


def test_micro_batches_add_up_to_the_batch_also_with_ignored_pixels() -> None:
    mask, label = torch.rand(4, 1, 8, 8), torch.randint(0, 2, (4, 8, 8))
    label[0, :5] = IGNORE
    answer = ErrorPrediction(torch.randn(4, 1, 8, 8), torch.randn(4))
    parts = [loss_of()(ErrorPrediction(*(v[k] for v in answer)), mask[k], label[k]) for k in ([0, 1], [2, 3])]
    whole = loss_of()(answer, mask, label)
    assert sum(p.total.item() for p in parts) == pytest.approx(whole.total.item(), rel=1e-6)
    assert sum(p.weight.item() for p in parts) == whole.weight.item()


def test_it_is_lowest_where_the_prediction_is_the_target() -> None:
    torch.manual_seed(0)
    mask, label = 0.1 + 0.8 * torch.rand(2, 1, 4, 4), torch.randint(0, 2, (2, 4, 4))
    t = error_share(mask, label)
    q = t.mean(dim=(1, 2, 3))
    best = loss_of()(ErrorPrediction(t.logit(), q.logit()), mask, label).total
    for _ in range(5):
        other = ErrorPrediction(t.logit() + 0.3 * torch.randn_like(t), q.logit() + 0.3 * torch.randn_like(q))
        assert loss_of()(other, mask, label).total > best


def test_its_gradient_is_right_in_double_precision() -> None:
    u, q = torch.randn(2, 1, 3, 3, dtype=torch.double), torch.randn(2, dtype=torch.double)
    mask, label = torch.rand(2, 1, 3, 3, dtype=torch.double), torch.randint(0, 2, (2, 3, 3))
    u.requires_grad_(), q.requires_grad_()
    for name in ("bce", "mae", "huber"):
        loss = loss_of(map_loss=name)
        assert torch.autograd.gradcheck(
            lambda u, q, loss=loss: loss(ErrorPrediction(u, q), mask, label).total, (u, q)
        )


def test_a_column_of_image_scores_is_refused() -> None:
    mask, label = with_wrong(0, 1)
    with pytest.raises(ValueError, match="They would broadcast"):
        loss_of()(ErrorPrediction(torch.zeros(2, 1, 2, 2), torch.zeros(2, 1)), mask, label)


def test_logits_are_no_target() -> None:
    mask, label = with_wrong(1)
    with pytest.raises(ValueError, match="Are these logits"):
        loss_of()(told([0.0]), 5 * mask, label)


# D1
def learned(compat: CompatConfig) -> list[float]:
    """Return what three free image scores become on images of which none, none and all pixels are wrong."""
    mask, label = with_wrong(0, 0, 4)
    q = torch.zeros(3, requires_grad=True)
    optimiser = torch.optim.Adam([q], lr=0.2)
    for _ in range(300):
        optimiser.zero_grad()
        loss_of(compat)(ErrorPrediction(torch.zeros(3, 1, 2, 2), q), mask, label).total.backward()
        optimiser.step()
    return torch.sigmoid(q).tolist()


def test_targets_0_0_1_are_learned_apart() -> None:
    assert learned(SOUND) == pytest.approx([0, 0, 1], abs=0.05)


def test_broadcast_drives_all_three_to_0() -> None:
    assert learned(CompatConfig(broadcast=True)) == pytest.approx([0, 0, 0], abs=0.05)


# D3
def test_the_teacher_sees_probabilities_and_under_the_switch_raw_logits() -> None:
    z = torch.tensor([[[[-30.0, 0.0, 4.0]]]])
    seen = shown_mask(z, compat=SOUND)
    assert bool(((seen >= 0) & (seen <= 1)).all())
    assert torch.equal(shown_mask(z, compat=CompatConfig(logits_to_teacher=True)), z)


def test_score_100_is_100_times_the_share_of_changed_pixels_against_the_raw_number() -> None:
    mask, label = with_wrong(1, 4)
    total, weight = loss_of(CompatConfig(score_100=True))(told([20.0, 90.0]), mask, label)
    assert total.item() / weight.item() == pytest.approx((5 + 10) / 2)


def test_score_100_of_soft_masks_is_their_mean_cross_entropy() -> None:
    label = torch.ones(1, 2, 2, dtype=torch.long)
    total, weight = loss_of(CompatConfig(score_100=True))(told([0.0]), torch.full((1, 1, 2, 2), 0.5), label)
    assert total.item() / weight.item() == pytest.approx(math.log(2))


# D4: gradient of s + w |T - s| at the student, T held
@pytest.mark.parametrize(
    ("compat", "answer", "factor"),
    [
        ({"undetached_target": True}, 50.0, 0.1),  # T > s
        ({"undetached_target": True}, 0.0, 1.9),
        ({}, 50.0, 1.0),
        ({}, 0.0, 1.0),
    ],
)
@pytest.mark.parametrize("mean", [{}, {"batch_mean_target": True}])
def test_an_undetached_target_scales_the_students_gradient(
    compat: dict[str, bool], answer: float, factor: float, mean: dict[str, bool]
) -> None:
    label = torch.randint(0, 2, (3, 4, 4))
    z = torch.randn(3, 1, 4, 4, requires_grad=True)
    s = torch.nn.functional.binary_cross_entropy_with_logits(z[:, 0], label.float())
    (plain,) = torch.autograd.grad(s, z, retain_graph=True)
    loss = loss_of(CompatConfig(score_100=True, **mean, **compat))
    total, weight = loss(told([answer] * 3, side=4), torch.sigmoid(z), label)
    (both,) = torch.autograd.grad(s + 0.9 * total / weight, z)
    assert torch.allclose(both, factor * plain, atol=1e-6)


def test_the_sound_target_gives_no_gradient_and_alone_undetached_gives_some() -> None:
    label, mask = torch.randint(0, 2, (2, 2, 2)), torch.rand(2, 1, 2, 2, requires_grad=True)
    answer = ErrorPrediction(torch.randn(2, 1, 2, 2, requires_grad=True), torch.zeros(2))
    loss_of()(answer, mask, label).total.backward()
    assert mask.grad is None
    loss_of(CompatConfig(undetached_target=True))(answer, mask, label).total.backward()
    assert mask.grad is not None
    assert bool(mask.grad.abs().sum() > 0)


def test_hard_masks_under_score_100_have_a_finite_gradient() -> None:
    mask = torch.tensor([[[[0.0, 1.0]]]], requires_grad=True)
    loss = loss_of(CompatConfig(score_100=True, undetached_target=True))
    loss(told([0.0], side=1), mask, torch.tensor([[[1, 1]]])).total.backward()
    assert mask.grad is not None
    assert bool(mask.grad.isfinite().all())


# D12
def test_permuting_the_batch_permutes_the_targets() -> None:
    mask, label = torch.rand(4, 1, 4, 4), torch.randint(0, 2, (4, 4, 4))
    u, q, order = torch.randn(4, 1, 4, 4), torch.randn(4), torch.tensor([2, 0, 3, 1])

    def gradients(compat: CompatConfig, *, moved: bool) -> Tensor:
        own = [v[order].clone() if moved else v.clone() for v in (u, q)]
        leaves = [v.requires_grad_() for v in own]
        m, y = (mask[order], label[order]) if moved else (mask, label)
        loss_of(compat)(ErrorPrediction(*leaves), m, y).total.backward()
        return torch.cat(
            [leaf.grad.flatten(1) if leaf.ndim > 1 else leaf.grad[:, None] for leaf in leaves], 1
        )

    assert torch.allclose(gradients(SOUND, moved=True), gradients(SOUND, moved=False)[order], atol=1e-6)


def test_under_the_switch_all_images_have_one_target() -> None:
    mask, label = with_wrong(0, 4)
    t = (1 + LEAST_SHARE) / 2
    total, weight = loss_of(CompatConfig(batch_mean_target=True))(told([0.0, 0.0]), mask, label)
    assert total.item() / weight.item() == pytest.approx(math.log(2) + abs(0.5 - t), rel=1e-5)
    apart = loss_of()(told([0.0, 0.0]), mask, label)
    assert apart.total.item() / 8 == pytest.approx(math.log(2) + 0.5 - LEAST_SHARE / 2, rel=1e-3)


# both kinds of masks
def test_both_kinds_of_masks_are_weighed_nine_to_one() -> None:
    teacher = build_error_teacher("vit_error_map_light", seed=1, size_px=64)
    image, mask, label = torch.rand(2, 1, 64, 64), torch.rand(2, 1, 64, 64), torch.randint(0, 2, (2, 64, 64))
    label[0, :20] = IGNORE
    got = MixedLoss(teacher, TeacherLossConfig(), SOUND)(image, mask, label)
    alone = [loss_of()(teacher(image, seen_of(m, label)), m, label) for m in (mask, true_mask(label))]
    assert got.total.item() == pytest.approx(
        0.9 * alone[0].total.item() + 0.1 * alone[1].total.item(), rel=1e-5
    )
    assert (got.predicted.item(), got.true.item()) == pytest.approx([a.total.item() for a in alone], rel=1e-5)
    assert got.weight.shape == (1,)
    assert got.weight.item() == alone[0].weight.item()


def test_of_one_kind_of_masks_the_loss_is_theirs() -> None:
    teacher = build_error_teacher("unet_error_map_light", seed=1, size_px=32)
    image, mask, label = torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32), torch.randint(0, 2, (2, 32, 32))
    label[0, :9] = IGNORE
    got = MixedLoss(teacher, TeacherLossConfig(weight=1), SOUND, both=False)(image, mask, label)
    alone = loss_of()(teacher(image, seen_of(mask, label)), mask, label)
    assert (got.total.item(), got.weight.item()) == pytest.approx((alone.total.item(), alone.weight.item()))
    assert (got.predicted.item(), got.true.item()) == (got.total.item(), 0)


def test_the_student_gets_the_gradient_of_what_the_teacher_sees() -> None:
    teacher = build_error_teacher("vit_error_map_light", seed=1, size_px=64)
    p = torch.rand(1, 1, 64, 64, requires_grad=True)
    label = torch.randint(0, 2, (1, 64, 64))
    loss = MixedLoss(teacher, TeacherLossConfig(), SOUND)
    loss(torch.rand(1, 1, 64, 64), p, label, p.detach() + 0.1 * (p - p.detach())).total.sum().backward()
    tenth = p.grad
    p.grad = None
    assert tenth is not None
    assert bool(tenth.abs().sum() > 0)
