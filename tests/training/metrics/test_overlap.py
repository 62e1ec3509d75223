"""Dice, IoU, precision, recall by class, region and case; the rules for empty masks."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import Tensor

from pkgs.training.metrics import Overlap, by_class, collected, measure_masks, measure_regions, merged


def drawn(seed: int, *, classes: int = 4, count: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, classes, (count, 12, 11), generator=generator)
    changed = torch.rand(label.shape, generator=generator) < 0.4
    return torch.where(changed, torch.randint(0, classes, label.shape, generator=generator), label), label


def mask(*rows: str) -> Tensor:
    """Return [1, rows, columns] from `#` for yes, `?` for not judged and `.` for no."""
    return torch.tensor([[[{"#": 1, "?": 255}.get(mark, 0) for mark in row] for row in rows]])


def test_scores_worked_out_by_hand() -> None:
    # tp 2, fp 1, fn 1, tn 2; two pixels are not judged
    scores = measure_masks(mask("##.#", "..##").clamp(max=1), mask("###.", "..??"))[0].scores()
    wanted = {"iou": 2 / 4, "dice": 4 / 6, "precision": 2 / 3, "recall": 2 / 3, "accuracy": 4 / 6}
    assert {name: scores[name] for name in wanted} == pytest.approx(wanted)
    assert scores["specificity"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("found", "wanted", "overlap", "precision", "recall", "counted"),
    [
        ("....", "....", 1, 1, 1, "both_empty"),
        ("##..", "....", 0, 0, 0, "false_alarm"),
        ("....", "##..", 0, 0, 0, "missed"),
    ],
)
def test_the_rules_for_empty_masks(
    found: str, wanted: str, overlap: int, precision: int, recall: int, counted: str
) -> None:
    sums = measure_masks(mask(found), mask(wanted))[0]
    scores = sums.scores()
    names = ("iou", "dice", "precision", "recall", "iou_case", "dice_case")
    assert [scores[n] for n in names] == [overlap, overlap, precision, recall, overlap, overlap]
    assert sums.counts()[counted] == 1
    assert sums.present == (1 if "#" in wanted else 0)
    assert math.isnan(scores["dice_present"]) is ("#" not in wanted)


def test_a_second_mean_covers_only_cases_whose_reference_is_not_empty() -> None:
    parts = [*measure_masks(mask("...."), mask("....")), *measure_masks(mask("##.."), mask("#..."))]
    scores = merged(parts).scores()
    assert scores["dice_case"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-7)
    assert scores["dice_present"] == pytest.approx(2 / 3, abs=1e-7)


def test_an_image_that_nobody_judged_is_no_case() -> None:
    ignored = measure_masks(mask("##.."), mask("????"))[0]
    assert ignored == Overlap()
    assert all(math.isnan(value) for value in ignored.scores().values())
    known = measure_masks(mask("##.."), mask("#..."))[0]
    assert ignored + known == known


def test_slices_are_pooled_before_a_volume_counts_as_a_case() -> None:
    # an empty slice in which nothing was found scores 1 as an image, and must not lift its volume
    found, wanted = torch.cat([mask("...."), mask("#...")]), torch.cat([mask("...."), mask("##..")])
    volumes = collected(zip(("v", "v"), measure_masks(found, wanted), strict=True))
    assert volumes.pooled().scores()["dice_case"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-7)
    assert volumes.cases().scores()["dice_case"] == pytest.approx(2 / 3, abs=1e-7)
    assert volumes.cases().cases == 1


def test_pooled_scores_of_classes_agree_with_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, jaccard_score, precision_recall_fscore_support

    prediction, label = drawn(0)
    regions = by_class(["0", "1", "2", "3"])
    sums = merged(measure_regions(prediction, label, classes=4, regions=regions))
    flat = (label.flatten(), prediction.flatten())
    precision, recall, f1, _ = precision_recall_fscore_support(*flat)
    iou = jaccard_score(*flat, average=None)
    for k in range(4):
        scores = sums.parts[str(k)].scores()
        ours = [scores[name] for name in ("precision", "recall", "dice", "iou")]
        assert ours == pytest.approx([precision[k], recall[k], f1[k], iou[k]], abs=1e-12)
        assert scores["accuracy"] == pytest.approx(accuracy_score(flat[0] == k, flat[1] == k))


def test_scores_of_cases_agree_with_monai_and_torchmetrics() -> None:
    from monai.metrics import compute_dice, compute_iou
    from torchmetrics.functional.classification import binary_specificity

    prediction, label = drawn(1, classes=2)
    parts = measure_masks(prediction.bool(), label)
    hot = prediction[:, None].float(), label[:, None].float()
    scores = merged(parts).scores()
    assert scores["dice_case"] == pytest.approx(float(compute_dice(*hot).mean()), abs=1e-6)
    assert scores["iou_case"] == pytest.approx(float(compute_iou(*hot).mean()), abs=1e-6)
    assert scores["specificity"] == pytest.approx(float(binary_specificity(prediction, label)), abs=1e-6)


def test_monai_gives_nan_where_both_masks_are_empty_and_we_give_one() -> None:
    from monai.metrics import compute_dice

    nothing = torch.zeros(1, 1, 4, 4)
    assert math.isnan(float(compute_dice(nothing, nothing)))
    assert measure_masks(nothing[0], nothing[0].long())[0].scores()["dice"] == 1


def test_an_absent_class_shifts_no_other() -> None:
    prediction, label = drawn(2)
    absent = torch.where(label == 1, 0, label)
    names = by_class(["background", "one", "two", "three"])
    whole = merged(measure_regions(prediction, label, classes=4, regions=names))
    less = merged(measure_regions(prediction, absent, classes=4, regions=names))
    assert less.parts["two"] == whole.parts["two"]
    assert less.parts["three"] == whole.parts["three"]
    assert less.parts["one"].counts()["false_alarm"] == 5


def test_a_region_is_the_union_of_its_classes() -> None:
    prediction, label = drawn(3)
    regions = {"tumour": (2,), "organ": (1, 2)}
    sums = merged(measure_regions(prediction, label, classes=4, regions=regions))
    union = [(each == 1) | (each == 2) for each in (prediction, label)]
    assert sums.parts["organ"] == merged(measure_masks(union[0], union[1].long()))
    assert {"dice_organ", "dice_tumour", "dice_macro"} <= sums.scores().keys()
    assert sums.scores()["dice_macro"] == pytest.approx(
        (sums.scores()["dice_organ"] + sums.scores()["dice_tumour"]) / 2
    )


def test_exchanging_prediction_and_label_exchanges_precision_and_recall() -> None:
    prediction, label = drawn(4, classes=2)
    there, back = (
        merged(measure_masks(a.bool(), b)).scores() for a, b in ((prediction, label), (label, prediction))
    )
    assert (there["dice"], there["precision"]) == (back["dice"], back["recall"])


ZEROS = torch.zeros(1, 4, 4, dtype=torch.long)


@pytest.mark.parametrize(
    ("prediction", "label", "message"),
    [
        (ZEROS[:, :3], ZEROS, "agree in shape"),
        (ZEROS[:0], ZEROS[:0], "Is the data set empty"),
        (ZEROS + 0.3, ZEROS, "Compare probabilities with a threshold"),
        (ZEROS, ZEROS + 0.0, "whole numbers"),
        (ZEROS, ZEROS + 2, "must be 0 to 1 or 255"),
    ],
)
def test_masks_that_cannot_be_compared_are_refused(prediction: Tensor, label: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure_masks(prediction, label)


def test_classes_and_regions_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="must be 0 to 2"):
        measure_regions(ZEROS + 3, ZEROS, classes=3, regions={"a": (1,)})
    for members in ((3,), ()):
        with pytest.raises(ValueError, match=r"Region 'a' consists of .*; classes are 0 to 2"):
            measure_regions(ZEROS, ZEROS, classes=3, regions={"a": members})


def test_no_warning_is_given_for_empty_masks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert measure_masks(ZEROS.bool(), ZEROS)[0].scores()["dice"] == 1
