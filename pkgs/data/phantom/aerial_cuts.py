"""How a source tile is cut into patches, and what the patches of each synthetic aerial set are called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pkgs.data.items import DataError

OVERLAP: Final = 47 / 256
"""Of neighbouring patches of DataCentric, in sides."""
RELEASED: Final = 1300 / 256
"""Side of a released tile, in sides of a patch: the sixth patch lies at 1044 instead of 1045 px."""
CLEAN_SIDE: Final = 4
"""Places along a side of a tile of the clean sets, whose patches never overlap."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One patch of a tile: its file name without ending, and its upper left pixel."""

    stem: str
    row: int
    column: int


def offsets(side_px: int, per_side: int) -> list[int]:
    """Return the places of overlapping patches along a side, in pixels.

    Raises:
        DataError: If a tile would not hold them.
    """
    if not 1 <= per_side <= 6:
        raise DataError(f"{per_side} patches along a side of a tile; expected 1 to 6, as released.")
    step = side_px - round(OVERLAP * side_px)
    last = round(RELEASED * side_px) - side_px
    return [min(place * step, last) for place in range(per_side)]


def extent_of(per_side: int) -> float:
    """Return the side of a tile of overlapping patches, in sides of a patch: the same for all sizes."""
    return min(1 + (per_side - 1) * (1 - OVERLAP), RELEASED)


def overlapping(number: int, *, side_px: int, per_side: int) -> Iterator[Cut]:
    """Yield the patches of tile `number` by names of the form `<a>_<b>_<c>_<row>_<column>`."""
    places = offsets(side_px, per_side)
    for row in places:
        for column in places:
            yield Cut(f"phantom_{number // 4}_{number % 4}_{row}_{column}", row, column)


def scattered(number: int, *, side_px: int, every: int) -> Iterator[Cut]:
    """Yield patches of tile `number` that do not overlap: one place in `every` (2: a chessboard, or 4)."""
    for place in range(CLEAN_SIDE**2):
        row, column = divmod(place, CLEAN_SIDE)
        if (row + column) % 2 == 0 and (every == 2 or row % 2 == 0):
            yield Cut(f"{number:03d}_{place:02d}", row * side_px, column * side_px)
