"""A teacher's answer becomes a chance, a label and a gate."""

from __future__ import annotations

import pytest
import torch

from pkgs.errormap.decoding import error_chance, gate, implied_label
from pkgs.losses.error_map import LEAST_SHARE, error_share


def test_the_chance_undoes_the_clipping_and_stays_within_0_and_1() -> None:
    share = torch.tensor([0.0, LEAST_SHARE, (1 + LEAST_SHARE) / 2, 1.0])
    assert error_chance(share).tolist() == pytest.approx([0, 0, 0.5, 1], abs=1e-6)


def test_the_expected_share_of_a_hard_mask_decodes_to_the_chance_that_it_is_wrong() -> None:
    mask = torch.ones(1, 1, 1, 2)
    right, wrong = error_share(mask, torch.tensor([[[1, 0]]])).flatten().tolist()
    expected = 0.8 * right + 0.2 * wrong  # wrong in two of ten
    assert error_chance(torch.tensor(expected)).item() == pytest.approx(0.2, abs=1e-6)


def test_the_implied_label_turns_what_is_surely_wrong() -> None:
    mask, chance = torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.25, 1.0])
    assert implied_label(mask, chance).tolist() == [1.0, 0.0, 0.25, 1.0]


def test_a_chance_of_a_half_says_nothing() -> None:
    half = torch.full((2,), 0.5)
    assert implied_label(torch.tensor([0.0, 1.0]), half).tolist() == [0.5, 0.5]
    assert not gate(half).any()


def test_the_gate_opens_where_the_teachers_are_sure_and_agree() -> None:
    chance = torch.tensor([0.1, 0.3, 0.75, 0.9, 1.0])
    assert gate(chance).tolist() == [True, False, False, True, True]
    spread = torch.tensor([0.1, 0.0, 0.0, 0.3, 0.2])
    assert gate(chance, spread=spread).tolist() == [True, False, False, False, True]


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="They would broadcast"):
        implied_label(torch.zeros(2, 1), torch.zeros(2))
    with pytest.raises(ValueError, match="They would broadcast"):
        gate(torch.zeros(2, 1), spread=torch.zeros(2))
