"""Reading single images and masks."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from pkgs.data.formats.decoding import decoding
from pkgs.data.formats.grey_image import (
    digest_image,
    grey_header,
    label_header,
    read_codes,
    read_grey,
    read_labels,
)
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


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_codes_are_kept_as_they_are_stored(tmp_path: Path, dtype: type[np.unsignedinteger]) -> None:
    plane = np.array([[0, 7], [200, np.iinfo(dtype).max]], dtype)
    path = write(tmp_path / "a.tif", plane)
    codes = read_codes(path)
    assert codes.dtype == dtype
    assert np.array_equal(codes, plane)
    assert grey_header(path) == (np.dtype(dtype).name, (2, 2))


def test_big_endian_files_of_microscopes_are_read(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[1, 258]], ">u2"), byteorder=">", photometric="minisblack")
    codes = read_codes(tmp_path / "a.tif")
    assert (codes.tolist(), codes.dtype.name, grey_header(tmp_path / "a.tif")[0]) == (
        [[1, 258]],
        "uint16",
        "uint16",
    )


def test_inverted_codes_are_turned_round_without_loss(tmp_path: Path) -> None:
    codes = read_codes(write(tmp_path / "a.tif", np.array([[0, 3, 65535]], np.uint16), "miniswhite"))
    assert codes.tolist() == [[65535, 65532, 0]]


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    assert read_codes(tmp_path / "a.png").tolist() == [[255, 0]]
    assert grey_header(tmp_path / "a.png") == ("uint8", (1, 2))


def test_torch_can_cast_and_stack_sixteen_bit_codes() -> None:
    codes = torch.from_numpy(np.array([[0, 65535]], np.uint16))
    assert torch.stack([codes, codes]).float().tolist() == [[[0.0, 65535.0]]] * 2


@pytest.mark.parametrize("ask", [grey_header, label_header])
def test_headers_refuse_what_reading_would_refuse(tmp_path: Path, ask: Callable[[Path], object]) -> None:
    with pytest.raises(DataError, match="3 pages"):
        ask(write(tmp_path / "stack.tif", np.zeros((3, 8, 8), np.uint8)))
    with pytest.raises(DataError, match=r"colour \(RGB"):
        ask(write(tmp_path / "rgb.tif", np.zeros((8, 8, 3), np.uint8), "rgb"))
    with pytest.raises(DataError, match="is missing"):
        ask(tmp_path / "none.png")


def test_a_mask_of_fractions_is_refused_from_its_header(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected whole numbers.*not shares"):
        label_header(write(tmp_path / "m.tiff", np.array([[0.5]], np.float32)))


@pytest.mark.parametrize("layout", [{"rowsperstrip": 4}, {"tile": (16, 16)}, {"compression": "zlib"}])
@pytest.mark.parametrize("lost", [5, 300])
def test_a_tiff_whose_end_is_gone_is_not_filled_with_zeros(
    tmp_path: Path, layout: dict[str, object], lost: int
) -> None:
    path, plane = tmp_path / "cut.tif", np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    tifffile.imwrite(path, plane, photometric="minisblack", **layout)
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(DataError, match=r"cut\.tif: cannot be decoded.*Is the file complete\?"):
        read_codes(path)


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.9])
def test_a_png_that_is_cut_anywhere_is_named(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(DataError, match=r"cut\.png: cannot be decoded.*Is the file complete\?"):
        read_codes(path)


def test_a_compression_that_is_not_installed_names_the_package(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.tif", compression="tiff_lzw")
    if importlib.util.find_spec("imagecodecs"):
        assert read_codes(tmp_path / "a.tif").shape == (8, 8)
        return
    with pytest.raises(DataError, match="Install imagecodecs, or save the file without"):
        read_codes(tmp_path / "a.tif")


def test_a_dangling_link_says_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(DataError, match=r"a\.png: is a link to .*gone\.png, which is missing\. Restore"):
        read_codes(tmp_path / "a.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.zeros((4, 4), np.uint8))
    path.chmod(0)
    with pytest.raises(DataError, match=r"a\.tif: may not be read \(permission denied\)\. Change its mode"):
        read_codes(path)


def test_what_a_refusing_disk_says_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"may not be read \(permission denied\)"),
        decoding(tmp_path / "a.tif"),
    ):
        raise PermissionError(13, "Permission denied")


def test_a_png_with_an_overwritten_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 400), dtype=np.uint8)).save(path)
    raw = path.read_bytes()
    second = raw.index(b"IDAT", raw.index(b"IDAT") + 4)
    path.write_bytes(raw[:second] + bytes(8) + raw[second + 8 :])
    with pytest.raises(DataError, match=r"bad\.png: cannot be decoded"):
        read_codes(path)
