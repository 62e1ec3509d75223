"""Losses of whole images against classes."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from pkgs.losses.classification import class_cross_entropy_sum, multilabel_bce_sum


def test_cross_entropy_matches_a_value_worked_out_by_hand_and_skips_unknown() -> None:
    logits = torch.tensor([[1.0, 3.0], [0.0, 9.0]])
    logits[0] = logits[0].log()
    total, weight = class_cross_entropy_sum(logits, torch.tensor([1, -1]))
    assert total.item() == pytest.approx(math.log(4 / 3))
    assert weight.item() == 1


def test_cross_entropy_of_classes_refuses_maps() -> None:
    with pytest.raises(ValueError, match=r"Logits must be \[B, K\] and classes \[B\]"):
        class_cross_entropy_sum(torch.zeros(2, 3), torch.zeros(2, 1).long())


def test_multilabel_bce_matches_a_value_worked_out_by_hand() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0, 5.0]])  # p = 3/4, 1/2, unknown
    total, weight = multilabel_bce_sum(
        logits, torch.tensor([[1, 0, -1]]), class_weights=torch.tensor([0.001, 2.0, 7.0])
    )
    assert total.item() == pytest.approx(0.001 * math.log(4 / 3) + 2 * math.log(2))
    assert weight.item() == 2


def test_multilabel_bce_agrees_with_torchs_own_where_all_is_known() -> None:
    logits, target, weights = torch.randn(4, 5), torch.randint(0, 2, (4, 5)), torch.rand(5)
    total, weight = multilabel_bce_sum(logits, target, class_weights=weights)
    theirs = F.binary_cross_entropy_with_logits(logits, target.float(), weight=weights)
    assert torch.allclose(total / weight, theirs)


def test_a_class_weight_is_no_weight_of_the_positives() -> None:
    logits, weights = torch.zeros(1, 1), torch.tensor([10.0])
    positive = multilabel_bce_sum(logits, torch.tensor([[1]]), class_weights=weights).total
    assert positive == multilabel_bce_sum(logits, torch.tensor([[0]]), class_weights=weights).total


def test_unknown_entries_give_no_gradient_and_the_rest_the_right_one() -> None:
    logits = torch.randn(3, 4, dtype=torch.double, requires_grad=True)
    target = torch.tensor([[1, -1, 0, 1]] * 3)
    assert torch.autograd.gradcheck(lambda z: multilabel_bce_sum(z, target).total, (logits,))
    multilabel_bce_sum(logits, target).total.backward()
    assert logits.grad[:, 1].abs().sum() == 0


def test_multilabel_bce_of_sure_and_right_answers_is_nothing() -> None:
    target = torch.randint(0, 2, (3, 4))
    assert multilabel_bce_sum(200.0 * target - 100, target).total.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("target", "weights", "words"),
    [
        (torch.zeros(3).long(), None, "Logits and targets must have the same shape"),
        (torch.zeros(2, 3), None, "Targets must be whole numbers"),
        (torch.zeros(2, 3).long(), torch.ones(2), "2 class weights for 3 classes"),
    ],
)
def test_multilabel_bce_refuses_what_does_not_fit(
    target: torch.Tensor, weights: torch.Tensor | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        multilabel_bce_sum(torch.zeros(2, 3), target, class_weights=weights)
