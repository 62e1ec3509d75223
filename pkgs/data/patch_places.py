"""Which of the two offsets in a patch's name is the row: seen from overlapping strips, never assumed.

Names are `<a>_<b>_<c>_<first>_<second>`, offsets in pixels of the source tile. Loads no torch.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from pkgs.data.items import Array, DataError, Reader, Sample, listed

LOOKED_AT: Final = 24
"""Pairs of neighbours that are read: a few tell, and a set has thousands."""
ALIKE: Final = 0.4
"""Mean difference of two strips over their own spread below which they show the same ground. 0 for a plain
copy, above 1 for unrelated ground, in between after lossy compression."""
AGREED: Final = 0.9
"""Share of pairs that must say the same."""


class Place(NamedTuple):
    """Where a patch says that it was cut from."""

    tile: str
    first: int
    second: int


class Neighbours(NamedTuple):
    """Two patches of a tile that differ in one offset by less than a side."""

    one: Sample
    other: Sample
    by_px: int
    in_first: bool
    """Whether it is the first offset that differs."""


def place_of(sample: Sample) -> Place:
    """Return the tile and the two offsets that the name of `sample` tells.

    Raises:
        DataError: If the name does not end in two whole numbers.
    """
    stem = sample.id.rsplit("/", 1)[-1]
    tile, *numbers = stem.rsplit("_", 2)
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        raise DataError(
            f"{sample.id}: the name does not end in two offsets; expected <a>_<b>_<c>_<first>_<second>, such "
            "as tile_7_0_209_418."
        )
    return Place(tile, int(numbers[0]), int(numbers[1]))


def row_is_first(reader: Reader, samples: Sequence[Sample]) -> bool:
    """Say whether the first offset in the names counts rows (down) and the second columns (right).

    Up to 24 pairs of neighbours, spread over the tiles, are read and compared in the strip that they share if
    the first offset is the row, and in the one that they share if it is the column.

    Args:
        reader: Reads `image` [C, H, W].
        samples: Patches whose names tell their places.

    Raises:
        DataError: If no two patches overlap, or neither order makes the overlaps agree.
    """
    pairs = _spread(list(_neighbours(samples, side_px=_side(reader, samples))))
    if not pairs:
        raise DataError(
            f"Of {len(samples)} patches no two overlap by their names; expected neighbours whose offsets "
            "differ by less than a side, in pixels of the files. Were the files resized after they were cut?"
        )
    votes = Counter(_vote(reader, pair) for pair in pairs)
    decided = len(pairs) - votes["both"]
    for word in ("row", "column"):
        if decided and votes[word] >= AGREED * decided:
            return word == "row"
    odd = listed(f"{pair.one.id} and {pair.other.id}" for pair in pairs[:3])
    raise DataError(
        f"Overlapping patches do not agree: of {len(pairs)} pairs {votes['row']} fit if the first offset in "
        f"the names is the row, {votes['column']} if it is the column, {votes['neither']} neither way (among "
        f"them {odd}). Do the names belong to these images, and are the offsets pixels of these files?"
    )


def _side(reader: Reader, samples: Sequence[Sample]) -> int:
    if not samples:
        return 0
    return min(reader.header(samples[0]).arrays["image"].shape[-2:])


def _neighbours(samples: Sequence[Sample], *, side_px: int) -> Iterator[Neighbours]:
    """Yield each patch with the nearest one further on, along either offset."""
    lines: dict[tuple[str, bool, int], list[tuple[int, Sample]]] = defaultdict(list)
    for sample in samples:
        tile, first, second = place_of(sample)
        lines[tile, True, second].append((first, sample))
        lines[tile, False, first].append((second, sample))
    for (_, in_first, _), line in sorted(lines.items()):
        line.sort(key=lambda entry: entry[0])
        for (start, one), (end, other) in pairwise(line):
            if 0 < end - start < side_px:
                yield Neighbours(one, other, end - start, in_first)


def _spread(pairs: list[Neighbours]) -> list[Neighbours]:
    """Return at most 24 pairs, evenly from the first to the last."""
    count = min(len(pairs), LOOKED_AT)
    return [pairs[place * len(pairs) // count] for place in range(count)]


def _vote(reader: Reader, pair: Neighbours) -> str:
    one, other = (np.asarray(reader.read(sample)["image"]) for sample in (pair.one, pair.other))
    if one.shape != other.shape:
        return "neither"
    below = _alike(one[:, pair.by_px :], other[:, : -pair.by_px])
    right = _alike(one[:, :, pair.by_px :], other[:, :, : -pair.by_px])
    if below and right:
        return "both"  # one colour all over: it tells nothing
    if not below and not right:
        return "neither"
    return "row" if below == pair.in_first else "column"


def _alike(strip: Array, same: Array) -> bool:
    difference = float(np.abs(strip.astype(np.float64) - same).mean())
    return difference <= ALIKE * float((strip.std(axis=(1, 2)) + same.std(axis=(1, 2))).mean()) / 2
