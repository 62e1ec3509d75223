"""Grey values of any depth as codes of one depth."""

from __future__ import annotations

import numpy as np
import pytest

from pkgs.data.items import ArraySpec, DataError, Header
from pkgs.data.prepare.grey_codes import GreyCodes


def test_sixteen_bits_keep_every_code_of_both_depths() -> None:
    eight, sixteen = np.arange(256, dtype=np.uint8), np.arange(65536, dtype=np.uint16)
    codes = GreyCodes(16)({"image": eight[None, None]})["image"][0, 0]
    grey = codes.astype(np.float32) / np.float32(65535)
    assert np.array_equal(grey, eight.astype(np.float32) / np.float32(255))  # to the last bit
    assert np.array_equal(GreyCodes(16)({"image": sixteen[None, None]})["image"][0, 0], sixteen)


def test_eight_bits_round_deeper_images_to_the_nearest_code() -> None:
    deep = np.array([0, 128, 129, 65535], dtype=np.uint16).reshape(1, 1, 4)
    assert GreyCodes(8)({"image": deep})["image"].ravel().tolist() == [0, 0, 1, 255]
    floats = np.array([0.0, 0.5, 1.0], dtype=np.float32).reshape(1, 1, 3)
    assert GreyCodes(8)({"image": floats})["image"].ravel().tolist() == [0, 128, 255]


def test_the_plan_is_what_happens_and_labels_pass() -> None:
    item = {"image": np.zeros((1, 4, 4), np.uint8), "label": np.full((4, 4), 7, np.int32)}
    specs = {"image": ArraySpec("image", "uint8", (1, 4, 4)), "label": ArraySpec("label", "int32", (4, 4))}
    planned, made = GreyCodes(16).planned(Header(specs)), GreyCodes(16)(item)
    assert {n: s.dtype for n, s in planned.arrays.items()} == {n: a.dtype.name for n, a in made.items()}
    assert made["label"] is item["label"]


def test_other_types_are_refused() -> None:
    with pytest.raises(DataError, match="an image of type int32; expected uint8, uint16, or float"):
        GreyCodes()({"image": np.zeros((1, 2, 2), np.int32)})
