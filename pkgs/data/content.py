"""What each image of a large set holds, as one number; every image is decoded once, whatever is stopped.

Numbers of a state of the files are kept below the folder of the cache, eight bytes an image, and filled
chunk by chunk: a killed run goes on where it was, and two at once write the same. Loads no torch.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.cache.config import CacheConfig
from pkgs.data.cache.sources import collect
from pkgs.data.cache.workers import usable_cores
from pkgs.data.formats.grey_image import digest_image
from pkgs.data.items import DataError, Sample

log = logging.getLogger(__name__)
Digests = NDArray[np.uint64]

FOLDER: Final = "content"
"""Below the folder of the cache; one file per state of a set."""
CHUNK: Final = 256
"""Images between two beats of the heart."""
WORTH_PROCESSES: Final = 20_000
"""Fewer images are decoded before new processes have started and loaded their libraries."""
SAY_EVERY_S: Final = 30.0
UNKNOWN, UNREADABLE = 0, 1
"""Numbers that are no digest: not looked at yet, and a damaged file, which equals none."""


def digests_of(
    samples: Sequence[Sample],
    *,
    root: Path,
    config: CacheConfig,
    tick: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = log.info,
) -> Digests:
    """Return one number per image, equal for equal stored pixels; UNREADABLE where a file is damaged.

    Args:
        samples: With an `image` each.
        root: Of the set; moved as a whole, its numbers are found again.
        config: Where they are kept, and what tells a changed file.
        tick: Called between chunks, for a heartbeat.
        say: Told how far it is, twice a minute.
    """
    _, state = collect(samples, root=root, key_by=config.key_by)
    file = config.place() / FOLDER / f"{state.hex()[:32]}.u64"
    digests, kept = _remembered(file, len(samples)), True
    left = np.flatnonzero(digests == UNKNOWN)
    begin_s, told_s, done = time.monotonic(), time.monotonic(), 0
    chunks = [left[start : start + CHUNK] for start in range(0, len(left), CHUNK)]
    for chunk, found in zip(chunks, _each(samples, chunks, many=len(left) >= WORTH_PROCESSES), strict=True):
        digests[chunk] = found
        kept = kept and _remember(file, digests, chunk)
        done += len(chunk)
        tick()
        if time.monotonic() - told_s > SAY_EVERY_S:
            told_s = time.monotonic()
            rest_min = (told_s - begin_s) * (len(left) - done) / done / 60
            say(f"{root}: {done} of {len(left)} images looked at, about {rest_min:.0f} min left (only once).")
    return digests


def number_of(digest: str) -> int:
    """Return the number of 16 hex digits of `digest_image`."""
    return max(int(digest, 16), UNREADABLE + 1)


def _each(samples: Sequence[Sample], chunks: Sequence[NDArray[np.int64]], *, many: bool) -> Iterator[Digests]:
    paths = ([str(samples[number].files["image"]) for number in chunk.tolist()] for chunk in chunks)
    if not many or usable_cores() == 1:
        yield from map(_digests, paths)
        return
    # spawn: a fork of a process with threads may hang in a lock that nobody opens
    with ProcessPoolExecutor(usable_cores(), mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_digests, paths)


def _digests(paths: Sequence[str]) -> Digests:
    return np.array([_digest(Path(path)) for path in paths], dtype=np.uint64)


def _digest(path: Path) -> int:
    try:
        return number_of(digest_image(path))
    except (DataError, OSError):  # whoever trains on it is told, and gets another image instead
        return UNREADABLE


def _remembered(file: Path, count: int) -> Digests:
    try:
        digests = np.fromfile(file, dtype=np.uint64)
    except OSError:  # not there yet; if it cannot be read, writing will say so
        return np.zeros(count, dtype=np.uint64)
    return digests if len(digests) == count else np.zeros(count, dtype=np.uint64)


def _remember(file: Path, digests: Digests, chunk: NDArray[np.int64]) -> bool:
    """Write the part of the file from the first to the last of the chunk; say whether that went well."""
    first, last = int(chunk[0]), int(chunk[-1])
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(descriptor, digests.nbytes)  # what is not written yet reads as UNKNOWN
            os.pwrite(descriptor, digests[first : last + 1].tobytes(), first * digests.itemsize)
        finally:
            os.close(descriptor)
    except OSError as error:
        log.warning("%s: cannot be written (%s); every start will read all images.", file, error.strerror)
        return False
    return True
