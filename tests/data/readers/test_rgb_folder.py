"""Colour images of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pkgs.data.items import DataError
from pkgs.data.readers.rgb_folder import RgbFolder
from tests.builders.rgb_folder import write_rgb_folder


def test_patches_are_grouped_by_tile_and_other_images_stand_alone(tmp_path: Path) -> None:
    samples = RgbFolder().samples(write_rgb_folder(tmp_path))
    assert [sample.group for sample in samples] == ["city_1_2", "city_1_2", "park"]


def test_masks_are_0_and_1_in_both_codings(tmp_path: Path) -> None:
    reader = RgbFolder()
    for sample in reader.samples(write_rgb_folder(tmp_path)):
        item = reader.read(sample)
        red, green = item["image"][0].astype(int), item["image"][1].astype(int)
        assert np.array_equal(item["label"], red > green)


def test_an_image_without_a_mask_is_named(tmp_path: Path) -> None:
    (write_rgb_folder(tmp_path) / "masks/park.png").unlink()
    with pytest.raises(DataError, match=r"park \(no mask\)"):
        RgbFolder().samples(tmp_path)
