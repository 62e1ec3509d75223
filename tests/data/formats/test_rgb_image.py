"""Reading colour images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pkgs.data.formats.rgb_image import read_rgb, rgb_header
from pkgs.data.items import DataError
from tests.builders.pictures import write_deep_png

COLOUR = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_channels_come_first_in_the_order_red_green_blue(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    read = read_rgb(tmp_path / "a.png")
    assert np.array_equal(read, COLOUR.transpose(2, 0, 1))
    assert read.flags.c_contiguous
    assert rgb_header(tmp_path / "a.png") == (5, 7)


def test_alpha_is_dropped_and_not_blended(tmp_path: Path) -> None:
    clear = np.dstack([COLOUR, np.zeros((5, 7), np.uint8)])
    Image.fromarray(clear).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", clear, photometric="rgb", extrasamples=["unassalpha"])
    for name in ("a.png", "a.tif"):
        assert np.array_equal(read_rgb(tmp_path / name), COLOUR.transpose(2, 0, 1))


@pytest.mark.parametrize("transparency", [None, 0, b"\x00\x80"])
def test_a_palette_is_looked_up(tmp_path: Path, transparency: int | bytes | None) -> None:
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), mode=None).convert("P")
    picture.putdata([0, 1])
    picture.putpalette([200, 10, 20, 30, 40, 250])
    picture.save(tmp_path / "p.png", **({} if transparency is None else {"transparency": transparency}))
    assert read_rgb(tmp_path / "p.png").reshape(3, 2).T.tolist() == [[200, 10, 20], [30, 40, 250]]


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiff_colours_are_read_in_both_orders(tmp_path: Path, planar: str) -> None:
    stored = COLOUR if planar == "contig" else COLOUR.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar)
    assert np.array_equal(read_rgb(tmp_path / "a.tif"), COLOUR.transpose(2, 0, 1))
    assert rgb_header(tmp_path / "a.tif") == (5, 7)


def test_a_planar_tiff_of_three_rows_keeps_its_shape(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((3, 4, 3), np.uint8), photometric="rgb", planarconfig="contig"
    )
    assert rgb_header(tmp_path / "a.tif") == read_rgb(tmp_path / "a.tif").shape[1:] == (3, 4)
    tifffile.imwrite(
        tmp_path / "b.tif", np.zeros((3, 9, 4), np.uint8), photometric="rgb", planarconfig="separate"
    )
    assert rgb_header(tmp_path / "b.tif") == read_rgb(tmp_path / "b.tif").shape[1:] == (9, 4)


def test_grey_is_repeated_on_request_and_refused_else(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 9).save(tmp_path / "g.png")
    assert read_rgb(tmp_path / "g.png", repeat_grey=True).tolist() == [[[9] * 4] * 4] * 3
    with pytest.raises(DataError, match=r"g\.png: grey \(mode L\); expected 8-bit RGB"):
        rgb_header(tmp_path / "g.png")


def test_sixteen_bit_colour_is_refused_and_not_cut_in_silence(tmp_path: Path) -> None:
    write_deep_png(tmp_path / "deep.png")
    tifffile.imwrite(tmp_path / "deep.tif", COLOUR.astype(np.uint16), photometric="rgb")
    for ask in (read_rgb, rgb_header):
        with pytest.raises(DataError, match=r"deep\.png: 16 bits per channel; expected 8-bit RGB"):
            ask(tmp_path / "deep.png")
        with pytest.raises(DataError, match=r"deep\.tif: uint16 per channel; expected 8-bit RGB"):
            ask(tmp_path / "deep.tif")


def test_sixteen_bit_grey_and_cmyk_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "g.png")
    with pytest.raises(DataError, match=r"g\.png: mode I;16"):
        read_rgb(tmp_path / "g.png", repeat_grey=True)
    Image.new("CMYK", (4, 4)).save(tmp_path / "c.jpg")
    with pytest.raises(DataError, match=r"c\.jpg: mode CMYK; expected 8-bit RGB\. Convert it first"):
        read_rgb(tmp_path / "c.jpg")


def test_a_mask_in_tiff_is_refused_with_a_hint(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "m.tif", np.zeros((4, 4), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match=r"MINISBLACK with 1 channels.*not swapped"):
        read_rgb(tmp_path / "m.tif")


def test_several_pages_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", np.zeros((2, 8, 8, 3), np.uint8), photometric="rgb")
    with pytest.raises(DataError, match=r"s\.tif: 2 pages"):
        read_rgb(tmp_path / "s.tif")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp"])
def test_a_file_that_is_cut_is_named(tmp_path: Path, name: str) -> None:
    big = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / name
    tifffile.imwrite(path, big, photometric="rgb") if name == "a.tif" else Image.fromarray(big).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=rf"{name}: cannot be decoded.*Is the file complete\?"):
        read_rgb(path)
