"""The window of CT and the z-score of MR."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pkgs.data.items import ArraySpec, Header
from pkgs.data.prepare.window import window
from pkgs.data.prepare.zscore import ZScore


def test_a_window_maps_its_ends_to_minus_one_and_one_and_clips() -> None:
    image = torch.tensor([-1000, -100, 150, 400, 3000], dtype=torch.int16)
    made = window(image, low=-100, high=400)
    assert made.dtype == torch.float32
    assert made.tolist() == pytest.approx([-1, -1, 0, 1, 1])
    assert image.tolist() == [-1000, -100, 150, 400, 3000]
    with pytest.raises(ValueError, match=r"window 5 \.\. 5 is empty"):
        window(image, low=5, high=5)


def test_a_z_score_is_taken_over_non_zero_voxels_of_each_channel() -> None:
    image = np.array([[[0, 1, 3]], [[0, 10, 30]], [[0, 0, 0]], [[0, 7, 7]]], np.int16)
    made = ZScore()({"image": image})["image"]
    assert made.dtype == np.float32
    assert made[0, 0].tolist() == pytest.approx([-2, -1, 1])  # mean 2, sd 1
    assert made[1, 0].tolist() == pytest.approx([-2, -1, 1])
    assert not made[2:].any()
    assert image.dtype == np.int16


def test_a_z_score_plans_float32_for_images_alone() -> None:
    header = Header(
        {"image": ArraySpec("image", "int16", (1, 4)), "label": ArraySpec("label", "uint8", (4,))}
    )
    planned = ZScore().planned(header)
    assert planned.arrays["image"].dtype == "float32"
    assert planned.arrays["label"] == header.arrays["label"]
