"""Arrays in numpy's own files: `.npy`, and one array out of a `.npz`. Nothing is ever unpickled.

Knows no folder layout and no meaning of axes.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.items import DataError, listed

ENDINGS: Final = (".npy", ".npz")
DECODED: Final = {
    "bool": "uint8",
    "uint8": "uint8",
    "int8": "int16",
    "int16": "int16",
    "uint16": "int32",
    "int32": "int32",
    "uint32": "int32",
    "int64": "int32",
    "uint64": "int32",
    "float16": "float32",
    "float32": "float32",
    "float64": "float32",
}
"""Stored and decoded dtypes. No uint16: torch can neither add nor gather it. Out of range is an error."""


def read_header(path: Path, *, key: str = "") -> tuple[str, tuple[int, ...]]:
    """Return the decoded dtype's name and the shape; only the header is read.

    Args:
        path: A `.npy`, or a `.npz`.
        key: Name of the array inside a `.npz`; may be empty where there is only one.

    Raises:
        DataError: If the file is missing, damaged, holds objects, or not the key.
    """
    with _opened(path, key) as stream:
        dtype, shape = _head(path, stream)
    return DECODED[dtype.newbyteorder("=").name], shape


def read_array(path: Path, *, key: str = "") -> NDArray[Any]:
    """Return the array, in C order and one of the dtypes of `DECODED`.

    Raises:
        DataError: As `read_header`, and if values are cut off, NaN, infinite or beyond int32.
    """
    with _opened(path, key) as stream:
        dtype, shape = _head(path, stream)
        stream.seek(0)
        # From memory: numpy reads files on disk by another way, which takes a cut file for a shorter array.
        whole = io.BytesIO(stream.read())
    try:
        stored = np.lib.format.read_array(whole, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(
            f"{path}: cannot be decoded ({error}); its header promises {shape} of {dtype}. "
            "The file is cut off: copy it anew."
        ) from None
    decoded = DECODED[dtype.newbyteorder("=").name]
    if dtype.kind == "f" and not np.isfinite(stored).all():
        bad = int(stored.size - np.isfinite(stored).sum())
        raise DataError(f"{path}: {bad} values are NaN or infinite. Repair or exclude the file.")
    if decoded == "int32" and stored.size:
        low, high = int(stored.min()), int(stored.max())
        if low < -(2**31) or high >= 2**31:
            raise DataError(f"{path}: values from {low} to {high}; expected what fits into int32.")
    return np.ascontiguousarray(stored, dtype=decoded)


def as_labels(path: Path, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a decoded mask as uint8.

    Raises:
        DataError: If a value is not whole or not within 0 to 255.
    """
    whole = np.rint(values)
    if values.dtype.kind == "f" and not np.array_equal(whole, values):
        raise DataError(
            f"{path}: labels that are not whole numbers, such as {float(values[whole != values][0]):g}. "
            "Was the mask resampled with interpolation? Take the original, or resample it by nearest."
        )
    if values.size and (values.min() < 0 or values.max() > 255):
        raise DataError(f"{path}: labels from {values.min():g} to {values.max():g}; expected 0 to 255.")
    labels: NDArray[np.uint8] = whole.astype(np.uint8)
    return labels


@contextmanager
def _opened(path: Path, key: str) -> Iterator[IO[bytes]]:
    try:
        if path.suffix.lower() != ".npz":
            with path.open("rb") as plain:
                yield plain
            return
        with zipfile.ZipFile(path) as packed, packed.open(_member(path, packed, key)) as stream:
            yield stream
    except FileNotFoundError:
        raise DataError(f"{path}: is missing.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{path}: cannot be read ({error}). Is the file complete?") from None


def _member(path: Path, packed: zipfile.ZipFile, key: str) -> str:
    names = [name.removesuffix(".npy") for name in packed.namelist()]
    if key in names:
        return f"{key}.npy"
    if len(names) == 1 and not key:
        return packed.namelist()[0]
    wanted = f"the array {key!r}" if key else "one array, or a key that says which"
    raise DataError(
        f"{path}: expected {wanted}; it holds {listed(names) or 'nothing'}. "
        "Name one of them as the key, or save the array under the expected name."
    )


def _head(path: Path, stream: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(stream)
        shape, _, dtype = readers[version](stream)
    except (ValueError, KeyError, EOFError) as error:
        raise DataError(f"{path}: is not a numpy file, or is cut off in its header ({error}).") from None
    if dtype.hasobject:
        raise DataError(
            f"{path}: holds Python objects, which are pickled and could run code when loaded; they are "
            "never read. "
            "Save plain numbers instead: np.save(path, np.stack(list_of_equal_arrays))."
        )
    if dtype.newbyteorder("=").name not in DECODED:
        raise DataError(f"{path}: values of type {dtype}; expected whole or real numbers.")
    return dtype, tuple(int(side) for side in shape)
