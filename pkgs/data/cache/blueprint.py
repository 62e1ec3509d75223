"""All that is known of a packed file before it exists, and the empty file that it becomes."""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.cache.header import FRONT, MAGIC, flat, write_at
from pkgs.data.cache.layout import ALIGN, PAGE, Layout
from pkgs.data.cache.sources import Sources

EMPTY, FULL, REFUSED = 0, 1, 2
"""States of an item: to be made, made, and not to be made: its source is damaged."""
DIGEST_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Blueprint:
    """All that is known of a packed file before it exists."""

    key: str
    boot: str
    layout: Layout
    sources: Sources
    refused: NDArray[np.bool_]
    """[N] which items have an unreadable header."""

    def front(self) -> tuple[bytes, dict[str, NDArray[Any]], int]:
        """Return header, index by name, and the size of the whole file."""
        index = {f"layout.{name}": array for name, array in self.layout.arrays().items()}
        index |= {f"sources.{name}": array for name, array in self.sources.arrays().items()}
        count, arrays = len(self.layout), len(self.layout.names)
        changing = {
            "states": ("|u1", (count,)),
            "digests": ("|u1", (count, arrays, DIGEST_BYTES)),
            "marked": ("<i8", (count, arrays, 2)),
        }
        forms = {name: (array.dtype.str, array.shape) for name, array in index.items()} | changing
        sections, end, index_end = {}, 0, 0
        for name, (dtype, shape) in forms.items():
            sections[name] = (end, dtype, shape)
            end += -(-int(np.dtype(dtype).itemsize * np.prod(shape, dtype=np.int64)) // ALIGN) * ALIGN
            index_end = end if name in index else index_end
        words = {
            "key": self.key, "boot": self.boot, "sections": sections, "index_bytes": index_end,
            "index_crc": _crc(index, sections, index_end), "data": -(-end // PAGE) * PAGE,
            **self.layout.words(),
        }  # fmt: skip
        text = json.dumps(words).encode()
        front = FRONT.pack(MAGIC, len(text), zlib.crc32(text)) + text
        front += bytes(-len(front) % PAGE)
        return front, index, len(front) + int(words["data"]) + self.layout.nbytes


def create(path: Path, blueprint: Blueprint, *, reserve: Callable[[int, int], None]) -> int:
    """Write an empty packed file and return its descriptor, locked exclusively.

    Raises:
        OSError: If there is no room or no permission; nothing is left then.
    """
    front, index, nbytes = blueprint.front()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        reserve(descriptor, nbytes)
        write_at(descriptor, front, at=0)
        sections = json.loads(front[FRONT.size :].rstrip(b"\0"))["sections"]
        for name, array in index.items():
            write_at(descriptor, array.tobytes(), at=len(front) + sections[name][0])
        states = np.where(blueprint.refused, REFUSED, EMPTY).astype(np.uint8)
        write_at(descriptor, states.tobytes(), at=len(front) + sections["states"][0])
    except BaseException:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        raise
    return descriptor


def _crc(index: Mapping[str, NDArray[Any]], sections: Mapping[str, Any], nbytes: int) -> int:
    whole = np.zeros(nbytes, dtype=np.uint8)
    for name, array in index.items():
        at = sections[name][0]
        whole[at : at + array.nbytes] = flat(array)
    return zlib.crc32(whole.data)
