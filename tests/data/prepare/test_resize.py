"""Resizing images and their masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pkgs.data.items import ArraySpec, DataError, Header
from pkgs.data.prepare.resize import Resize, middle, nearest, whole_shape


def test_a_halved_image_matches_a_value_worked_out_by_hand() -> None:
    image = np.array([[[0, 0, 100, 100]]], np.uint8)
    # a triangle of half-width 2 around 1 and 3: weights .125 .375 .375 .125, cut at the border
    assert Resize((1, 2))({"image": image})["image"].tolist() == [[[14, 86]]]


@pytest.mark.parametrize(
    ("old", "new"), [((7, 9), (14, 18)), ((64, 48), (24, 24)), ((5, 5), (13, 3)), ((224, 224), (64, 96))]
)
def test_labels_take_the_pixels_that_torch_takes(old: tuple[int, int], new: tuple[int, int]) -> None:
    label = np.random.default_rng(0).integers(0, 1000, old).astype(np.int32)
    theirs = F.interpolate(torch.from_numpy(label)[None, None].float(), size=new, mode="nearest-exact")[0, 0]
    assert np.array_equal(nearest(label, new), theirs.numpy().astype(np.int32))


def test_object_numbers_above_two_to_the_24_survive() -> None:
    label = np.array([[2**24 + 1, 2**31 - 1]], np.int32)
    assert Resize((1, 4))({"label": label})["label"].tolist() == [[2**24 + 1] * 2 + [2**31 - 1] * 2]


def test_the_right_size_is_passed_on_bit_for_bit() -> None:
    image = np.random.default_rng(0).random((1, 8, 8), np.float32)
    assert Resize((8, 8))({"image": image})["image"] is image


def test_a_constant_image_stays_constant_in_each_type() -> None:
    for value, dtype in ((255, np.uint8), (65535, np.uint16), (-1024, np.int16), (0.3, np.float32)):
        image = np.full((2, 17, 11), value, dtype)
        resized = Resize((40, 5))({"image": image})["image"]
        assert resized.dtype == dtype
        assert np.allclose(resized, image[0, 0, 0], rtol=1e-6)


def test_soft_labels_still_sum_to_one() -> None:
    soft = np.random.default_rng(0).random((3, 20, 20), np.float32)
    resized = Resize((13, 33))({"soft": soft / soft.sum(0)})["soft"]
    assert np.allclose(resized.sum(0), 1, atol=1e-5)


def test_rounding_to_eight_bits_is_at_most_half_a_code() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 50, 50), dtype=np.uint8)
    exact = Resize((32, 32))({"image": image.astype(np.float32)})["image"]
    assert np.abs(Resize((32, 32))({"image": image})["image"] - exact).max() <= 0.5


def test_a_crop_keeps_the_middle_and_the_proportions() -> None:
    image = np.zeros((1, 100, 300), np.uint8)
    image[:, :, 100:200] = 200
    cropped = Resize((50, 50), fit="crop")({"image": image})["image"]
    assert cropped[:, :, 1:-1].min() == 200
    squashed = Resize((50, 50))({"image": image})["image"]
    assert squashed[0, 25, 2] == 0


@pytest.mark.parametrize(
    ("shape", "goal", "between"),
    [
        ((100, 300), (50, 50), (50, 150)),
        ((300, 100), (50, 50), (150, 50)),
        ((10, 10), (4, 8), (8, 8)),
        ((333, 500), (256, 256), (256, 384)),
    ],
)
def test_the_short_side_is_fitted(
    shape: tuple[int, int], goal: tuple[int, int], between: tuple[int, int]
) -> None:
    assert whole_shape(shape, goal) == between


def test_the_middle_is_cut() -> None:
    assert middle((5, 8), (2, 8)) == (slice(1, 3), slice(0, 8))


def test_masks_move_with_their_images() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 5:35] = 1
    done = Resize((32, 32), fit="crop")({"image": mask[None] * np.uint8(255), "label": mask})
    assert np.mean((done["image"][0] > 127) == (done["label"] == 1)) > 0.99


def test_volumes_and_impossible_sizes_are_refused() -> None:
    with pytest.raises(DataError, match=r"Resize: 'image' is a image of int16 with shape \(1, 4, 4, 4\)"):
        Resize((2, 2)).planned(Header({"image": ArraySpec("image", "int16", (1, 4, 4, 4))}))
    with pytest.raises(DataError, match="'label' is a label of float32"):
        Resize((2, 2)).planned(Header({"label": ArraySpec("label", "float32", (4, 4))}))
    with pytest.raises(DataError, match="at least 1 each"):
        Resize((0, 2))
