"""Losses of pixels against masks, tested five ways."""

from __future__ import annotations

import math

import pytest
import torch

from pkgs.losses.segmentation import IGNORE, bce_sum


def test_bce_matches_a_value_worked_out_by_hand() -> None:
    logits = torch.tensor([[[[math.log(3.0), 0.0]]]])  # p = 3/4, 1/2
    total, weight = bce_sum(logits, torch.tensor([[[1, 0]]]))
    assert total.item() == pytest.approx(math.log(4 / 3) + math.log(2))
    assert weight.item() == 2


def test_bce_does_not_depend_on_how_a_batch_is_cut() -> None:
    logits, label = torch.randn(4, 1, 5, 6).double(), torch.randint(0, 2, (4, 5, 6))
    whole = bce_sum(logits, label)
    parts = [bce_sum(logits[:1], label[:1]), bce_sum(logits[1:], label[1:])]
    assert torch.allclose(whole.total, parts[0].total + parts[1].total)
    assert whole.weight == parts[0].weight + parts[1].weight


def test_bce_of_a_sure_and_right_answer_is_nothing_and_of_a_wrong_one_its_logit() -> None:
    logits = torch.tensor([[[[100.0, 100.0]]]])
    assert bce_sum(logits[..., :1], torch.tensor([[[1]]])).total.item() == pytest.approx(0, abs=1e-6)
    assert bce_sum(logits[..., 1:], torch.tensor([[[0]]])).total.item() == pytest.approx(100)


def test_bce_has_the_right_gradient_in_double_precision() -> None:
    logits = torch.randn(2, 1, 3, 3, dtype=torch.double, requires_grad=True)
    label = torch.randint(0, 2, (2, 3, 3))
    label[0, 0, 0] = IGNORE
    assert torch.autograd.gradcheck(lambda z: bce_sum(z, label).total, (logits,))


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 2, 4, 4), (2, 1, 4, 5), (1, 1, 4, 4)])
def test_bce_refuses_shapes_that_would_broadcast(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"Logits must be \[B, 1, H, W\]"):
        bce_sum(torch.zeros(shape), torch.zeros(2, 4, 4, dtype=torch.uint8))


def test_bce_refuses_fractions_as_labels() -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        bce_sum(torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2))


def test_ignored_pixels_change_neither_sum_nor_weight_nor_gradient() -> None:
    logits = torch.randn(1, 1, 2, 2, requires_grad=True)
    label = torch.tensor([[[1, IGNORE], [0, IGNORE]]], dtype=torch.uint8)
    total, weight = bce_sum(logits, label)
    total.backward()
    assert weight.item() == 2
    assert torch.equal(logits.grad[0, 0, :, 1], torch.zeros(2))
    assert torch.allclose(total, bce_sum(logits[..., :1], label[..., :1]).total)
