"""Where each sample of a cache comes from, as columns of numbers and text.

Columns instead of a list of `Sample`: 100,000 of them open in less than a second, pickle small, and lie once
in the packed file for all processes. Decodes nothing, loads no torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from pkgs.data.cache.texts import Texts
from pkgs.data.items import DataError, Sample
from pkgs.foundation.provenance import digest_file

COLUMNS: Final = ("ids", "groups", "parts", "files", "vectors")
_PART: Final = "\x1f"
_POSITIVE: Final = 0x7FFF_FFFF_FFFF_FFFF
_UNCHECKED: Final = 0
_GONE: Final = (-1, -1)


@dataclass(frozen=True, slots=True)
class Sources:
    """All samples of a cache, by number."""

    ids: Texts
    groups: Texts
    parts: Texts
    files: Texts
    """Array name and path by turns, the path relative where it lies below the root."""
    vectors: Texts
    places: NDArray[np.int64]
    """-1 where a file holds one sample."""
    stamps: NDArray[np.int64]
    """Size and time of the files of a sample in one number; 0: not to be compared."""

    def __len__(self) -> int:
        return len(self.ids)

    def sample(self, index: int, *, root: str) -> Sample:
        """Return sample `index` as its reader has given it."""
        words = self.files[index].split(_PART)
        vector, place = self.vectors[index], int(self.places[index])
        return Sample(
            id=self.ids[index],
            group=self.groups[index],
            files={name: Path(root, path) for name, path in zip(words[::2], words[1::2], strict=True)},
            part=self.parts[index],
            vector=tuple(int(word) for word in vector.split(",")) if vector else (),
            place=None if place < 0 else place,
        )

    def changed(self, index: int, sample: Sample) -> bool:
        """Return whether a file of the sample is another one than when the cache was opened."""
        stamp = int(self.stamps[index])
        return stamp != _UNCHECKED and stamp != _stamp(sample.files.values(), measure_times)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as named arrays, as the packed file stores it."""
        stored = {"places": self.places, "stamps": self.stamps}
        for name in COLUMNS:
            stored |= getattr(self, name).arrays_as(name)
        return stored

    @classmethod
    def within(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return what `arrays` has stored."""
        texts = {name: Texts.within(arrays, name) for name in COLUMNS}
        return cls(**texts, places=arrays["places"], stamps=arrays["stamps"])


def collect(
    samples: Sequence[Sample], *, root: Path, key_by: Literal["times", "content"]
) -> tuple[Sources, bytes]:
    """Return the columns of `samples`, and a digest of them and of the state of every file.

    Args:
        samples: In the order that gives them their numbers.
        root: Paths below it are taken relative to it: a moved folder keeps its cache.
        key_by: `times`: size and time of change of each file. `content`: its bytes.

    Raises:
        DataError: If two samples have one id, or there is none.
    """
    _refuse_doubles(samples, root)
    base = os.path.join(str(root), "")
    known: dict[str, tuple[int, int]] = {}
    look = _remembered(known, measure_times if key_by == "times" else measure_content)
    stamps, files = np.zeros(len(samples), dtype=np.int64), []
    for number, sample in enumerate(samples):
        stamps[number] = _stamp(sample.files.values(), look)
        files.append(_PART.join(_words(sample, base)))
    sources = Sources(
        ids=Texts.of(sample.id for sample in samples),
        groups=Texts.of(sample.group for sample in samples),
        parts=Texts.of(sample.part for sample in samples),
        files=Texts.of(files),
        vectors=Texts.of(",".join(map(str, sample.vector)) for sample in samples),
        places=np.array([-1 if s.place is None else s.place for s in samples], dtype=np.int64),
        stamps=stamps if key_by == "times" else np.full(len(samples), _UNCHECKED, dtype=np.int64),
    )
    return sources, _digest(sources, np.array(list(known.values()), dtype=np.int64))


def measure_times(path: str | Path) -> tuple[int, int]:
    """Return size in bytes and time of change in ns; (-1, -1) for a file that is not there."""
    try:
        seen = os.stat(path)
    except OSError:
        return _GONE
    return seen.st_size, seen.st_mtime_ns


def measure_content(path: str | Path) -> tuple[int, int]:
    """Return size in bytes and 63 bits of the digest of the bytes; (-1, -1) for an unreadable file."""
    try:
        return os.stat(path).st_size, int(digest_file(Path(path)), 16) & _POSITIVE
    except OSError:
        return _GONE


def _remembered(
    known: dict[str, tuple[int, int]], measure: Callable[[str], tuple[int, int]]
) -> Callable[[str | Path], tuple[int, int]]:
    """Measure each file once, though it may hold many samples or several arrays of one."""

    def look(path: str | Path) -> tuple[int, int]:
        text = str(path)
        seen = known.get(text)
        if seen is None:
            seen = known[text] = measure(text)
        return seen

    return look


def _stamp(paths: Any, measure: Callable[[str | Path], tuple[int, int]]) -> int:  # noqa: ANN401
    stamp = 1
    for path in paths:
        size, moment = measure(path)
        stamp = ((stamp * 1_000_003 + size) * 1_000_003 + moment) & _POSITIVE
    return stamp or 1


def _words(sample: Sample, base: str) -> list[str]:
    words: list[str] = []
    for name, path in sample.files.items():
        text = str(path)
        words += (name, text.removeprefix(base))
    return words


def _digest(sources: Sources, measured: NDArray[np.int64]) -> bytes:
    total = blake2b(measured.tobytes(), digest_size=32)
    for name, array in sorted(sources.arrays().items()):
        if name != "stamps":  # the exact numbers are in `measured`
            total.update(f"{name}{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return total.digest()


def _refuse_doubles(samples: Sequence[Sample], root: Path) -> None:
    ids = {sample.id for sample in samples}
    if not samples:
        raise DataError(f"{root}: no samples to cache. Does the split leave this part empty?")
    if len(ids) != len(samples):
        seen: set[str] = set()
        double = next(s.id for s in samples if s.id in seen or seen.add(s.id))  # type: ignore[func-returns-value]
        raise DataError(
            f"{root}: two samples have the id {double!r}; ids must differ. Is a file listed twice?"
        )
