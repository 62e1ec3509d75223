"""Several answers as one, and how far they are apart."""

from __future__ import annotations

import pytest
import torch

from pkgs.ensemble.combine import Combine, combine, disagreement


@pytest.mark.parametrize(("how", "expected"), [("mean", 0.4), ("median", 0.2), ("sum", 1.2)])
def test_three_answers_give_the_value_worked_out_by_hand(how: Combine, expected: float) -> None:
    values = torch.tensor([0.1, 0.9, 0.2]).reshape(3, 1, 1)
    assert combine(values, how).item() == pytest.approx(expected)


def test_the_median_of_an_even_number_is_the_mean_of_the_middle_two() -> None:
    assert combine(torch.tensor([[0.0], [0.2], [0.4], [1.0]]), "median").item() == pytest.approx(0.3)


@pytest.mark.parametrize("how", ["mean", "median", "sum"])
def test_the_order_of_the_members_does_not_matter(how: Combine) -> None:
    values = torch.rand(5, 2, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(combine(values, how), combine(values.flip(0), how))


@pytest.mark.parametrize("how", ["mean", "median", "sum"])
def test_one_member_is_its_own_committee(how: Combine) -> None:
    values = torch.rand(1, 2, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(combine(values, how), values[0])
    assert torch.equal(disagreement(values), torch.zeros(2, 3))


@pytest.mark.parametrize("how", ["mean", "median", "sum"])
def test_the_gradient_is_that_of_finite_differences(how: Combine) -> None:
    values = torch.rand(4, 3, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(lambda v: combine(v, how), (values.requires_grad_(),))


def test_disagreement_is_the_standard_deviation_over_all_members_and_carries_no_gradient() -> None:
    apart = disagreement(torch.tensor([[0.0], [1.0]], requires_grad=True))
    assert apart.item() == pytest.approx(0.5)
    assert not apart.requires_grad


def test_no_member_is_an_error_with_the_shape() -> None:
    with pytest.raises(ValueError, match=r"Nothing to combine: got values of shape \(0, 3\)"):
        combine(torch.zeros(0, 3), "mean")
