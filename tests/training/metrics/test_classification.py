"""Accuracy, recall and confusion of classes; F1 of findings with unknowns."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import Tensor

from pkgs.training.metrics import IGNORE, UNKNOWN, measure_classes, measure_findings

NAMES = tuple("abcdefgh")


def drawn(seed: int, *, count: int = 300) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, 8, generator=generator)
    label = (logits + torch.randn(logits.shape, generator=generator)).argmax(dim=1)
    return logits, label


def test_scores_agree_with_scikit_learn() -> None:
    from sklearn.metrics import balanced_accuracy_score, confusion_matrix, recall_score, top_k_accuracy_score

    logits, label = drawn(0)
    sums = measure_classes(logits, label, names=NAMES)
    scores, answer = sums.scores(), logits.argmax(dim=1)
    assert [list(row) for row in sums.matrix] == confusion_matrix(label, answer).tolist()
    assert scores["accuracy"] == pytest.approx(float((answer == label).double().mean()))
    assert scores["accuracy_top5"] == pytest.approx(top_k_accuracy_score(label, logits, k=5))
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(label, answer))
    recalls = recall_score(label, answer, average=None)
    assert [scores[f"recall_{name}"] for name in NAMES] == pytest.approx(list(recalls))


def test_a_class_without_items_is_left_out_of_the_balanced_accuracy_and_counted() -> None:
    logits, label = drawn(1)
    label[label == 2] = 3
    sums = measure_classes(logits, label, names=NAMES)
    scores = sums.scores()
    others = [scores[f"recall_{name}"] for name in NAMES if name != "c"]
    assert math.isnan(scores["recall_c"])
    assert scores["balanced_accuracy"] == pytest.approx(sum(others) / 7)
    assert sums.counts() == {"items": 300, "classes": 8, "classes_defined": 7}


def test_items_that_nobody_judged_never_enter() -> None:
    logits, label = drawn(2)
    some = label.clone()
    some[:100] = IGNORE
    assert measure_classes(logits, some, names=NAMES) == measure_classes(
        logits[100:], label[100:], names=NAMES
    )


def test_of_equal_scores_the_first_class_is_taken() -> None:
    sums = measure_classes(torch.zeros(8, 8), torch.arange(8), names=NAMES)
    assert sums.scores()["accuracy"] == 1 / 8
    assert sums.scores()["accuracy_top5"] == 5 / 8


def test_with_a_thousand_classes_255_is_one_of_them() -> None:
    names = tuple(map(str, range(1000)))
    logits = torch.zeros(2, 1000)
    logits[0, 255], logits[1, 999] = 1, 1
    scores = measure_classes(logits, torch.tensor([255, 999]), names=names).scores()
    assert (scores["accuracy"], scores["recall_255"]) == (1, 1)


def test_findings_agree_with_torchmetrics() -> None:
    from torchmetrics.functional.classification import multilabel_f1_score, multilabel_jaccard_index

    logits, _ = drawn(3)
    found = (logits + torch.randn(logits.shape, generator=torch.Generator().manual_seed(0)) > 1).long()
    scores = measure_findings(logits, found, names=NAMES).scores()
    f1 = multilabel_f1_score(logits.sigmoid(), found, num_labels=8)
    iou = multilabel_jaccard_index(logits.sigmoid(), found, num_labels=8)
    assert scores["f1_macro"] == pytest.approx(float(f1), abs=1e-6)
    assert scores["iou_macro"] == pytest.approx(float(iou), abs=1e-6)


def test_a_finding_without_both_outcomes_is_nan_left_out_and_counted() -> None:
    logits = torch.tensor([[1.0, 1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, 1.0, 1.0]])
    label = torch.tensor([[1, 0, UNKNOWN], [1, 0, 1], [0, 0, 1]])
    sums = measure_findings(logits, label, names=("a", "b", "c"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = sums.scores()
    assert scores["f1_a"] == scores["f1_macro"] == 0.5
    assert math.isnan(scores["f1_b"])
    assert math.isnan(scores["f1_c"])  # its only background is unknown
    assert sums.counts() == {"classes": 3, "classes_defined": 1}


@pytest.mark.parametrize(
    ("logits", "label", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(3).long(), "K >= 2"),
        (torch.zeros(2, 4), torch.zeros(2).long(), "the shape .2, 4. and 3 names"),
        (torch.zeros(0, 3), torch.zeros(0).long(), "Is the data set empty"),
        (torch.full((2, 3), math.nan), torch.zeros(2).long(), "not finite"),
        (torch.zeros(2, 3), torch.tensor([0, 3]), "must be 0 to 2"),
        (torch.zeros(2, 3), torch.tensor([0, -1]), "must be 0 to 2"),
        (torch.zeros(2, 3), torch.zeros(2), "whole numbers"),
    ],
)
def test_class_scores_that_cannot_be_judged_are_refused(logits: Tensor, label: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure_classes(logits, label, names=("a", "b", "c"))


@pytest.mark.parametrize(
    ("logits", "label", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(2, 2).long(), "agree in shape"),
        (torch.zeros(2, 4), torch.zeros(2, 4).long(), "and 3 names"),
        (torch.zeros(2, 3), torch.full((2, 3), 255), "must be 0 to 1 or -1"),
        (torch.full((2, 3), math.inf), torch.zeros(2, 3).long(), "not finite"),
    ],
)
def test_findings_that_cannot_be_judged_are_refused(logits: Tensor, label: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure_findings(logits, label, names=("a", "b", "c"))
