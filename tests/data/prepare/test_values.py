"""Preparations that change values and not places."""

from __future__ import annotations

import numpy as np
import pytest

from pkgs.data.channel_statistics import Statistics
from pkgs.data.items import ArraySpec, DataError, Header
from pkgs.data.prepare.colour_match import ColourMatch
from pkgs.data.prepare.foreground import Foreground
from pkgs.data.prepare.min_max import MinMax
from pkgs.data.prepare.unit_range import UnitRange

TARGET = Statistics((100.0, 120.0, 80.0), (30.0, 20.0, 10.0))


def test_every_class_becomes_one_and_ignored_pixels_stay_ignored() -> None:
    label = np.array([[0, 1, 7, 255]], np.uint8)
    assert Foreground()({"label": label})["label"].tolist() == [[0, 1, 1, 255]]


def test_the_255th_object_is_an_object() -> None:
    done = Foreground()({"label": np.array([[0, 254, 255, 256]], np.int32)})["label"]
    assert done.tolist() == [[0, 1, 1, 1]]
    assert done.dtype == np.uint8


def test_min_max_spans_zero_to_one_and_a_constant_image_is_zero() -> None:
    assert MinMax()({"image": np.array([[[50, 100, 150]]], np.uint8)})["image"].tolist() == [[[0, 0.5, 1]]]
    assert MinMax()({"image": np.full((1, 2, 2), 7, np.uint16)})["image"].tolist() == [[[0, 0], [0, 0]]]


def test_values_of_all_types_land_on_one_scale() -> None:
    images = [np.full((1, 1, 1), np.iinfo(t).max, t) for t in (np.uint8, np.uint16)]
    assert [UnitRange()({"image": image})["image"].item() for image in images] == [1.0, 1.0]
    assert UnitRange()({"image": np.full((1, 1, 1), 0.25, np.float32)})["image"].item() == 0.25


def test_labels_and_weights_are_left_alone() -> None:
    label = np.array([[3, 4]], np.int32)
    for preparation in (MinMax(), UnitRange()):
        assert preparation({"image": np.zeros((1, 1, 2), np.uint8), "label": label})["label"] is label


def test_each_image_takes_on_the_colours_of_the_target() -> None:
    image = np.random.default_rng(0).integers(40, 90, (3, 64, 64), dtype=np.uint8)
    done = Statistics.of(ColourMatch(TARGET)({"image": image})["image"])
    assert np.allclose(done.mean, TARGET.mean, atol=0.1)
    assert np.allclose(done.std, TARGET.std, atol=0.1)


def test_one_shift_for_the_whole_set_keeps_differences_between_images() -> None:
    dark, light = (np.full((3, 4, 4), value, np.uint8) for value in (50, 60))
    match = ColourMatch(TARGET, own=Statistics((55.0,) * 3, (10.0,) * 3))
    # (50 - 55) / 10 * 30 + 100 = 85
    assert match({"image": dark})["image"][:, 0, 0].tolist() == [85, 110, 75]
    assert match({"image": light})["image"][:, 0, 0].tolist() == [115, 130, 85]


def test_matching_a_set_to_itself_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8)
    assert np.array_equal(ColourMatch(Statistics.of(image))({"image": image})["image"], image)


def test_a_constant_channel_becomes_the_mean_and_bright_values_are_clipped() -> None:
    assert ColourMatch(TARGET)({"image": np.full((3, 4, 4), 9, np.uint8)})["image"][:, 0, 0].tolist() == [
        100,
        120,
        80,
    ]
    match = ColourMatch(TARGET, own=Statistics((0.0,) * 3, (1.0,) * 3))
    assert match({"image": np.full((3, 1, 1), 200, np.uint8)})["image"].ravel().tolist() == [255, 255, 255]


def test_grey_or_deep_images_cannot_be_matched() -> None:
    with pytest.raises(DataError, match=r"the image is uint16 with shape \(3, 4, 4\)"):
        ColourMatch(TARGET).planned(Header({"image": ArraySpec("image", "uint16", (3, 4, 4))}))
    with pytest.raises(DataError, match="expected uint8 with 3 channels"):
        ColourMatch(TARGET).planned(Header({"image": ArraySpec("image", "uint8", (1, 4, 4))}))
