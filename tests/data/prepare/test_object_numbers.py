"""Numbered objects."""

from __future__ import annotations

import numpy as np
import pytest

from pkgs.data.items import ArraySpec, DataError, Header
from pkgs.data.prepare.object_numbers import ObjectNumbers, numbered


def test_objects_are_numbered_from_one_in_the_order_of_their_numbers() -> None:
    label = np.array([[0, 70_000, 7], [255, 7, 0]], dtype=np.int32)
    assert numbered(label).tolist() == [[0, 3, 1], [2, 1, 0]]
    assert numbered(label).dtype == np.uint16


def test_in_eight_bits_255_is_ignored_and_no_object() -> None:
    assert numbered(np.array([[0, 1, 255]], dtype=np.uint8)).tolist() == [[0, 1, 0]]


def test_an_empty_mask_stays_empty() -> None:
    assert not numbered(np.zeros((3, 3), np.int32)).any()


def test_only_the_numbers_are_kept_as_planned() -> None:
    specs = {"image": ArraySpec("image", "uint8", (1, 4, 4)), "label": ArraySpec("label", "int32", (4, 4))}
    planned = ObjectNumbers().planned(Header(specs))
    item = ObjectNumbers()({"image": np.zeros((1, 4, 4), np.uint8), "label": np.eye(4, dtype=np.int32)})
    assert planned.arrays == {"instances": ArraySpec("label", "uint16", (4, 4))}
    assert list(item) == ["instances"]
    assert item["instances"].dtype.name == "uint16"


def test_more_objects_than_numbers_are_an_error() -> None:
    with pytest.raises(DataError, match="65537 objects in one image; expected at most 65535"):
        numbered(np.arange(1, 65_538, dtype=np.int32).reshape(1, -1))
