"""Where each sample of a cache comes from, as columns of numbers and text.

Columns instead of a list of `Sample`: 100,000 of them open in less than a second, pickle small, and lie once
in the packed file for all processes. Decodes nothing, loads no torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from pkgs.data.cache.texts import Texts
from pkgs.data.items import DataError, Sample
from pkgs.foundation.provenance import digest_file

COLUMNS: Final = ("ids", "groups", "parts", "names", "paths", "vectors")
NUMBERS: Final = ("firsts", "places", "stamps")
_PART: Final = "\x1f"
_UNCHECKED: Final = 0
_GONE: Final = (-1, -1)
_PRIMES: Final = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""Odd constants of SplitMix64: files, sizes and times that change together must not cancel out."""


@dataclass(frozen=True, slots=True)
class Sources:
    """All samples of a cache, by number."""

    ids: Texts
    groups: Texts
    parts: Texts
    names: Texts
    """Of the arrays, a text per sample."""
    paths: Texts
    """Of all files, relative to the root where they lie below it, else absolute; those of sample k begin at
    `firsts[k]`."""
    vectors: Texts
    firsts: NDArray[np.int64]
    places: NDArray[np.int64]
    """-1 where a file holds one sample."""
    stamps: NDArray[np.int64]
    """Size and time of the files of a sample in one number; 0: not to be compared."""

    def __len__(self) -> int:
        return len(self.ids)

    def sample(self, index: int, *, root: str) -> Sample:
        """Return sample `index` as its reader has given it."""
        names, vector, place = self.names[index], self.vectors[index], int(self.places[index])
        paths = self.paths[int(self.firsts[index]) : int(self.firsts[index + 1])]
        return Sample(
            id=self.ids[index],
            group=self.groups[index],
            files={n: Path(root, p) for n, p in zip(names.split(_PART), paths, strict=True)} if names else {},
            part=self.parts[index],
            vector=tuple(int(word) for word in vector.split(",")) if vector else (),
            place=None if place < 0 else place,
        )

    def changed(self, index: int, sample: Sample) -> bool:
        """Return whether a file of the sample is another one than when the cache was opened."""
        if int(self.stamps[index]) == _UNCHECKED:
            return False
        seen = np.array(measure_times(map(str, sample.files.values())), dtype=np.int64).reshape(-1, 2)
        firsts = np.array([0, len(seen)], dtype=np.int64)
        return int(self.stamps[index]) != int(_stamps(seen, firsts)[0])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as named arrays, as the packed file stores it."""
        stored: dict[str, NDArray[Any]] = {
            name: getattr(self, name) for name in ("firsts", "places", "stamps")
        }
        for name in COLUMNS:
            stored |= getattr(self, name).arrays_as(name)
        return stored

    @classmethod
    def within(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return what `arrays` has stored."""
        texts = {name: Texts.within(arrays, name) for name in COLUMNS}
        numbers = {name: arrays[name] for name in NUMBERS}
        return cls(**{**texts, **numbers})  # type: ignore[arg-type]


def collect(
    samples: Sequence[Sample], *, root: Path, key_by: Literal["times", "content"]
) -> tuple[Sources, bytes]:
    """Return the columns of `samples`, and a digest of them and of the state of every file.

    Column by column, not sample by sample: 100,000 samples take half a second, most of it in `stat`.

    Args:
        samples: In the order that gives them their numbers.
        root: Paths below it are taken relative to it: a moved folder keeps its cache.
        key_by: `times`: size and time of change of each file. `content`: its bytes.

    Raises:
        DataError: If two samples have one id, or there is none.
    """
    _refuse_doubles(samples, root)
    base = os.path.join(str(root), "")
    paths = [str(path) for sample in samples for path in sample.files.values()]
    measured = _measured(paths, measure_times if key_by == "times" else measure_content)
    firsts = np.zeros(len(samples) + 1, dtype=np.int64)
    np.cumsum([len(sample.files) for sample in samples], out=firsts[1:])
    unchecked = np.full(len(samples), _UNCHECKED, dtype=np.int64)
    sources = Sources(
        ids=Texts.of([sample.id for sample in samples]),
        groups=Texts.of([sample.group for sample in samples]),
        parts=Texts.of([sample.part for sample in samples]),
        names=Texts.of([_PART.join(sample.files) for sample in samples]),
        paths=Texts.of([_seen_from(base, path) for path in paths]),
        vectors=Texts.of([",".join(map(str, sample.vector)) for sample in samples]),
        firsts=firsts,
        places=np.array([-1 if s.place is None else s.place for s in samples], dtype=np.int64),
        stamps=_stamps(measured, firsts) if key_by == "times" else unchecked,
    )
    return sources, _digest(sources, measured)


def _seen_from(base: str, path: str) -> str:
    return path.removeprefix(base) if path.startswith(base) else os.path.abspath(path)


def measure_times(paths: Iterable[str]) -> list[int]:
    """Return by turns size in bytes and time of change in ns; -1 and -1 for a file that is not there."""
    measured: list[int] = []  # flat: 100,000 pairs would keep the garbage collector busy
    for path in paths:
        try:
            seen = os.stat(path)
        except OSError:
            measured += _GONE
        else:
            measured += (seen.st_size, seen.st_mtime_ns)
    return measured


def measure_content(paths: Iterable[str]) -> list[int]:
    """Return by turns size in bytes and 63 bits of the digest of the bytes; -1, -1 if unreadable."""
    measured: list[int] = []
    for path in paths:
        try:
            measured += (os.stat(path).st_size, int(digest_file(Path(path)), 16) >> 1)
        except OSError:
            measured += _GONE
    return measured


def _measured(paths: Sequence[str], measure: Callable[[Iterable[str]], list[int]]) -> NDArray[np.int64]:
    """Return [files, 2]; a file that holds many samples is looked at once."""
    numbers = {path: number for number, path in enumerate(dict.fromkeys(paths))}
    table = np.array(measure(numbers), dtype=np.int64).reshape(-1, 2)
    if len(numbers) == len(paths):
        return table
    return table[[numbers[path] for path in paths]]


def _stamps(measured: NDArray[np.int64], firsts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one number per sample, never 0, of the sizes and times of its files in their order."""
    size, moment = measured.astype(np.uint64).T  # arrays wrap around silently, which is wanted
    counts = np.diff(firsts)
    rank = np.arange(len(measured), dtype=np.int64) - np.repeat(firsts[:-1], counts)
    first, second, third = (np.uint64(prime) for prime in _PRIMES)
    mixed = (size * first ^ moment) * second + (rank.astype(np.uint64) + np.uint64(1)) * third
    mixed = (mixed ^ (mixed >> np.uint64(31))) * first
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    stamps: NDArray[np.int64] = ((total[firsts[1:]] - total[firsts[:-1]]) | np.uint64(1)).view(np.int64)
    return stamps


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
