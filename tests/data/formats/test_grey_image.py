"""Reading single images and masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pkgs.data.formats.grey_image import digest_image, read_grey, read_labels
from pkgs.data.items import DataError


def write(path: Path, plane: np.ndarray, photometric: str = "minisblack") -> Path:
    tifffile.imwrite(path, plane, photometric=photometric)
    return path


def test_eight_bit_is_divided_by_255(tmp_path: Path) -> None:
    grey = read_grey(write(tmp_path / "a.tif", np.array([[0, 51], [102, 255]], np.uint8)))
    assert grey.dtype == np.float32
    assert np.array_equal(grey, np.array([[0, 51], [102, 255]], np.float32) / 255)


def test_sixteen_bit_is_divided_by_65535(tmp_path: Path) -> None:
    grey = read_grey(write(tmp_path / "a.tiff", np.array([[0, 65535]], np.uint16)))
    assert grey.tolist() == [[0.0, 1.0]]


def test_floats_within_zero_and_one_stay_as_they_are(tmp_path: Path) -> None:
    grey = read_grey(write(tmp_path / "a.tiff", np.array([[0.25, 1.0]], np.float32)))
    assert grey.tolist() == [[0.25, 1.0]]


def test_min_is_white_is_inverted(tmp_path: Path) -> None:
    grey = read_grey(write(tmp_path / "a.tif", np.array([[0, 255]], np.uint8), "miniswhite"))
    assert grey.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    ("plane", "words"),
    [
        (np.array([[0.0, 1.5]], np.float32), "from 0 to 1.5"),
        (np.array([[0.0, np.nan]], np.float32), "floating-point"),
        (np.array([[1, 2]], np.int32), "int32"),
    ],
)
def test_other_values_are_refused_by_name_of_the_file(tmp_path: Path, plane: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=rf"odd\.tif.*{words}"):
        read_grey(write(tmp_path / "odd.tif", plane))


def test_several_pages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"stack\.tif: 3 pages"):
        read_grey(write(tmp_path / "stack.tif", np.zeros((3, 8, 8), np.uint8)))


def test_colour_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rgb\.tif: colour \(RGB"):
        read_grey(write(tmp_path / "rgb.tif", np.zeros((8, 8, 3), np.uint8), "rgb"))
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    with pytest.raises(DataError, match=r"rgb\.png: colour \(mode RGB"):
        read_grey(tmp_path / "rgb.png")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.tif", np.zeros((64, 64), np.uint8))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"cut\.tif: cannot be decoded"):
        read_grey(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.tif: is missing"):
        read_grey(tmp_path / "none.tif")


def test_masks_keep_their_instance_numbers(tmp_path: Path) -> None:
    labels = read_labels(write(tmp_path / "m.tiff", np.array([[0, 300, 65535]], np.uint16)))
    assert labels.tolist() == [[0, 300, 65535]]


def test_a_mask_of_fractions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected whole numbers"):
        read_labels(write(tmp_path / "m.tiff", np.array([[0.5]], np.float32)))


def test_equal_pixels_have_one_digest_in_every_container(tmp_path: Path) -> None:
    plane = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(plane).save(tmp_path / "a.png")
    assert digest_image(write(tmp_path / "a.tif", plane)) == digest_image(tmp_path / "a.png")
    assert digest_image(write(tmp_path / "b.tif", plane + 1)) != digest_image(tmp_path / "a.png")
