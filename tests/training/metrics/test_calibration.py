"""ECE of foreground, of the largest probability, per class and per image; Brier score and NLL."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pkgs.training.metrics import (
    BINS,
    measure_calibration,
    measure_calibration_of,
    measure_class_calibration,
    measure_class_calibration_of,
    measure_reliability,
    merged,
)


def binary(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(4, 1, 32, 32, generator=generator)
    label = (torch.rand(4, 32, 32, generator=generator) < 0.3).long()
    label[torch.rand(label.shape, generator=generator) < 0.1] = 255
    return logits, label


def classes(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(3, 4, 8, 9, generator=generator)
    label = torch.randint(0, 4, (3, 8, 9), generator=generator)
    label[torch.rand(label.shape, generator=generator) < 0.1] = 255
    return logits, label


def opposite() -> tuple[Tensor, Tensor]:
    """Return two images that are wrong in opposite directions: p .5016, shares .4 and .6."""
    p, label = torch.full((2, 10, 10), 0.5016), torch.zeros(2, 10, 10, dtype=torch.long)
    label[0, :4], label[1, :6] = 1, 1
    return p, label


def test_brier_and_nll_agree_with_torch_and_scikit_learn() -> None:
    from sklearn.metrics import brier_score_loss, log_loss

    logits, label = binary(0)
    scores = merged(measure_calibration(logits, label)).scores()
    seen = label != 255
    p, y = logits[:, 0][seen].double().sigmoid(), label[seen]
    assert scores["brier"] == pytest.approx(brier_score_loss(y, p), abs=1e-6)
    assert scores["nll"] == pytest.approx(log_loss(y, p), abs=1e-6)
    wanted = F.binary_cross_entropy_with_logits(logits[:, 0][seen].double(), y.double())
    assert scores["nll"] == pytest.approx(float(wanted), abs=1e-6)


def test_the_image_mean_is_another_quantity_than_ece() -> None:
    p, label = opposite()
    scores = merged(measure_calibration_of(p, label)).scores()
    assert scores["ece_fg"] == pytest.approx(0.0016, abs=1e-6)
    assert scores["ece_image"] == pytest.approx(0.1, abs=1e-6)


def test_monai_calls_the_image_mean_ece() -> None:
    from monai.metrics import CalibrationErrorMetric

    p, label = opposite()
    metric = CalibrationErrorMetric(num_bins=BINS, include_background=True)
    metric(p[:, None], label[:, None].float())
    assert float(metric.aggregate()) == pytest.approx(0.1, abs=1e-5)  # pooled it is .0016


def test_a_mean_over_batches_changes_with_the_batch_size_and_pooled_does_not() -> None:
    logits, label = binary(1)
    parts = measure_calibration(logits, label)
    of_batches = [
        sum(merged(parts[k : k + size]).scores()["ece_fg"] for k in range(0, 4, size)) / (4 // size)
        for size in (1, 2, 4)
    ]
    assert len({round(value, 6) for value in of_batches}) == 3
    for size in (1, 2, 3):
        pieces = [measure_calibration(logits[k : k + size], label[k : k + size]) for k in range(0, 4, size)]
        assert merged(part for piece in pieces for part in piece) == merged(parts)


def test_slices_of_a_volume_can_be_one_image() -> None:
    p, label = opposite()
    volume = merged(measure_calibration_of(p, label)).as_case()
    assert volume.images == 1
    assert volume.scores()["ece_image"] == pytest.approx(volume.scores()["ece_fg"], abs=1e-7)


def test_probabilities_alone_have_no_likelihood() -> None:
    assert math.isnan(measure_calibration_of(*opposite())[0].scores()["nll"])


def test_an_image_without_judged_pixels_neither_counts_nor_fails() -> None:
    logits, label = binary(2)
    ignored = label.clone()
    ignored[0] = 255
    parts = measure_calibration(logits, ignored)
    assert merged(parts) == merged(measure_calibration(logits[1:], label[1:]))
    assert all(math.isnan(value) for value in parts[0].scores().values())


def test_top_label_and_class_errors_agree_with_torchmetrics() -> None:
    from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

    logits, label = classes(0)
    sums = merged(measure_class_calibration(logits, label))
    scores, p = sums.scores(), logits.softmax(dim=1)
    flat, y = p.movedim(1, -1).reshape(-1, 4), label.flatten()
    for norm, name in (("l1", "ece_top"), ("max", "mce_top")):
        peer = multiclass_calibration_error(flat, y, num_classes=4, n_bins=BINS, norm=norm, ignore_index=255)
        assert scores[name] == pytest.approx(float(peer), abs=1e-6)
    seen = y != 255
    per_class = [
        float(binary_calibration_error(flat[seen][:, k].contiguous(), (y[seen] == k).long(), n_bins=BINS))
        for k in range(4)
    ]
    assert scores["ece_class"] == pytest.approx(sum(per_class) / 4, abs=1e-6)


def test_brier_and_nll_of_classes_agree_with_their_definitions() -> None:
    logits, label = classes(1)
    scores = merged(measure_class_calibration(logits, label)).scores()
    assert scores["nll"] == pytest.approx(
        float(F.cross_entropy(logits.double(), label, ignore_index=255)), abs=1e-6
    )
    seen = label.flatten() != 255
    p, y = logits.double().softmax(1).movedim(1, -1).reshape(-1, 4)[seen], label.flatten()[seen]
    assert scores["brier"] == pytest.approx(float((p - F.one_hot(y, 4)).square().sum(dim=1).mean()), abs=1e-6)


def test_whole_images_are_judged_like_pixels() -> None:
    logits = 2 * torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([0, 1, 2, 0, 1, 1])
    sums = merged(measure_class_calibration(logits, label))
    assert sums.top.total == 6
    assert sums == merged(measure_class_calibration_of(logits.softmax(1), label)).__class__(
        sums.top, sums.classes, sums.brier, sums.nll, 6
    )


def test_a_class_that_does_not_occur_shifts_nothing() -> None:
    logits, label = classes(2)
    absent = torch.where(label == 1, 0, label)
    sums = merged(measure_class_calibration(logits, absent))
    assert [sum(table.y) for table in sums.classes] == [int((absent == k).sum()) for k in range(4)]
    assert not any(math.isnan(value) for value in sums.scores().values())


def test_two_classes_agree_with_the_binary_form() -> None:
    logits, label = binary(3)
    both = torch.cat([torch.zeros_like(logits), logits], dim=1)
    two, one = merged(measure_class_calibration(both, label)), merged(measure_calibration(logits, label))
    assert two.classes[1].ece() == pytest.approx(one.table.ece(), abs=1e-5)
    assert two.scores()["brier"] == pytest.approx(2 * one.scores()["brier"], abs=1e-6)
    assert two.scores()["nll"] == pytest.approx(one.scores()["nll"], abs=1e-6)


def test_half_precision_is_measured_in_float32() -> None:
    logits, label = binary(4)
    half = logits.bfloat16()
    assert measure_calibration(half, label) == measure_calibration(half.float(), label)


def test_a_constant_p_equal_to_the_share_is_calibrated() -> None:
    label = (torch.arange(64).reshape(1, 8, 8) % 4 == 0).long()
    assert measure_calibration_of(torch.full((1, 8, 8), 0.25), label)[0].scores()["ece_fg"] == 0
    assert measure_reliability(torch.full((1, 8, 8), 0.25), label)[0].mce() == 0


ZEROS = torch.zeros(1, 4, 4, dtype=torch.long)


@pytest.mark.parametrize(
    ("logits", "label", "message"),
    [
        (torch.zeros(1, 2, 4, 4), ZEROS, r"shape \[B, 1, ...\]"),
        (torch.zeros(1, 1, 4, 5), ZEROS, "agree in shape"),
        (torch.zeros(0, 1, 4, 4), ZEROS[:0], "Is the data set empty"),
        (torch.full((1, 1, 4, 4), math.inf), ZEROS, "has diverged"),
        (torch.full((1, 1, 4, 4), 1e12), ZEROS, "exceed what exact sums"),
        (torch.zeros(1, 1, 4, 4), ZEROS + 2, "must be 0 to 1 or 255"),
        (torch.zeros(1, 1, 4, 4), ZEROS.float(), "whole numbers"),
    ],
)
def test_what_cannot_be_measured_is_refused(logits: Tensor, label: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure_calibration(logits, label)


@pytest.mark.parametrize(
    ("logits", "label", "message"),
    [
        (torch.zeros(1, 1, 4, 4), ZEROS, "K >= 2"),
        (torch.zeros(1, 3, 4, 5), ZEROS, "K >= 2"),
        (torch.zeros(0, 3, 4, 4), ZEROS[:0], "Is the data set empty"),
        (torch.full((1, 3, 4, 4), math.nan), ZEROS, "has diverged"),
        (torch.zeros(1, 3, 4, 4), ZEROS + 3, "must be 0 to 2 or 255"),
    ],
)
def test_class_scores_that_cannot_be_measured_are_refused(
    logits: Tensor, label: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        measure_class_calibration(logits, label)


def test_class_probabilities_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(ValueError, match="must sum to 1"):
        measure_class_calibration_of(torch.full((1, 3, 4, 4), 0.5), ZEROS)


def test_no_warning_is_given_for_an_empty_bin() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measure_calibration(*binary(5))[0].scores()
