"""Masks on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pkgs.data.formats.mask import read_binary, read_instances
from pkgs.data.items import DataError
from tests.builders.cem_mitolab import draw_patch


def save(path: Path, values: object) -> Path:
    Image.fromarray(np.array(values, np.uint8)).save(path)
    return path


@pytest.mark.parametrize("inside", [1, 255])
def test_both_codings_give_zero_and_one(tmp_path: Path, inside: int) -> None:
    path = save(tmp_path / "m.png", [[0, inside], [inside, 0]])
    assert read_binary(path).tolist() == [[0, 1], [1, 0]]
    assert read_binary(path, zero_is_inside=True).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(("value", "told"), [(0, 0), (1, 1), (255, 1)])
def test_a_mask_of_one_value_is_all_ground_or_all_object(tmp_path: Path, value: int, told: int) -> None:
    assert read_binary(save(tmp_path / "m.png", [[value] * 3] * 3)).tolist() == [[told] * 3] * 3


@pytest.mark.parametrize("values", [[0, 2], [1, 255], [0, 1, 255], [128]])
def test_other_values_are_told(tmp_path: Path, values: list[int]) -> None:
    told = ", ".join(map(str, values))
    with pytest.raises(DataError, match=rf"m\.png: the mask holds the values {told}; expected only 0 and 1"):
        read_binary(save(tmp_path / "m.png", [np.repeat(values, 4)] * 2))


def test_an_image_in_the_place_of_a_mask_is_noticed(tmp_path: Path) -> None:
    grey, labels = draw_patch(0, side_px=64)
    with pytest.raises(
        DataError, match=r"looks like an image: are the folders of images and masks swapped\?"
    ):
        read_instances(save(tmp_path / "m.png", np.round(grey * 255)))
    assert read_instances(save(tmp_path / "n.png", labels)).max() == 2


def test_a_bilevel_png_is_a_mask_of_zero_and_one(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "m.png")
    assert read_binary(tmp_path / "m.png").tolist() == [[1, 0]]
