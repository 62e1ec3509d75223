"""What is kept of predictions on test."""

from __future__ import annotations

import math

import pytest
import torch

from pkgs.data.items import IGNORE
from pkgs.ensemble.sums import SegmentationSums, measure_test
from pkgs.training.metrics import merged


def logits_of(p: torch.Tensor) -> torch.Tensor:
    return torch.logit(p.double()).float().unsqueeze(1)


def random_case(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape[0], 1, *shape[1:], generator=generator)
    label = (torch.rand(shape, generator=generator) < 0.3).to(torch.uint8)
    return logits, label


def ece(p: torch.Tensor, y: torch.Tensor, bins: int = 15) -> float:
    """Return the calibration error by an independent computation in double precision."""
    place = (p * bins).floor().clamp(max=bins - 1)
    total = 0.0
    for number in range(bins):
        inside = place == number
        if inside.any():
            total += abs(float(p[inside].double().sum() - y[inside].double().sum()))
    return total / p.numel()


def test_each_form_of_calibration_agrees_with_an_independent_computation() -> None:
    logits, label = random_case(3, 32, 32)
    scores = merged(measure_test(logits, label, temperature=2.0)).scores()
    p, y = torch.sigmoid(logits[:, 0]), label == 1
    assert scores["ece_fg"] == pytest.approx(ece(p, y), abs=1e-6)
    assert scores["ece_class"] == pytest.approx((ece(p, y) + ece(1 - p, ~y)) / 2, abs=1e-5)
    assert scores["ece_top"] == pytest.approx(ece(torch.maximum(p, 1 - p), (p >= 0.5) == y), abs=1e-6)
    assert scores["ece_image"] == pytest.approx(sum(map(ece, p, y)) / 3, abs=1e-6)
    assert scores["ece_fg_scaled"] == pytest.approx(ece(torch.sigmoid(logits[:, 0] / 2), y), abs=1e-6)


def test_equal_mass_bins_of_a_hand_made_case() -> None:
    # 15 pixels, one per bin of equal mass: the mean distance of p from what came true
    p = torch.linspace(0.1, 0.8, 15)
    label = torch.tensor([0, 1] * 7 + [0], dtype=torch.uint8)
    (sums,) = measure_test(logits_of(p.view(1, 1, 15)), label.view(1, 1, 15))
    assert sums.scores()["ece_adaptive"] == pytest.approx(float((p - label).abs().mean()), abs=1e-6)


def test_bins_of_few_pixels_count_in_mce_alone() -> None:
    p = torch.full((1, 1, 201), 0.01)
    p[0, 0, 0] = 0.9
    scores = measure_test(logits_of(p), torch.zeros(1, 1, 201, dtype=torch.uint8))[0].scores()
    assert scores["mce_fg"] == pytest.approx(0.9, abs=1e-6)
    assert scores["mce_fg_100"] == pytest.approx(0.01, abs=1e-6)


def test_only_pixels_near_label_or_prediction_count_in_ece_near() -> None:
    # side 56: 8 px of 224 are 2 px; the label is one pixel, whose disc of radius 2 has 13
    p, label = torch.full((1, 56, 56), 0.2), torch.zeros(1, 56, 56, dtype=torch.uint8)
    label[0, 20, 20] = 1
    (sums,) = measure_test(logits_of(p), label)
    assert sums.near.total == 13
    assert sums.scores()["ece_near"] == pytest.approx(abs(0.2 - 1 / 13), abs=1e-6)


def test_p_of_1_counts_unless_the_defect_is_asked_for() -> None:
    logits = torch.tensor([[[[40.0, -40.0, 0.4]]]])
    label = torch.tensor([[[0, 0, 1]]], dtype=torch.uint8)
    (sound,), (compat,) = (measure_test(logits, label, drop_p1_bin=switch) for switch in (False, True))
    assert sound.foreground.count[-1] == 1
    assert compat.foreground.count[-1] == 0
    assert sound.scores()["ece_fg"] == pytest.approx((1 + 1 - 0.598688) / 3, abs=1e-6)
    assert compat.scores()["ece_fg"] == pytest.approx((1 - 0.598688) / 2, abs=1e-6)


def test_parts_in_any_order_give_the_same_bits_as_the_whole() -> None:
    logits, label = random_case(6, 16, 16, seed=1)
    label[0, :4] = IGNORE
    whole = merged(measure_test(logits, label))
    parts = [measure_test(logits[k : k + 2], label[k : k + 2]) for k in (4, 0, 2)]
    assert merged(sums for part in parts for sums in part) == whole


def test_memory_does_not_grow_with_the_number_of_pixels() -> None:
    def numbers(state: object) -> int:
        match state:
            case dict():
                return sum(map(numbers, state.values()))
            case list():
                return sum(map(numbers, state))
        return 1

    small, large = (measure_test(*random_case(1, side, side))[0] for side in (16, 1024))
    assert numbers(small.as_state()) == numbers(large.as_state())


def test_an_image_without_any_seen_pixel_adds_nothing() -> None:
    logits = torch.zeros(1, 1, 4, 4)
    (sums,) = measure_test(logits, torch.full((1, 4, 4), IGNORE, dtype=torch.uint8))
    assert (sums.images, sums.foreground.total, sums.objects.true) == (0, 0, 0)
    assert not any(map(math.isnan, (SegmentationSums() + sums).scores().values()))


def test_logits_that_diverged_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        measure_test(torch.full((1, 1, 2, 2), torch.nan), torch.zeros(1, 2, 2, dtype=torch.uint8))
