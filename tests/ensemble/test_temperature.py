"""Temperature scaling."""

from __future__ import annotations

import pytest
import torch

from pkgs.data.items import IGNORE
from pkgs.ensemble.temperature import LIMITS, LogitSums


def taken_up(logits: torch.Tensor, label: torch.Tensor) -> LogitSums:
    sums = LogitSums()
    sums.add(logits, label)
    return sums


def drawn(temperature: float, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits whose labels come true with sigmoid(z / T)."""
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(4, 1, 128, 128, generator=generator)
    chance = torch.sigmoid(logits[:, 0] / temperature)
    return logits, (torch.rand(chance.shape, generator=generator) < chance).to(torch.uint8)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_the_labels_is_found(temperature: float) -> None:
    assert taken_up(*drawn(temperature)).temperature() == pytest.approx(temperature, rel=0.03)


def test_no_other_temperature_has_a_lower_loss() -> None:
    logits, label = drawn(2.0, seed=1)

    def loss(temperature: float) -> float:
        scaled = logits[:, 0].double() / temperature
        return float(torch.nn.functional.binary_cross_entropy_with_logits(scaled, label.double()))

    best = taken_up(logits, label).temperature()
    assert loss(best) <= min(loss(best * 1.01), loss(best / 1.01))


def test_ignored_pixels_do_not_count_and_batches_add_up() -> None:
    logits, label = drawn(2.0)
    spoilt = label.clone()
    spoilt[2:] = IGNORE
    parts = taken_up(logits[:1], label[:1])
    parts.add(logits[1:2], label[1:2])
    assert taken_up(logits, spoilt).temperature() == pytest.approx(parts.temperature(), rel=1e-9)


def test_labels_that_are_always_right_leave_a_finite_temperature_and_none_leave_one() -> None:
    logits = torch.tensor([[[[3.0, -3.0]]]])
    assert taken_up(logits, torch.tensor([[[1, 0]]])).temperature() == pytest.approx(LIMITS[0])
    assert taken_up(logits, torch.tensor([[[0, 1]]])).temperature() == pytest.approx(LIMITS[1])
    assert LogitSums().temperature() == 1
