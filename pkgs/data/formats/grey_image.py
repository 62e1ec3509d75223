"""Single-plane images and masks from TIFF, PNG and the like. No resizing, no cache.

`read_codes` keeps the file's dtype, for caches; `read_grey` scales to [0, 1]; masks keep their numbers.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from pkgs.data.formats.decoding import decoding
from pkgs.data.items import DataError

TIFF_ENDINGS: Final = (".tif", ".tiff")
OTHER_ENDINGS: Final = (".png", ".bmp", ".jpg", ".jpeg")
ENDINGS: Final = TIFF_ENDINGS + OTHER_ENDINGS
GREY_MODES: Final = ("1", "L", "I;16", "I;16L", "I;16B", "I", "F")
"""Pillow's names of pictures with one value per pixel."""
MODE_TYPES: Final = {"1": "bool", "L": "uint8", "F": "float32"}
"""What Pillow's modes decode to; the others hold 16 bits, which Pillow may hand over as 32."""


def is_image(path: Path) -> bool:
    """Say whether the file's ending is one that can be read here."""
    return path.suffix.lower() in ENDINGS


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
        grey = _unit(path, plane)
    else:
        raise DataError(_unusable(path, plane.dtype))
    return np.float32(1) - grey if inverted else grey


def read_codes(path: Path) -> NDArray[Any]:
    """Return one grey image [rows, columns] as it is stored, large values bright.

    uint8 and uint16 stay what they are (torch casts and stacks uint16; its other arithmetic needs a cast
    first), one bit becomes 0 and 255 in uint8, floats become float32 and must lie within [0, 1];
    min-is-white is inverted.

    Raises:
        DataError: If the file is damaged, has several pages, colour, or another type.
    """
    plane, inverted = _stored(path)
    dtype = _code_type(path, plane.dtype)
    codes: NDArray[Any]
    if plane.dtype == np.bool_:
        codes = plane.astype(np.uint8) * np.uint8(255)
    else:
        codes = _unit(path, plane) if dtype == "float32" else plane.astype(dtype, copy=False)
    if not inverted:
        return codes
    return np.float32(1) - codes if dtype == "float32" else np.iinfo(codes.dtype).max - codes


def grey_header(path: Path) -> tuple[str, tuple[int, int]]:
    """Return the dtype and [rows, columns] of what `read_codes` will return, without decoding.

    Raises:
        DataError: As `read_codes`, as far as the header tells.
    """
    dtype, shape = _facts(path)
    return _code_type(path, np.dtype(dtype)), shape


def label_header(path: Path) -> tuple[int, int]:
    """Return [rows, columns] of a mask, without decoding.

    Raises:
        DataError: As `read_labels`, as far as the header tells.
    """
    dtype, shape = _facts(path)
    _require_whole_numbers(path, np.dtype(dtype))
    return shape


def read_labels(path: Path) -> NDArray[np.int32]:
    """Return a mask as int32 instance numbers [rows, columns], 0 is background.

    Raises:
        DataError: If the file is damaged, has several pages, colour, or values that are no whole numbers.
    """
    plane, _ = read_plane(path)
    _require_whole_numbers(path, plane.dtype)
    if plane.size and (int(plane.min()) < 0 or int(plane.max()) > np.iinfo(np.int32).max):
        raise DataError(
            f"{path}: instance numbers from {plane.min()} to {plane.max()}; expected 0 to 2147483647."
        )
    return plane.astype(np.int32)


def read_plane(path: Path) -> tuple[NDArray[Any], bool]:
    """Return the stored values [rows, columns] and whether small values mean white."""
    plane, inverted = _stored(path)
    if plane.dtype == np.bool_ and path.suffix.lower() not in TIFF_ENDINGS:
        return plane.astype(np.uint8), inverted
    return plane, inverted


def digest_image(path: Path) -> str:
    """Return 16 hex digits of the stored pixels, whatever the container: copies are found across formats."""
    plane, inverted = read_plane(path)
    head = f"{plane.dtype.str}{plane.shape}{inverted}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(plane).tobytes()).hexdigest()[:16]


def _stored(path: Path) -> tuple[NDArray[Any], bool]:
    with decoding(path):
        return _read_tiff(path) if path.suffix.lower() in TIFF_ENDINGS else (_read_picture(path), False)


def _facts(path: Path) -> tuple[str, tuple[int, int]]:
    """Return numpy's name of the stored type, and [rows, columns]."""
    with decoding(path):
        if path.suffix.lower() in TIFF_ENDINGS:
            with tifffile.TiffFile(path) as file:
                page = _grey_page(path, file)
                return str(page.dtype), (int(page.shape[0]), int(page.shape[1]))
        with Image.open(path) as picture:
            _require_grey(path, picture)
            return MODE_TYPES.get(picture.mode, "uint16"), (picture.height, picture.width)


def _read_tiff(path: Path) -> tuple[NDArray[Any], bool]:
    with tifffile.TiffFile(path) as file:
        page = _grey_page(path, file)
        white = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        return np.asarray(page.asarray()), white


def _grey_page(path: Path, file: tifffile.TiffFile) -> tifffile.TiffPage:
    if len(file.pages) != 1:
        raise DataError(
            f"{path}: {len(file.pages)} pages; expected one image per file. Save each page as a file."
        )
    page = file.pages.first
    photometric = tifffile.PHOTOMETRIC(page.photometric)
    grey = photometric in {tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE}
    if not grey or len(page.shape) != 2:
        raise DataError(
            f"{path}: colour ({photometric.name}, shape {page.shape}); expected one grey channel. "
            "Convert it first."
        )
    return page


def _read_picture(path: Path) -> NDArray[Any]:
    with Image.open(path) as picture:
        _require_grey(path, picture)
        plane = np.asarray(picture)
    if plane.dtype == np.int32 and plane.size and int(plane.min()) >= 0 and int(plane.max()) <= 65535:
        return plane.astype(np.uint16)  # Pillow opens some 16-bit pictures as 32-bit integers
    return plane


def _require_grey(path: Path, picture: Image.Image) -> None:
    if picture.mode not in GREY_MODES:
        raise DataError(f"{path}: colour (mode {picture.mode}); expected one grey channel. Convert it first.")


def _require_whole_numbers(path: Path, dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "bui":
        raise DataError(
            f"{path}: a mask of type {dtype}; expected whole numbers (uint8, uint16). "
            "Save class or object numbers, not shares."
        )


def _code_type(path: Path, dtype: np.dtype[Any]) -> str:
    if dtype.kind == "f":
        return "float32"
    if dtype.kind not in "bu" or dtype.itemsize > 2:
        raise DataError(_unusable(path, dtype))
    return "uint8" if dtype.kind == "b" else dtype.newbyteorder("=").name


def _unusable(path: Path, dtype: np.dtype[Any]) -> str:
    return (
        f"{path}: values of type {dtype}; expected uint8, uint16, or float within [0, 1]. Convert it first."
    )


def _unit(path: Path, plane: NDArray[Any]) -> NDArray[np.float32]:
    """Return floats that lie within [0, 1] as float32, or refuse them."""
    if not bool(((plane >= 0) & (plane <= 1)).all()):  # NaN fails here too
        finite = plane[np.isfinite(plane)]
        span = f"from {finite.min():g} to {finite.max():g}" if finite.size else "without any number"
        holes = "" if finite.size == plane.size else ", some not finite"
        raise DataError(
            f"{path}: floating-point values {span}{holes}; "
            "expected all within [0, 1]. Scale the image, or store it as uint8 or uint16."
        )
    return plane.astype(np.float32)
