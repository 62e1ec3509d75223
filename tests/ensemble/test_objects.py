"""Objects that are found, and objects that are none."""

from __future__ import annotations

import numpy as np
import pytest

from pkgs.ensemble.objects import ObjectSums, measure_objects, true_objects


def boxes(*places: tuple[int, int, int, int], numbered: bool = True) -> np.ndarray:
    """Return a map of 16 x 16 with a box top, bottom, left, right each."""
    drawn = np.zeros((16, 16), dtype=np.int64)
    for number, (top, bottom, left, right) in enumerate(places, start=1):
        drawn[top:bottom, left:right] = number if numbered else 1
    return drawn


def test_counts_of_a_hand_made_case() -> None:
    true = boxes((0, 4, 0, 4), (8, 12, 8, 12), (14, 16, 0, 2))
    predicted = boxes((0, 4, 0, 2), (8, 12, 9, 13), (0, 2, 10, 12)) > 0
    # IoU 8/16 = .5, 12/20 = .6, a third one missed, a false one
    assert measure_objects(predicted, true) == ObjectSums(true=3, found=2, predicted=3, false=1)


def test_numbered_objects_under_one_piece_are_not_found() -> None:
    true = boxes((0, 4, 0, 4), (0, 4, 4, 8), (0, 4, 8, 12))
    assert measure_objects(true > 0, true) == ObjectSums(true=3, found=0, predicted=1, false=1)


def test_the_order_of_the_numbers_plays_no_part() -> None:
    true = boxes((0, 4, 0, 4), (8, 12, 8, 12))
    predicted = boxes((0, 4, 0, 3), (8, 12, 2, 4)) > 0
    assert measure_objects(predicted, true) == measure_objects(predicted, np.where(true, 3 - true, 0))


@pytest.mark.parametrize(("true", "predicted"), [(0, 0), (0, 1), (1, 0)])
def test_nothing_there_or_nothing_found_is_no_error(true: int, predicted: int) -> None:
    box = boxes((0, 4, 0, 4))
    sums = measure_objects(box * predicted > 0, box * true)
    assert sums == ObjectSums(true=true, predicted=predicted, false=predicted)
    assert np.isnan(sums.scores()["objects_found"]) == (true == 0)


def test_numbers_that_a_crop_left_out_are_no_objects() -> None:
    assert measure_objects(np.zeros((16, 16), dtype=bool), 7 * boxes((0, 4, 0, 4))).true == 1


def test_a_label_of_two_values_is_counted_by_its_pieces_and_numbers_are_kept() -> None:
    label = (boxes((0, 4, 0, 4), (8, 12, 8, 12)) > 0).astype(np.uint8)
    for instances in (None, label.astype(np.int64)):
        assert true_objects(label, instances).max() == 2
    touching = boxes((0, 4, 0, 4), (0, 4, 4, 8))
    assert true_objects((touching > 0).astype(np.uint8), touching).max() == 2


def test_unequal_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="must agree in shape"):
        measure_objects(np.zeros((2, 2), dtype=bool), np.zeros((2, 3), dtype=np.int64))
