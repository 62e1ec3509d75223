"""Single-plane images and masks from TIFF, PNG and the like. No resizing, no cache.

Images become float32 in [0, 1]; masks keep their instance numbers.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pkgs.data.items import DataError

TIFF_ENDINGS: Final = (".tif", ".tiff")
OTHER_ENDINGS: Final = (".png", ".bmp", ".jpg", ".jpeg")
GREY_MODES: Final = ("1", "L", "I;16", "I;16L", "I;16B", "I", "F")
"""Pillow's names of pictures with one value per pixel."""


def is_image(path: Path) -> bool:
    """Say whether the file's ending is one that can be read here."""
    return path.suffix.lower() in TIFF_ENDINGS + OTHER_ENDINGS


def read_grey(path: Path) -> NDArray[np.float32]:
    """Return one grey image as float32 [rows, columns] in [0, 1], 0 black.

    uint8 is divided by 255, uint16 by 65535, floats must lie within [0, 1] already; min-is-white is inverted.

    Raises:
        DataError: If the file is damaged, has several pages, colour, or another type.
    """
    plane, inverted = read_plane(path)
    if plane.dtype == np.uint8:
        grey = plane.astype(np.float32) / np.float32(255)
    elif plane.dtype == np.uint16:
        grey = plane.astype(np.float32) / np.float32(65535)
    elif plane.dtype.kind == "f":
        if not bool(((plane >= 0) & (plane <= 1)).all()):  # NaN fails here too
            low, high = float(np.nanmin(plane)), float(np.nanmax(plane))
            raise DataError(
                f"{path}: floating-point values from {low:g} to {high:g}; expected all within [0, 1]. "
                "Scale the image, or store it as uint8 or uint16."
            )
        grey = plane.astype(np.float32)
    else:
        raise DataError(
            f"{path}: values of type {plane.dtype}; expected uint8, uint16, or float within [0, 1]."
        )
    return np.float32(1) - grey if inverted else grey


def read_labels(path: Path) -> NDArray[np.int32]:
    """Return a mask as int32 instance numbers [rows, columns], 0 is background.

    Raises:
        DataError: If the file is damaged, has several pages, colour, or values that are no whole numbers.
    """
    plane, _ = read_plane(path)
    if plane.dtype.kind not in "bui":
        raise DataError(f"{path}: a mask of type {plane.dtype}; expected whole numbers (uint8, uint16).")
    if plane.size and (int(plane.min()) < 0 or int(plane.max()) > np.iinfo(np.int32).max):
        raise DataError(
            f"{path}: instance numbers from {plane.min()} to {plane.max()}; expected 0 to 2147483647."
        )
    return plane.astype(np.int32)


def read_plane(path: Path) -> tuple[NDArray[Any], bool]:
    """Return the stored values [rows, columns] and whether small values mean white."""
    try:
        return _read_tiff(path) if path.suffix.lower() in TIFF_ENDINGS else (_read_picture(path), False)
    except FileNotFoundError:
        raise DataError(f"{path}: is missing.") from None
    except DataError:
        raise
    except (OSError, ValueError, KeyError, IndexError, UnidentifiedImageError) as error:
        raise DataError(f"{path}: cannot be decoded ({error}). Is the file complete?") from error


def digest_image(path: Path) -> str:
    """Return 16 hex digits of the stored pixels, whatever the container: copies are found across formats."""
    plane, inverted = read_plane(path)
    head = f"{plane.dtype.str}{plane.shape}{inverted}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(plane).tobytes()).hexdigest()[:16]


def _read_tiff(path: Path) -> tuple[NDArray[Any], bool]:
    with tifffile.TiffFile(path) as file:
        if len(file.pages) != 1:
            raise DataError(f"{path}: {len(file.pages)} pages; expected one image per file.")
        page = file.pages.first
        photometric = tifffile.PHOTOMETRIC(page.photometric)
        plane = np.asarray(page.asarray())
    if (
        photometric not in {tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE}
        or plane.ndim != 2
    ):
        raise DataError(
            f"{path}: colour ({photometric.name}, shape {plane.shape}); expected one grey channel. "
            "Convert it first."
        )
    return plane, photometric is tifffile.PHOTOMETRIC.MINISWHITE


def _read_picture(path: Path) -> NDArray[Any]:
    with Image.open(path) as picture:
        if picture.mode not in GREY_MODES:
            raise DataError(
                f"{path}: colour (mode {picture.mode}); expected one grey channel. Convert it first."
            )
        plane = np.asarray(picture)
    if plane.dtype == np.int32 and plane.size and int(plane.min()) >= 0 and int(plane.max()) <= 65535:
        return plane.astype(np.uint16)  # Pillow opens 16-bit PNG as 32-bit integers
    return plane.astype(np.uint8) if plane.dtype == np.bool_ else plane
