"""Soft Dice and Lovasz, tested five ways."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from pkgs.losses.loss_sum import IGNORE, LossSum
from pkgs.losses.overlap import dice_sum, lovasz_hinge_sum, lovasz_softmax_sum, pooled_dice_sum

ALL = [dice_sum, pooled_dice_sum, lovasz_softmax_sum]


def test_dice_matches_a_value_worked_out_by_hand() -> None:
    logits = torch.tensor([3.0, 1.0]).log().reshape(1, 1, 2)  # p = 3/4, 1/2
    total, weight = dice_sum(logits, torch.tensor([[1, 0]]), smooth=0)
    assert total.item() == pytest.approx(1 - 2 * 0.75 / (1.25 + 1))
    assert weight.item() == 1


def test_dice_over_classes_matches_a_value_worked_out_by_hand() -> None:
    logits = torch.tensor([[1.0, 1.0], [3.0, 1.0]]).log().unsqueeze(0)  # p1 = 3/4, 1/2
    background, foreground = 2 * 0.5 / (0.75 + 1), 2 * 0.75 / (1.25 + 1)
    label = torch.tensor([[1, 0]])
    assert dice_sum(logits, label, smooth=0).total.item() == pytest.approx(1 - (background + foreground) / 2)
    alone = dice_sum(logits, label, smooth=0, background=False)
    assert alone.total.item() == pytest.approx(1 - foreground)


@pytest.mark.parametrize("loss", [dice_sum, lovasz_softmax_sum])
def test_what_is_taken_per_image_averages_exactly_over_replicas(loss: object) -> None:
    logits, label = torch.randn(5, 3, 4, 4).double(), torch.randint(0, 3, (5, 4, 4))
    whole, parts = loss(logits, label), [loss(logits[:2], label[:2]), loss(logits[2:], label[2:])]
    assert torch.allclose(whole.total, parts[0].total + parts[1].total)
    assert whole.weight == parts[0].weight + parts[1].weight == 5


def test_pooled_dice_is_one_number_over_the_batch() -> None:
    logits, label = torch.randn(3, 2, 4, 4), torch.randint(0, 2, (3, 4, 4))
    together = dice_sum(logits.movedim(0, 1).flatten(1, 2)[None], label.flatten(0, 1)[None])
    pooled = pooled_dice_sum(logits, label)
    assert torch.allclose(pooled.total / pooled.weight, together.total)


def test_dice_of_a_perfect_mask_and_of_an_empty_one_is_nothing() -> None:
    label = torch.randint(0, 2, (2, 4, 4))
    assert dice_sum(200.0 * label.unsqueeze(1) - 100, label).total.item() == pytest.approx(0, abs=1e-5)
    empty = torch.zeros(2, 4, 4).long()
    assert dice_sum(torch.full((2, 1, 4, 4), -100.0), empty).total.item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("label", list(product([0, 1], repeat=3)))
def test_lovasz_of_hard_probabilities_is_one_minus_iou(label: tuple[int, ...]) -> None:
    truth, guess = torch.tensor([label]), torch.tensor([[1, 0, 1]])
    logits = 200.0 * torch.stack([1 - guess, guess], dim=1)
    expected = []
    for number in (0, 1):
        if (truth == number).any():
            both = ((truth == number) & (guess == number)).sum()
            expected.append(1 - both / ((truth == number) | (guess == number)).sum())
    found = lovasz_softmax_sum(logits, truth).total.item()
    assert found == pytest.approx(float(torch.stack(expected).mean()), abs=1e-6)


def test_the_lovasz_hinge_matches_a_value_worked_out_by_hand() -> None:
    # margins 1 - z(2y-1): 1.5 (miss), 0.5, -1; Jaccard steps 1/2, 1/2, 0 for labels 1, 1, 0
    logits, label = torch.tensor([[[-0.5, 0.5, -2.0]]]), torch.tensor([[1, 1, 0]])
    assert lovasz_hinge_sum(logits, label).total.item() == pytest.approx(1.5 / 2 + 0.5 / 2)


def test_the_lovasz_hinge_of_a_sure_and_right_answer_is_nothing() -> None:
    label = torch.randint(0, 2, (2, 4, 4))
    assert lovasz_hinge_sum(20.0 * label.unsqueeze(1) - 10, label).total.item() == 0


@pytest.mark.parametrize("loss", [*ALL, lovasz_hinge_sum])
def test_the_gradient_is_right_in_double_precision_and_nothing_where_ignored(loss: object) -> None:
    torch.manual_seed(3)
    channels = 1 if loss is lovasz_hinge_sum else 3
    logits = torch.randn(2, channels, 3, 3, dtype=torch.double, requires_grad=True)
    label = torch.randint(0, max(channels, 2), (2, 3, 3))
    label[0, 0] = IGNORE
    assert torch.autograd.gradcheck(lambda z: loss(z, label).total, (logits,))
    loss(logits, label).total.backward()
    assert logits.grad[0, :, 0].abs().sum() == 0
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", [*ALL, lovasz_hinge_sum])
def test_a_batch_without_any_seen_pixel_is_finite(loss: object) -> None:
    channels = 1 if loss is lovasz_hinge_sum else 3
    logits = torch.randn(1, channels, 2, 2, requires_grad=True)
    result: LossSum = loss(logits, torch.full((1, 2, 2), IGNORE))
    result.total.backward()
    assert torch.isfinite(result.total)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", [*ALL, lovasz_hinge_sum])
def test_wrong_shapes_are_refused(loss: object) -> None:
    with pytest.raises(ValueError, match=r"\*space\] of the same size"):
        loss(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4).long())
