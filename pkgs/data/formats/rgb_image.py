"""Colour images of 8 bits per channel from PNG, JPEG, TIFF and BMP. No resizing, no colour management."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from pkgs.data.formats.decoding import decoding
from pkgs.data.formats.grey_image import TIFF_ENDINGS
from pkgs.data.items import DataError

COLOUR_MODES: Final = ("RGB", "RGBA", "RGBX", "P", "PA")
GREY_8_BIT: Final = ("1", "L", "LA")
"""Pillow's names of pictures that become RGB by repeating their one channel."""
PNG_DEPTH_AT: Final = 24
"""Place of the bit depth in a PNG file: Pillow cuts 16-bit colour to 8 without a word."""


def read_rgb(path: Path, *, repeat_grey: bool = False) -> NDArray[np.uint8]:
    """Return a colour image as uint8 [3, rows, columns] in the order R, G, B.

    Alpha is dropped (not blended), a palette is looked up, an orientation tag is not applied.

    Args:
        path: The file.
        repeat_grey: Whether an 8-bit grey picture is repeated three times instead of refused: where colour is
            promised, grey usually is a mask in the wrong folder.

    Raises:
        DataError: If the file is damaged, has 16 bits per channel, several pages, CMYK or another colour
        space.
    """
    with decoding(path):
        if path.suffix.lower() in TIFF_ENDINGS:
            return _read_tiff(path)
        with Image.open(path) as picture:
            _check(path, picture, repeat_grey=repeat_grey)
            # a palette with transparency warns unless it goes through RGBA
            plain = picture.convert("RGBA") if picture.mode in {"P", "PA", "LA"} else picture
            stored = np.asarray(plain.convert("RGB"))
    return np.ascontiguousarray(np.moveaxis(stored, 2, 0))


def rgb_header(path: Path, *, repeat_grey: bool = False) -> tuple[int, int]:
    """Return [rows, columns] of what `read_rgb` will return, without decoding.

    Raises:
        DataError: As `read_rgb`, as far as the header tells.
    """
    with decoding(path):
        if path.suffix.lower() in TIFF_ENDINGS:
            with tifffile.TiffFile(path) as file:
                page = _rgb_page(path, file)
                return int(page.imagelength), int(page.imagewidth)
        with Image.open(path) as picture:
            _check(path, picture, repeat_grey=repeat_grey)
            return picture.height, picture.width


def digest_rgb(path: Path) -> str:
    """Return 16 hex digits of the decoded pixels, whatever the container; alpha plays no part."""
    pixels = read_rgb(path)
    head = f"{pixels.dtype.str}{pixels.shape}".encode()
    return hashlib.sha256(head + pixels.tobytes()).hexdigest()[:16]


def _check(path: Path, picture: Image.Image, *, repeat_grey: bool) -> None:
    if picture.mode in GREY_8_BIT and not repeat_grey:
        raise DataError(
            f"{path}: grey (mode {picture.mode}); expected 8-bit RGB. It looks like a mask: "
            "are the folders of images and masks swapped?"
        )
    if picture.mode not in COLOUR_MODES + GREY_8_BIT:
        raise DataError(
            f"{path}: mode {picture.mode}; expected 8-bit RGB. Convert it first (to sRGB, 8 bit)."
        )
    if picture.format == "PNG" and _png_depth(path) == 16:
        raise DataError(f"{path}: 16 bits per channel; expected 8-bit RGB. Convert it first.")


def _png_depth(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(PNG_DEPTH_AT + 1)[PNG_DEPTH_AT]


def _read_tiff(path: Path) -> NDArray[np.uint8]:
    with tifffile.TiffFile(path) as file:
        page = _rgb_page(path, file)
        stored = np.asarray(page.asarray())
        planar = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
    channels_first = stored if planar else np.moveaxis(stored, 2, 0)
    return np.ascontiguousarray(channels_first[:3])


def _rgb_page(path: Path, file: tifffile.TiffFile) -> tifffile.TiffPage:
    if len(file.pages) != 1:
        raise DataError(
            f"{path}: {len(file.pages)} pages; expected one image per file. Save each page as a file."
        )
    page = file.pages.first
    photometric = tifffile.PHOTOMETRIC(page.photometric)
    if photometric is not tifffile.PHOTOMETRIC.RGB or page.samplesperpixel not in {3, 4}:
        raise DataError(
            f"{path}: {photometric.name} with {page.samplesperpixel} channels; expected 8-bit RGB. "
            "Convert it first, or check that the folders of images and masks are not swapped."
        )
    if page.dtype != np.uint8:
        raise DataError(f"{path}: {page.dtype} per channel; expected 8-bit RGB. Convert it first.")
    return page
