"""How often the cache helped, summed over all processes of a run: each adds to a small file of its own."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import tempfile
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from pkgs.data.cache.room import readable

_NUMBERS: Final = struct.Struct("<qqqd")


@dataclass(frozen=True, slots=True)
class Stats:
    """What has been asked of a cache since it was opened."""

    hits: int = 0
    """Items that lay ready."""
    misses: int = 0
    """Items that were decoded."""
    nbytes: int = 0
    """Decoded bytes."""
    fill_s: float = 0.0
    """Seconds of decoding, summed over the processes."""

    def __add__(self, other: Stats) -> Stats:
        return Stats(
            self.hits + other.hits,
            self.misses + other.misses,
            self.nbytes + other.nbytes,
            self.fill_s + other.fill_s,
        )

    def line(self) -> str:
        """Return one line for the log."""
        asked = self.hits + self.misses
        share = self.hits / asked if asked else 0.0
        return (
            f"cache: {self.hits} hits, {self.misses} misses ({share:.1%} hits), "
            f"{readable(self.nbytes)} decoded in {self.fill_s:.1f} s"
        )


@final
class Counters:
    """Sums that survive in the processes that add to them. Pickles as the path of their folder."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="queuemanager-cache-counts-"))
        self._reset()
        self._finish = weakref.finalize(self, _remove_own, self.folder, os.getpid())

    def __getstate__(self) -> Path:
        return self.folder

    def __setstate__(self, folder: Path) -> None:
        self.folder = folder
        self._reset()

    def add(self, more: Stats) -> None:
        """Add what this process has done."""
        if self._pid != os.getpid():  # a fork must not write into its parent's file
            self._reset()
        with self._lock:
            if self._map is None:
                self._map = self._own_file()
            now = Stats(*_NUMBERS.unpack_from(self._map)) + more
            _NUMBERS.pack_into(self._map, 0, now.hits, now.misses, now.nbytes, now.fill_s)

    def total(self) -> Stats:
        """Return the sum over all processes, also those that have ended."""
        return sum(
            (Stats(*_NUMBERS.unpack(path.read_bytes())) for path in self.folder.glob("*.count")),
            start=Stats(),
        )

    def close(self) -> None:
        """Remove the files; only the process that made them does."""
        finish = getattr(self, "_finish", None)
        if finish is not None:
            finish()

    def _reset(self) -> None:
        self._pid, self._map, self._lock = os.getpid(), None, threading.Lock()

    def _own_file(self) -> mmap.mmap:
        try:
            descriptor, path = tempfile.mkstemp(suffix=".draft", dir=self.folder)
        except FileNotFoundError:  # the owner has closed and counts no more; work goes on
            return mmap.mmap(-1, _NUMBERS.size)
        try:
            os.write(descriptor, bytes(_NUMBERS.size))
            opened = mmap.mmap(descriptor, _NUMBERS.size)
        finally:
            os.close(descriptor)
        Path(path).rename(Path(path).with_suffix(".count"))  # whole from its first sight
        return opened

    _map: mmap.mmap | None


def _remove_own(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # not in a fork that ends
        shutil.rmtree(folder, ignore_errors=True)
