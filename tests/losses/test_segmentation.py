"""Losses of pixels against masks, tested five ways."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from pkgs.losses.segmentation import IGNORE, bce_map, bce_sum, cross_entropy_map, cross_entropy_sum


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
    with pytest.raises(ValueError, match=r"Logits must be \[B, 1, \*space\]"):
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


def test_the_map_of_bce_sums_to_its_sum_also_in_three_dimensions() -> None:
    logits, label = torch.randn(2, 1, 3, 4, 5), torch.randint(0, 2, (2, 3, 4, 5)).byte()
    label[0, 0] = IGNORE
    assert bce_map(logits, label).shape == label.shape
    assert torch.equal(bce_map(logits, label).sum(), bce_sum(logits, label).total)


def test_cross_entropy_matches_a_value_worked_out_by_hand() -> None:
    logits = torch.tensor([1.0, 2.0, 5.0]).log().reshape(1, 3, 1).expand(1, 3, 2)  # p = 1/8, 2/8, 5/8
    total, weight = cross_entropy_sum(
        logits, torch.tensor([[0, 2]]), class_weights=torch.tensor([2.0, 1.0, 3.0])
    )
    assert total.item() == pytest.approx(2 * math.log(8) + 3 * math.log(8 / 5))
    assert weight.item() == 5


@pytest.mark.parametrize("space", [(), (6,), (4, 5), (2, 3, 4)])
def test_cross_entropy_agrees_with_torchs_own(space: tuple[int, ...]) -> None:
    logits, label = torch.randn(3, 4, *space).double(), torch.randint(0, 4, (3, *space))
    label[0] = IGNORE
    weights = torch.tensor([0.5, 1.0, 2.0, 4.0]).double()
    total, weight = cross_entropy_sum(logits, label, class_weights=weights)
    assert torch.allclose(total / weight, F.cross_entropy(logits, label, weight=weights, ignore_index=IGNORE))
    plain = cross_entropy_sum(logits, label)
    assert torch.allclose(plain.total, F.cross_entropy(logits, label, ignore_index=IGNORE, reduction="sum"))


def test_cross_entropy_of_two_classes_is_bce() -> None:
    z, label = torch.randn(2, 1, 4, 4), torch.randint(0, 2, (2, 4, 4))
    both = torch.cat([torch.zeros_like(z), z], dim=1)
    assert torch.allclose(cross_entropy_map(both, label), bce_map(z, label), atol=1e-6)


def test_cross_entropy_of_perfect_logits_is_nothing_because_it_is_fed_no_softmax() -> None:
    label = torch.randint(0, 3, (2, 4, 4))
    perfect = 100 * F.one_hot(label, 3).movedim(-1, 1).float()
    assert cross_entropy_sum(perfect, label).total.item() < 1e-6


@pytest.mark.parametrize(("classes", "floor"), [(2, 0.3133), (3, 0.5514), (5, 0.9048)])
def test_a_softmax_before_cross_entropy_would_have_a_floor(classes: int, floor: float) -> None:
    perfect = torch.eye(classes)[:1]
    assert cross_entropy_sum(perfect, torch.tensor([0])).total.item() == pytest.approx(floor, abs=5e-5)


def test_cross_entropy_does_not_depend_on_the_neighbours_in_the_batch() -> None:
    logits, label = torch.randn(3, 4, 5, 5), torch.randint(0, 4, (3, 5, 5))
    alone = cross_entropy_map(logits[1:2], label[1:2])
    assert torch.allclose(cross_entropy_map(logits, label)[1:2], alone, atol=1e-6)


def test_cross_entropy_has_the_right_gradient_in_double_precision() -> None:
    logits = torch.randn(2, 3, 2, 2, dtype=torch.double, requires_grad=True)
    label = torch.randint(0, 3, (2, 2, 2))
    label[1, 1, 1] = IGNORE
    weights = torch.tensor([1.0, 3.0, 10.0]).double()
    assert torch.autograd.gradcheck(
        lambda z: cross_entropy_sum(z, label, class_weights=weights).total, (logits,)
    )


def test_cross_entropy_refuses_a_wrong_number_of_weights_and_names_both() -> None:
    with pytest.raises(ValueError, match="2 class weights for 3 classes"):
        cross_entropy_sum(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2).long(), class_weights=torch.ones(2))


def test_cross_entropy_refuses_labels_with_a_channel_axis() -> None:
    with pytest.raises(ValueError, match=r"Logits must be \[B, K, \*space\].*Did a channel axis get lost"):
        cross_entropy_sum(torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4).long())
