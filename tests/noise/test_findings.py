from __future__ import annotations

import numpy as np
import pytest

from pkgs.noise.findings import KINDS, SUGGESTIONS, find, kind_of_pair, shape_of
from tests.builders.noise_patches import Square, label, plane, predict

HOUSE = (80, 80, 120, 120)


def kinds(labelled: list[Square], predicted: list[Square], *, side_px: int = 256) -> list[str]:
    found = find(label(labelled, side_px=side_px), predict(predicted, side_px=side_px))
    return [finding.kind for finding in found]


def bar(angle_deg: float, *, length: int = 60, width: int = 20) -> np.ndarray:
    """Return a bar in the middle of 256 x 256, turned clockwise as a person sees it."""
    y, x = np.mgrid[:256, :256] - 127.5
    angle = np.deg2rad(angle_deg)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return ((abs(along) <= length / 2) & (abs(across) <= width / 2)).astype(np.uint8)


def of_bars(one: np.ndarray, two: np.ndarray) -> list[str]:
    return [finding.kind for finding in find(one, np.where(two == 1, 0.9, 0.05))]


def test_a_predicted_object_without_a_label_is_missing() -> None:
    (finding,) = find(label([], side_px=256), predict([HOUSE], side_px=256))
    assert (finding.kind, finding.box, finding.area_px) == ("missing", HOUSE, 1600)
    assert finding.confidence == pytest.approx(0.9)
    assert finding.labelled is None
    assert finding.predicted is not None
    assert finding.predicted.all()


def test_a_labelled_object_that_nobody_predicts_is_extra() -> None:
    (finding,) = find(label([HOUSE], side_px=256), predict([], side_px=256))
    assert (finding.kind, finding.box, finding.area_px) == ("extra", HOUSE, 1600)
    assert finding.confidence == pytest.approx(0.95)
    assert finding.predicted is None


def test_an_object_beside_its_place_is_shifted() -> None:
    (finding,) = find(label([HOUSE], side_px=256), predict([(96, 80, 136, 120)], side_px=256))
    assert (finding.kind, finding.box) == ("shifted", (80, 80, 136, 120))
    assert finding.confidence == pytest.approx((0.95 + 0.9) / 2)  # 640 px too many, 640 too few


def test_a_turned_object_is_rotated() -> None:
    assert of_bars(bar(0), bar(50)) == ["rotated"]


def test_an_outline_that_is_a_little_off_is_a_boundary() -> None:
    assert kinds([HOUSE], [(84, 80, 124, 120)]) == ["boundary"]


def test_what_agrees_is_not_found() -> None:
    assert kinds([HOUSE], [HOUSE]) == []
    assert kinds([HOUSE], [(82, 80, 122, 120)]) == []  # IoU .90
    assert kinds([], []) == []


@pytest.mark.parametrize(("mean", "found"), [(0.7, ["missing"]), (0.69, [])])
def test_missing_needs_a_mean_probability_of_seven_tenths(mean: float, found: list[str]) -> None:
    p = plane([HOUSE], side_px=256, value=mean)
    assert [finding.kind for finding in find(label([], side_px=256), p)] == found


@pytest.mark.parametrize(("mean", "found"), [(0.29, ["extra"]), (0.3, [])])
def test_extra_needs_a_mean_probability_below_three_tenths(mean: float, found: list[str]) -> None:
    p = plane([HOUSE], side_px=256, value=mean)
    assert [finding.kind for finding in find(label([HOUSE], side_px=256), p)] == found


@pytest.mark.parametrize(("side_px", "area", "found"), [(256, 25, 1), (256, 24, 0), (128, 7, 1), (128, 6, 0)])
def test_the_least_area_is_25_px_at_256_and_a_quarter_of_it_at_128(
    side_px: int, area: int, found: int
) -> None:
    assert len(kinds([(3, 3, 3 + area, 4)], [], side_px=side_px)) == found


@pytest.mark.parametrize(("area", "found"), [(4, 1), (3, 0)])
def test_tiny_patches_still_need_four_pixels(area: int, found: int) -> None:
    assert len(kinds([(3, 3, 3 + area, 4)], [], side_px=32)) == found


def test_pixels_that_touch_at_a_corner_are_one_object() -> None:
    assert kinds([(10, 10, 20, 20), (20, 20, 30, 30)], []) == ["extra"]


@pytest.mark.parametrize(
    ("iou", "kind"),
    [(0.1, "shifted"), (0.59, "shifted"), (0.6, "boundary"), (0.84, "boundary"), (0.85, None)],
)
def test_the_kind_of_a_pair_follows_its_iou(iou: float, kind: str | None) -> None:
    one, two = label([HOUSE], side_px=256) == 1, label([(84, 80, 124, 120)], side_px=256) == 1
    assert kind_of_pair(one, two, iou=iou, far_px=3.0) == kind


