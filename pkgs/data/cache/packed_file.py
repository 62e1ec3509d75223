"""One packed file: header, index, state and checksum per item, data. Mapped to read, written by `pwrite`.

    [magic 8][length u64][crc32 u32][JSON]  padded to a page
    [index: columns of `Layout` and `Sources`]  never changed; its crc32 stands in the JSON
    [states u8 N][digests u8 N x A x 8][marked i64 N x A x 2]  written as items are filled
    [data]  one region per array

Knows nothing of readers and of other files. An item is written data first, state last: whoever sees `FULL`
sees the data, as all processes of a machine share the pages. Writing by system calls reports a full disk as
an error; a write into the map would be SIGBUS.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import zlib
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.cache.blueprint import DIGEST_BYTES, FULL
from pkgs.data.cache.header import BadFileError, flat, read_header, write_at
from pkgs.data.cache.layout import Layout, Row
from pkgs.data.cache.sources import Sources
from pkgs.data.items import IGNORE, Array, Item

SYNC_EVERY_BYTES: Final = 2**30
"""A filler hands its data to the disk this often, so that sealing does not stall for all of it at once."""


@final
class PackedFile:
    """An open packed file. Closed with its last reference: views into the map may outlive `close`."""

    def __init__(self, descriptor: int, *, writable: bool) -> None:
        """Map the file behind `descriptor`, which belongs to this object from now on.

        Raises:
            BadFileError: If the file is not what its header says.
        """
        self.descriptor, self.writable = descriptor, writable
        try:
            words, start = read_header(descriptor)
            self.key, self.boot = str(words["key"]), str(words["boot"])
            self._map = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
            self._bytes = np.frombuffer(self._map, dtype=np.uint8)
            arrays = self._sections(words, start)
        except BaseException:
            fcntl.flock(
                descriptor, fcntl.LOCK_UN
            )  # a map has a descriptor of its own, and lives as long as its views
            os.close(descriptor)
            self.descriptor = -1
            raise
        self.layout = Layout.within(words, _below(arrays, "layout."))
        self.sources = Sources.within(_below(arrays, "sources."))
        self.states, self.digests, self.marked = arrays["states"], arrays["digests"], arrays["marked"]
        self._at = {name: start + int(words["sections"][name][0]) for name in ("states", "digests", "marked")}
        self._data = start + int(words["data"])
        self._rows = [self._row_view(self.layout.row(array)) for array in range(len(self.layout.names))]
        self._unsynced = 0

    def __len__(self) -> int:
        return len(self.layout)

    def __del__(self) -> None:
        if getattr(self, "descriptor", -1) >= 0:
            os.close(self.descriptor)

    @property
    def nbytes(self) -> int:
        return len(self._map)

    @property
    def complete(self) -> bool:
        """Whether no item is left to be made."""
        return bool(self.states.all())

    def write(self, index: int, item: Item) -> int:
        """Store one item and return its bytes: data, then digests, then the state that makes them valid.

        Raises:
            ValueError: If the item is not what its header said.
            OSError: If the disk fails.
        """
        self.refuse_other_form(index, item)
        digests = np.zeros(self.digests.shape[1:], dtype=np.uint8)
        marked = np.zeros(self.marked.shape[1:], dtype=np.int64)
        written = 0
        for number, name in enumerate(self.layout.names):
            array = item[name]
            write_at(
                self.descriptor, flat(array).data, at=self._data + int(self.layout.offsets[index, number])
            )
            digests[number] = np.frombuffer(digest_of(array), dtype=np.uint8)
            marked[number] = marks(array) if self.layout.kinds[number] == "label" else (0, 0)
            written += array.nbytes
        write_at(self.descriptor, digests.tobytes(), at=self._at["digests"] + index * digests.nbytes)
        write_at(self.descriptor, marked.tobytes(), at=self._at["marked"] + index * marked.nbytes)
        self.mark(index, FULL)
        self._unsynced += written
        if self._unsynced >= SYNC_EVERY_BYTES:
            os.fdatasync(self.descriptor)
            self._unsynced = 0
        return written

    def mark(self, index: int, state: int) -> None:
        """Set the state of one item, after everything that it vouches for."""
        write_at(self.descriptor, bytes([state]), at=self._at["states"] + index)

    def refuse_other_form(self, index: int, item: Item) -> None:
        """Raise ValueError unless the item has the arrays, dtypes and shapes that its header promised."""
        if set(item) != set(self.layout.names):
            raise ValueError(f"decoded to {sorted(item)}, but its header said {sorted(self.layout.names)}")
        for number, name in enumerate(self.layout.names):
            spec, array = self.layout.spec(index, number), item[name]
            if (str(array.dtype), array.shape) != (spec.dtype, spec.shape):
                raise ValueError(
                    f"{name!r} decoded to {array.dtype} {array.shape}, "
                    f"but its header said {spec.dtype} {spec.shape}"
                )

    def array(self, index: int, number: int) -> Array:
        """Return a read-only view of one array of one item."""
        spec = self.layout.spec(index, number)
        at = self._data + int(self.layout.offsets[index, number])
        return np.ndarray(spec.shape, np.dtype(spec.dtype), buffer=self._map, offset=at)

    def rows(self, number: int, chosen: NDArray[np.int64]) -> Array | None:
        """Return copies [B, ...] of one array of many items; None where their shapes differ."""
        view = self._rows[number]
        if view is not None:
            spec = self.layout.spec(int(chosen[0]), number)
            return view[chosen].view(spec.dtype).reshape(len(chosen), *spec.shape)
        specs = {self.layout.spec(int(index), number) for index in chosen}
        if len(specs) != 1:
            return None
        spec = specs.pop()
        batch = np.empty((len(chosen), *spec.shape), dtype=spec.dtype)
        for place, index in enumerate(chosen.tolist()):
            batch[place] = self.array(index, number)
        return batch

    def damaged(self) -> list[int]:
        """Return the items whose bytes are not those that were written."""
        return [int(index) for index in np.flatnonzero(self.states == FULL) if not self._intact(int(index))]

    def _intact(self, index: int) -> bool:
        return all(
            digest_of(self.array(index, number)) == self.digests[index, number].tobytes()
            for number in range(len(self.layout.names))
        )

    def _sections(self, words: Mapping[str, Any], start: int) -> dict[str, NDArray[Any]]:
        index = self._bytes[start : start + int(words["index_bytes"])]
        if zlib.crc32(index.data) != words["index_crc"]:
            raise BadFileError("its index is damaged")
        return {
            name: np.ndarray(shape, np.dtype(dtype), buffer=self._map, offset=start + at)
            for name, (at, dtype, shape) in words["sections"].items()
        }

    def _row_view(self, row: Row | None) -> NDArray[Any] | None:
        """Return [N, words] over the map: eight bytes at a time, the quickest that numpy gathers."""
        if row is None:
            return None
        nbytes = int(np.dtype(row.dtype).itemsize * np.prod(row.shape, dtype=np.int64))
        if nbytes == 0:
            return None
        unit = np.dtype(np.int64 if nbytes % 8 == 0 else np.uint8)
        shape, strides = (len(self), nbytes // unit.itemsize), (row.stride, unit.itemsize)
        return np.ndarray(shape, unit, buffer=self._map, offset=self._data + row.start, strides=strides)


def digest_of(array: Array) -> bytes:
    """Return 8 bytes that depend on dtype, shape and every value."""
    digest = blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=DIGEST_BYTES)
    digest.update(flat(array).data)
    return digest.digest()


def marks(label: Array) -> tuple[int, int]:
    """Return how many pixels are foreground, and how many are judged at all."""
    judged = label != IGNORE
    return int(np.count_nonzero((label > 0) & judged)), int(np.count_nonzero(judged))


def _below(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
