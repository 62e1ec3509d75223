"""AUROC and average precision: exact for images and classes, from a histogram for pixels."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pkgs.training.metrics import UNKNOWN, measure_pixel_ranking, measure_ranking, merged


def drawn(seed: int, *, count: int = 200) -> tuple[Tensor, Tensor]:
    """Return scores with many ties, and labels with unknowns."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(count, 3, generator=generator)
    label = (scores + torch.randn(scores.shape, generator=generator) > 0.5).long()
    label[torch.rand(label.shape, generator=generator) < 0.1] = UNKNOWN
    return (5 * scores).round() / 5, label


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_scores_agree_with_scikit_learn(seed: int) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    scores, label = drawn(seed)
    found = measure_ranking(scores, label, names=("a", "b", "c")).scores()
    for k, name in enumerate("abc"):
        seen = label[:, k] != UNKNOWN
        pair = label[seen, k].numpy(), scores[seen, k].numpy()
        assert found[f"auroc_{name}"] == pytest.approx(roc_auc_score(*pair), abs=1e-12)
        assert found[f"ap_{name}"] == pytest.approx(average_precision_score(*pair), abs=1e-12)
    assert found["auroc_macro"] == pytest.approx(sum(found[f"auroc_{n}"] for n in "abc") / 3)


def test_a_tie_counts_half() -> None:
    # pairs: (.5, .5) half, (.5, .1) won, (.9, .5) won, (.9, .1) won
    scores = torch.tensor([[0.5], [0.9], [0.5], [0.1]])
    found = measure_ranking(scores, torch.tensor([[1], [1], [0], [0]]), names=("a",)).scores()
    assert found["auroc_a"] == 3.5 / 4
    assert found["ap_a"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_only_the_order_of_scores_matters() -> None:
    scores, label = drawn(1)
    names = ("a", "b", "c")
    assert (
        measure_ranking(scores.exp(), label, names=names).scores()
        == measure_ranking(scores, label, names=names).scores()
    )


def test_a_perfect_and_a_reversed_ranking() -> None:
    label = torch.tensor([[0], [0], [1]])
    scores = torch.tensor([[1.0], [2.0], [3.0]])
    assert measure_ranking(scores, label, names=("a",)).scores()["auroc_a"] == 1
    assert measure_ranking(-scores, label, names=("a",)).scores()["auroc_a"] == 0


def test_a_class_without_both_outcomes_is_nan_left_out_and_counted() -> None:
    scores, label = drawn(2)
    label[:, 1] = label[:, 1].clamp(max=0)
    label[:, 2] = UNKNOWN
    sums = measure_ranking(scores, label, names=("a", "b", "c"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sums.scores()
    assert math.isnan(found["auroc_b"])
    assert math.isnan(found["ap_c"])
    assert found["auroc_macro"] == found["auroc_a"]
    assert sums.counts() == {"classes": 3, "classes_defined": 1}


def test_torchmetrics_counts_an_absent_class_as_zero_and_its_mean_goes_down() -> None:
    from torchmetrics.functional.classification import multilabel_auroc, multilabel_average_precision

    scores, label = drawn(3)
    label = label.clamp(min=0)
    label[:, 1] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        auroc, precision = (
            peer(scores.sigmoid(), label, num_labels=3, average=None)
            for peer in (multilabel_auroc, multilabel_average_precision)
        )
        mean = multilabel_auroc(scores.sigmoid(), label, num_labels=3)
    assert (float(auroc[1]), float(precision[1])) == (0, 0)
    assert float(mean) == pytest.approx(float(auroc.sum()) / 3)
    found = measure_ranking(scores, label, names=("a", "b", "c")).scores()
    assert found["auroc_a"] == pytest.approx(float(auroc[0]), abs=1e-6)
    assert found["auroc_macro"] == pytest.approx(float(auroc[0] + auroc[2]) / 2, abs=1e-6)


def test_pixels_agree_with_the_exact_ranking_of_their_bins() -> None:
    generator = torch.Generator().manual_seed(4)
    p = torch.rand(2, 40, 40, generator=generator)
    label = (torch.rand(p.shape, generator=generator) < p).long()
    pixels = merged(measure_pixel_ranking(p, label)).scores()
    bins = (p * 4096).floor().reshape(-1, 1)
    exact = measure_ranking(bins, label.reshape(-1, 1), names=("a",)).scores()
    assert (pixels["auroc"], pixels["ap"]) == (exact["auroc_a"], exact["ap_a"])
    unbinned = measure_ranking(p.reshape(-1, 1), label.reshape(-1, 1), names=("a",)).scores()
    assert pixels["auroc"] == pytest.approx(unbinned["auroc_a"], abs=1e-4)
    assert 0 <= pixels["ece_adaptive"] < 0.1


def test_pixels_of_one_outcome_have_no_ranking() -> None:
    p = torch.rand(1, 4, 4)
    scores = measure_pixel_ranking(p, torch.full((1, 4, 4), 255))[0].scores()
    assert all(math.isnan(value) for value in scores.values())
    assert math.isnan(measure_pixel_ranking(p, torch.zeros(1, 4, 4).long())[0].scores()["auroc"])


ZEROS = torch.zeros(4, 2, dtype=torch.long)


@pytest.mark.parametrize(
    ("scores", "label", "message"),
    [
        (torch.zeros(4, 3), ZEROS, "agree in shape"),
        (torch.zeros(0, 2), ZEROS[:0], "Is the data set empty"),
        (torch.zeros(4), ZEROS[:, 0], r"Scores \[N, K\]"),
        (torch.full((4, 2), math.nan), ZEROS, "not finite"),
        (torch.full((4, 2), -math.inf), ZEROS, "not finite"),
        (torch.zeros(4, 2), ZEROS + 255, r"must be 0 to 1 or -1 \(not judged\)"),
        (torch.zeros(4, 2), ZEROS + 0.5, "whole numbers"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores: Tensor, label: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure_ranking(scores, label, names=("a", "b"))


def test_a_name_for_each_class_is_needed() -> None:
    with pytest.raises(ValueError, match="and 1 names"):
        measure_ranking(torch.zeros(4, 2), ZEROS, names=("a",))