def test_pairs_of_unequal_area_or_equal_place_have_no_name() -> None:
    one, near = label([HOUSE], side_px=256) == 1, label([(83, 80, 123, 120)], side_px=256) == 1
    larger = label([(84, 80, 137, 120)], side_px=256) == 1  # 32.5 % more
    as_large = label([(84, 80, 136, 120)], side_px=256) == 1  # 30 % more
    assert kind_of_pair(one, near, iou=0.5, far_px=3.0) is None
    assert kind_of_pair(one, larger, iou=0.5, far_px=3.0) is None
    assert kind_of_pair(one, as_large, iou=0.5, far_px=3.0) == "shifted"


@pytest.mark.parametrize(("turn_deg", "kind"), [(14, None), (16, "rotated"), (164, "rotated"), (166, None)])
def test_axes_must_be_more_than_15_degrees_apart_and_have_no_front(turn_deg: float, kind: str | None) -> None:
    assert kind_of_pair(bar(10) == 1, bar(10 + turn_deg) == 1, iou=0.5, far_px=3.0) == kind


@pytest.mark.parametrize(("length", "kind"), [(23, None), (26, "rotated")])
def test_objects_that_are_nearly_square_have_no_direction(length: int, kind: str | None) -> None:
    one, two = (bar(angle, length=length) == 1 for angle in (0, 45))
    assert kind_of_pair(one, two, iou=0.5, far_px=3.0) == kind


def test_a_shift_is_measured_in_shares_of_the_side() -> None:
    one, two = label([(8, 8, 16, 16)], side_px=32), predict([(12, 8, 20, 16)], side_px=32)
    assert [finding.kind for finding in find(one, two)] == ["shifted"]  # 4 px of 32: far
    wide, same = np.kron(one, np.ones((8, 8), np.uint8)), np.kron(two, np.ones((8, 8)))
    assert [finding.kind for finding in find(wide, same)] == ["shifted"]


def test_findings_do_not_depend_on_where_the_patch_is_turned_or_mirrored() -> None:
    labelled, p = bar(0), np.where(bar(50) == 1, 0.9, 0.05)
    p[10:40, 10:40] = 0.8
    labelled[200:230, 20:60] = 1
    told = [(finding.kind, round(finding.confidence, 6)) for finding in find(labelled, p)]
    turned = find(np.rot90(labelled)[:, ::-1], np.rot90(p)[:, ::-1])
    assert sorted(told) == sorted((finding.kind, round(finding.confidence, 6)) for finding in turned)


def test_each_object_is_paired_once_with_its_best_partner() -> None:
    beside = [(80, 80, 120, 120), (120, 125, 160, 165)]
    predicted = [(90, 80, 130, 120), (132, 125, 172, 165)]
    found = find(label(beside, side_px=256), predict(predicted, side_px=256))
    assert sorted((finding.kind, finding.box) for finding in found) == [
        ("boundary", (80, 80, 130, 120)),
        ("shifted", (120, 125, 172, 165)),
    ]


def test_a_label_far_from_its_building_is_extra_and_missing_at_once() -> None:
    assert sorted(kinds([HOUSE], [(150, 150, 190, 190)])) == ["extra", "missing"]


def test_a_prediction_within_a_larger_label_is_not_missing() -> None:
    assert kinds([(20, 20, 200, 200)], [(50, 50, 60, 60)]) == ["extra"]


def test_findings_come_surest_first() -> None:
    p = plane([HOUSE], side_px=256, value=0.75) + plane([(200, 200, 220, 220)], side_px=256, value=0.95)
    assert [finding.box[0] for finding in find(label([], side_px=256), p)] == [200, 80]


def test_axes_of_a_bar_are_those_by_which_it_was_turned() -> None:
    shape = shape_of(bar(30) == 1)
    assert (shape.x, shape.y) == pytest.approx((127.5, 127.5), abs=0.1)
    assert shape.axis_deg == pytest.approx(30, abs=1)
    assert shape.elongation == pytest.approx(3, abs=0.1)
    assert shape_of(np.ones((1, 6), bool)).elongation == pytest.approx(6)


def test_each_kind_has_a_suggestion() -> None:
    assert set(SUGGESTIONS) == set(KINDS)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must agree in shape, got \(64, 64\) and \(32, 32\)"):
        find(label([]), predict([], side_px=32))


def test_noise_of_single_pixels_is_not_found() -> None:
    speckled = np.random.default_rng(0).random((256, 256)) < 0.05
    assert find(label([], side_px=256), np.where(speckled, 0.9, 0.1)) == []
    assert find(speckled.astype(np.uint8), np.full((256, 256), 0.1)) == []
