"""Scores against a brute-force oracle, and their rules at the edges."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pkgs.training.metrics import (
    BINS,
    IGNORE,
    PixelSums,
    macro,
    measure,
    measure_overlap,
    measure_probability,
    merged,
)


def logits_and_labels(seed: int, *, count: int = 3, side: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, 1, side, side, generator=generator)
    label = (torch.rand(count, side, side, generator=generator) < 0.3).to(torch.uint8)
    label[torch.rand(label.shape, generator=generator) < 0.1] = IGNORE
    return logits, label


def oracle(logits: torch.Tensor, label: torch.Tensor) -> dict[str, float]:
    """Pixel by pixel, in plain Python: the definitions of specs/training.md section 9."""
    probability = torch.sigmoid(logits).flatten().tolist()
    pairs = [(p, y) for p, y in zip(probability, label.flatten().tolist(), strict=True) if y != IGNORE]
    scored = [
        (z, y) for z, y in zip(logits.flatten().tolist(), label.flatten().tolist(), strict=True) if y < 2
    ]
    bins: list[list[tuple[float, int]]] = [[] for _ in range(BINS)]
    for p, y in pairs:
        bins[min(int(np.floor(np.float32(p) * np.float32(BINS))), BINS - 1)].append((p, y))
    gaps = [(len(b), abs(sum(p for p, _ in b) - sum(y for _, y in b)) / len(b)) for b in bins if b]
    tp = sum(p >= 0.5 and y == 1 for p, y in pairs)
    fp = sum(p >= 0.5 and y == 0 for p, y in pairs)
    fn = sum(p < 0.5 and y == 1 for p, y in pairs)
    return {
        "iou": tp / (tp + fp + fn),
        "dice": 2 * tp / (2 * tp + fp + fn),
        "accuracy": sum((p >= 0.5) == (y == 1) for p, y in pairs) / len(pairs),
        "ece_fg": sum(n * gap for n, gap in gaps) / len(pairs),
        "mce_fg": max(gap for _, gap in gaps),
        "brier": sum((p - y) ** 2 for p, y in pairs) / len(pairs),
        "nll": sum(np.log1p(np.exp(-z if y else z)) for z, y in scored) / len(scored),
    }


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_scores_agree_with_the_brute_force_oracle(seed: int) -> None:
    logits, label = logits_and_labels(seed)
    scores, wanted = merged(measure(logits, label)).scores(), oracle(logits, label)
    assert {name: scores[name] for name in wanted} == pytest.approx(wanted, abs=1e-6)


def test_any_order_of_any_parts_gives_the_same_bits() -> None:
    logits, label = logits_and_labels(1, count=6)
    parts = measure(logits, label)
    shuffled = random.Random(0).sample(parts, len(parts))  # noqa: S311 - no secret
    assert merged(parts) == merged(shuffled) == merged([merged(shuffled[:2]), merged(shuffled[2:])])
    assert merged(measure(logits[:4], label[:4])) + merged(measure(logits[4:], label[4:])) == merged(parts)


def test_p_of_one_counts_in_the_last_bin() -> None:
    p = torch.tensor([[[1.0, 0.0]]])
    sums = measure_probability(p, torch.tensor([[[1, 0]]]), nll_BHW=torch.zeros(1, 1, 2))[0]
    assert sums.bin_count == (1, *[0] * (BINS - 2), 1)


def test_a_case_worked_out_by_hand() -> None:
    # bin 13 = [.8667, .9333): p .9 twice, one right; bin 1: p .1 once, background
    p, y = torch.tensor([[[0.9, 0.9, 0.1]]]), torch.tensor([[[1, 0, 0]]])
    scores = measure_probability(p, y, nll_BHW=torch.zeros(1, 1, 3))[0].scores()
    assert scores["ece_fg"] == pytest.approx((2 * 0.4 + 1 * 0.1) / 3, abs=1e-6)
    assert scores["mce_fg"] == pytest.approx(0.4, abs=1e-6)
    assert scores["iou"] == 0.5


def test_ece_is_pooled_and_no_mean_over_images() -> None:
    # two images that are wrong in opposite directions: .1 each, pooled 0
    p, y = torch.full((2, 10, 10), 0.5), torch.zeros(2, 10, 10, dtype=torch.uint8)
    y[0, :4], y[1, :6] = 1, 1
    parts = measure_probability(p, y, nll_BHW=torch.zeros(2, 10, 10))
    assert [part.scores()["ece_fg"] for part in parts] == pytest.approx([0.1, 0.1])
    assert merged(parts).scores()["ece_fg"] == pytest.approx(0.0)


def test_both_empty_is_overlap_one_and_one_empty_is_zero() -> None:
    nothing, something = torch.zeros(1, 4, 4), torch.ones(1, 4, 4)
    label = torch.zeros(1, 4, 4, dtype=torch.uint8)
    assert measure_overlap(nothing, label)[0].scores()["iou"] == 1
    assert measure_overlap(something, label)[0].scores()["iou"] == 0
    assert measure_overlap(nothing, label + 1)[0].scores()["dice"] == 0


def test_the_mean_over_images_differs_from_the_pooled_score() -> None:
    label = torch.zeros(2, 4, 4, dtype=torch.uint8)
    label[0, 0] = 1
    scores = merged(measure_overlap(torch.zeros(2, 4, 4), label)).scores()
    assert (scores["iou"], scores["iou_case"]) == (0, 0.5)


def test_ignored_pixels_never_enter() -> None:
    logits, label = logits_and_labels(2)
    changed = logits.clone()
    changed[:, 0][label == IGNORE] = 50
    assert measure(changed, label) == measure(logits, label)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_values_that_are_no_probabilities_are_refused(value: float) -> None:
    p = torch.full((1, 2, 2), value)
    with pytest.raises(ValueError, match=r"within \[0, 1\]"):
        measure_probability(p, torch.zeros(1, 2, 2, dtype=torch.uint8), nll_BHW=p)


def test_logits_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="diverged"):
        measure(torch.full((1, 1, 2, 2), float("nan")), torch.zeros(1, 2, 2, dtype=torch.uint8))


def test_unequal_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="must agree in shape"):
        measure(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 5, dtype=torch.uint8))


def test_macro_counts_every_source_alike() -> None:
    large, small = PixelSums(tp=90, fp=10, cases=9), PixelSums(tp=1, fn=1, cases=1)
    assert macro([large, small])["iou"] == pytest.approx((0.9 + 0.5) / 2)


def test_memory_does_not_grow_with_the_number_of_pixels() -> None:
    parts = [measure(*logits_and_labels(1, count=1, side=side))[0] for side in (8, 64)]
    assert all(type(a) is type(b) for a, b in itertools.pairwise(parts))
    assert len(parts[0].bin_count) == len(parts[1].bin_count) == BINS
