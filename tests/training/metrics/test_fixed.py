"""Fixed point."""

from __future__ import annotations

import pytest
import torch

from pkgs.training.metrics.fixed import UNIT, codes, nll_sums, row_sums, within


def test_codes_are_rounded_to_the_nearest_and_ties_to_even() -> None:
    values = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, 3.75, 2.0**50]) / UNIT
    assert codes(values).tolist() == [0, 2, 2, 0, -2, 4, 2**50]
    drawn = torch.randn(10_000, generator=torch.Generator().manual_seed(0)).double()
    for values in (drawn, drawn.float(), drawn.half()):
        assert torch.equal(codes(values), (values.double() * UNIT).round().long())


def test_row_sums_are_exact_and_skip_what_is_not_seen() -> None:
    values = torch.tensor([[0.5, 2.0**-24, 100.0], [1.0, 2.0**-25, 7.0]])
    seen = torch.tensor([[True, True, False], [True, True, True]])
    # half a unit is rounded to even
    assert row_sums(torch.clone, values, seen=seen) == [UNIT // 2 + 1, 8 * UNIT]


def test_likelihoods_are_those_of_torch_to_the_last_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, label = 5 * torch.randn(2, 5001, generator=generator), torch.arange(10_002).reshape(2, -1) % 2
    nll = torch.nn.functional.binary_cross_entropy_with_logits(logits, label.float(), reduction="none")
    assert nll_sums(logits, label) == codes(nll).sum(dim=1).tolist()


def test_sums_that_int64_cannot_hold_are_refused() -> None:
    within(torch.full((1, 4), 6e7), "Numbers")
    with pytest.raises(ValueError, match=r"Numbers up to 7e\+07 exceed what exact sums over 4 pixels hold"):
        within(torch.full((1, 4), 7e7), "Numbers")
    with pytest.raises(ValueError, match=r"over 1000000 pixels hold \(5\.5e\+05\)"):
        within(torch.full((1, 1_000_000), -6e5), "Numbers")
