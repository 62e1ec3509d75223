"""Where each array of each item lies in the packed file: numpy arrays, nothing per item in Python.

One region per array name, items one behind the other at multiples of 64 bytes: where all shapes are equal, a
batch is one gather over rows of a fixed length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, get_args

import numpy as np
from numpy.typing import NDArray

from pkgs.data.cache.recipe import same_arrays
from pkgs.data.items import ArraySpec, DataError, Header, Kind

ALIGN: Final = 64
"""Bytes; a cache line, so that copies start on one and every dtype is aligned."""
PAGE: Final = 4096
MAX_DIMENSIONS: Final = 5
"""Channels, three axes of space, and one to spare."""
COLUMNS: Final = ("offsets", "shapes", "dtypes", "spacing_mm", "affines")


@dataclass(frozen=True, slots=True)
class Row:
    """An array that has the same dtype and shape in all items: item k starts at `start + k * stride`."""

    start: int
    stride: int
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """N items of A arrays each."""

    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    dtype_names: tuple[str, ...]
    """What the numbers in `dtypes` mean."""
    offsets: NDArray[np.int64]
    """[N, A] bytes from the start of the data; -1: the item has no place, its header was unreadable."""
    shapes: NDArray[np.int32]
    """[N, A, 5], filled up with -1."""
    dtypes: NDArray[np.uint8]
    """[N, A]"""
    spacing_mm: NDArray[np.float64]
    """[N, 3], NaN where unknown; [N, 0] where no header knows any."""
    affines: NDArray[np.float64]
    """[N, 16], likewise."""
    nbytes: int
    """Of all data."""

    def __len__(self) -> int:
        return len(self.offsets)

    def spec(self, index: int, array: int) -> ArraySpec:
        """Return kind, dtype and shape of one array of one item."""
        shape = self.shapes[index, array]
        return ArraySpec(
            kind=self.kinds[array],
            dtype=self.dtype_names[int(self.dtypes[index, array])],
            shape=tuple(int(side) for side in shape[shape >= 0]),
        )

    def row(self, array: int) -> Row | None:
        """Return the common form of an array; None where items differ."""
        placed = np.flatnonzero(self.offsets[:, array] >= 0)
        if not len(placed):
            return None
        first = int(placed[0])
        spec = self.spec(first, array)
        stride = _aligned(spec.nbytes)
        start = int(self.offsets[first, array]) - first * stride
        expected = start + placed * stride
        equal = (
            np.array_equal(self.offsets[placed, array], expected)
            and bool((self.shapes[placed, array] == self.shapes[first, array]).all())
            and bool((self.dtypes[placed, array] == self.dtypes[first, array]).all())
        )
        return Row(start, stride, spec.dtype, spec.shape) if equal else None

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {name: getattr(self, name) for name in COLUMNS}

    def words(self) -> dict[str, Any]:
        """Return what is no array, for the header of the packed file."""
        return {
            "names": self.names, "kinds": self.kinds, "dtype_names": self.dtype_names, "nbytes": self.nbytes,
        }  # fmt: skip

    @classmethod
    def within(cls, words: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return what `words` and `arrays` have stored."""
        return cls(
            names=tuple(words["names"]),
            kinds=tuple(words["kinds"]),
            dtype_names=tuple(words["dtype_names"]),
            nbytes=int(words["nbytes"]),
            **{name: arrays[name] for name in COLUMNS},
        )


def lay_out(headers: Sequence[Header | None]) -> Layout:
    """Give every array of every item its place.

    Args:
        headers: What each item will be; None where the file's header is unreadable.

    Raises:
        DataError: If items hold different arrays, or an array has more than five axes.
    """
    known = [header for header in headers if header is not None]
    if not known:
        raise DataError("No sample has a readable header; is this the right folder, and the right layout?")
    if not same_arrays(known):
        forms = sorted({", ".join(sorted(header.arrays)) for header in known})
        raise DataError(f"Samples hold different arrays: {' | '.join(forms)}. Choose those that all have.")
    names = tuple(known[0].arrays)
    kinds = tuple(known[0].arrays[name].kind for name in names)
    if not set(kinds) <= set(get_args(Kind)):
        raise DataError(f"Unknown kind of array in {kinds}; known: {', '.join(get_args(Kind))}.")
    dtype_names = tuple(sorted({_native(h.arrays[name].dtype) for h in known for name in names}))
    count = len(headers)
    shapes = np.full((count, len(names), MAX_DIMENSIONS), -1, dtype=np.int32)
    dtypes = np.zeros((count, len(names)), dtype=np.uint8)
    sizes = np.full((count, len(names)), -1, dtype=np.int64)
    for number, header in enumerate(headers):
        for array, name in enumerate(names if header is not None else ()):
            assert header is not None
            spec = header.arrays[name]
            if len(spec.shape) > MAX_DIMENSIONS:
                raise DataError(f"{name!r} has the shape {spec.shape}; at most {MAX_DIMENSIONS} axes.")
            shapes[number, array, : len(spec.shape)] = spec.shape
            dtypes[number, array] = dtype_names.index(_native(spec.dtype))
            sizes[number, array] = spec.nbytes
    offsets, nbytes = _places(sizes)
    return Layout(
        names, kinds, dtype_names, offsets, shapes, dtypes,
        spacing_mm=_numbers([h.spacing_mm if h else () for h in headers], width=3),
        affines=_numbers([sum(h.affine, ()) if h else () for h in headers], width=16),
        nbytes=nbytes,
    )  # fmt: skip


def _places(sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Return the offsets, and the end of the last region; one region per array, each from a new page."""
    offsets, end = np.full_like(sizes, -1), 0
    for array in range(sizes.shape[1]):
        room = _aligned(sizes[:, array])
        readable = sizes[:, array] >= 0
        if len(np.unique(sizes[readable, array])) == 1:
            room[:] = room[readable][0]  # an unreadable item leaves a hole: rows keep one stride
        else:
            room[~readable] = 0
        starts = end + np.cumsum(room) - room
        offsets[readable, array] = starts[readable]
        end += -(-int(room.sum()) // PAGE) * PAGE
    return offsets, end


def _native(dtype: str) -> str:
    """Return the name of a type in the machine's byte order, in which items are kept."""
    return str(np.dtype(dtype).newbyteorder("="))


def _aligned(size: Any) -> Any:  # noqa: ANN401 - a number or an array of them
    return -(-size // ALIGN) * ALIGN


def _numbers(rows: Sequence[tuple[float, ...]], *, width: int) -> NDArray[np.float64]:
    if not any(rows):
        return np.empty((len(rows), 0))
    table = np.full((len(rows), width), np.nan)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return table
