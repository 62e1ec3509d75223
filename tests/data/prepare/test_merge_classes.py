"""Source labels merged into classes."""

from __future__ import annotations

import numpy as np
import pytest

from pkgs.data.items import DataError, Header
from pkgs.data.prepare.merge_classes import MergeClasses

LABEL = np.array([[0, 1, 2, 255]], np.uint8)


def merged(step: MergeClasses, label: np.ndarray = LABEL) -> list[int]:
    return step({"label": label})["label"][0].tolist()


def test_classes_are_positions_in_the_list_and_ignored_stays_ignored() -> None:
    step = MergeClasses.of([{"background": [0]}, {"kidney_tumour": [1, 2]}])
    assert merged(step) == [0, 1, 1, 255]
    assert step.names == ("0_background", "1_kidney_tumour")
    swapped = MergeClasses.of([{"background": [0]}, {"tumour": [2]}, {"kidney": [1]}])
    assert merged(swapped) == [0, 2, 1, 255]


@pytest.mark.parametrize(
    ("text", "expected"), [("0,1,2", [0, 1, 2, 255]), ("0,3", [0, 1, 1, 255]), ("0,2", [0, 0, 1, 255])]
)
def test_old_strings_are_understood(text: str, expected: list[int]) -> None:
    assert merged(MergeClasses.of_old_string(text)) == expected


def test_an_unlisted_label_is_an_error_or_background() -> None:
    entries = [{"background": [0]}, {"tumour": [2]}]
    with pytest.raises(DataError, match=r"labels 1 \(1 voxels\), which stand in no class .* tumour \[2\]"):
        merged(MergeClasses.of(entries))
    assert merged(MergeClasses.of(entries, unlisted="background")) == [0, 0, 1, 255]


def test_the_identity_changes_nothing_and_other_arrays_stay() -> None:
    step = MergeClasses.of([{"a": [0]}, {"b": [1]}, {"c": [2]}])
    image = np.zeros((1, 1, 4))
    item = step({"label": LABEL, "image": image})
    assert np.array_equal(item["label"], LABEL)
    assert item["image"] is image
    assert step({"image": image}) == {"image": image}
    assert step.planned(Header({})) == Header({})
    assert "unlisted='error'" in repr(step)


def test_a_wrong_list_is_refused() -> None:
    with pytest.raises(ValueError, match=r"source labels \[1\] stand in several entries"):
        MergeClasses.of([{"a": [0, 1]}, {"b": [1]}])
    with pytest.raises(ValueError, match=r"expected two or more"):
        MergeClasses.of([{"a": [0]}])
    with pytest.raises(ValueError, match=r"source labels \[0, 255\]; expected 0 to 254"):
        MergeClasses.of([{"a": [0]}, {"b": [255]}])
    with pytest.raises(ValueError, match=r"classes '0,9': expected numbers of 0 to 3"):
        MergeClasses.of_old_string("0,9")
