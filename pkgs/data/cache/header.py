"""The front of a packed file, read and checked; and bytes in and out of a descriptor. See packed_file.py."""

from __future__ import annotations

import json
import os
import struct
import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.cache.layout import PAGE
from pkgs.data.items import Array

MAGIC: Final = b"QMCACHE1"
FRONT: Final = struct.Struct("<8sQI")
"""Magic, length of the JSON, its crc32."""


class BadFileError(Exception):
    """A packed file that is damaged, of another key, or of another boot."""


def read_header(descriptor: int) -> tuple[dict[str, Any], int]:
    """Return what the header says, and where the index begins.

    Raises:
        BadFileError: If it is damaged, or the file has another size than it says.
    """
    front = os.pread(descriptor, FRONT.size, 0)
    if len(front) < FRONT.size or front[:8] != MAGIC:
        raise BadFileError("it does not begin like a packed file")
    _, length, crc = FRONT.unpack(front)
    size = os.fstat(descriptor).st_size
    text = os.pread(descriptor, min(length, size), FRONT.size)
    if len(text) != length or zlib.crc32(text) != crc:
        raise BadFileError("its header is damaged")
    words: dict[str, Any] = json.loads(text)
    start = -(-(FRONT.size + length) // PAGE) * PAGE
    expected = start + int(words["data"]) + int(words["nbytes"])
    if size != expected:
        raise BadFileError(f"it has {size} bytes; expected {expected}")
    return words, start


def flat(array: Array) -> NDArray[np.uint8]:
    """Return the bytes of an array."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def write_at(descriptor: int, data: bytes | memoryview, *, at: int) -> None:
    """Write all of `data` at the byte `at`."""
    rest = memoryview(data)
    while rest:
        done = os.pwrite(descriptor, rest, at)
        rest, at = rest[done:], at + done
