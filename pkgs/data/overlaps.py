"""Patches that were cut from one tile so that neighbours share a strip. Decodes nothing.

Names are `<a>_<b>_<c>_<i>_<j>`: the tile, then two offsets. Steps of 209 px and patches of 256 px share 47.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final

NAME_PARTS: Final = 5
Place = tuple[int, int]


def place_of(name: str) -> tuple[str, Place] | None:
    """Return the tile and the offsets that a patch's id tells, None if it is none of such a name."""
    folder, _, stem = name.rpartition("/")
    words = stem.split("_")
    if len(words) != NAME_PARTS or not all(word.isdecimal() for word in words[3:]):
        return None
    return f"{folder}/{'_'.join(words[:3])}", (int(words[3]), int(words[4]))


def overlapping(part_of: Mapping[str, str]) -> list[str]:
    """Return the pairs of patches that share pixels and stand in different parts, as `<id> (<part>) = …`.

    Neighbours are one step apart, the smallest distance of two offsets in the set; two steps share nothing.

    Args:
        part_of: The part of each patch's id; ids of other names are passed over.
    """
    tiles: dict[str, dict[Place, str]] = defaultdict(dict)
    for id_ in part_of:
        known = place_of(id_)
        if known is not None:
            tiles[known[0]][known[1]] = id_
    step = _step(offset for places in tiles.values() for place in places for offset in place)
    if not step:
        return []
    return [
        f"{id_} ({part_of[id_]}) = {near} ({part_of[near]})"
        for places in tiles.values()
        for place, id_ in sorted(places.items())
        for near in _after(place, places, step)
        if part_of[near] != part_of[id_]
    ]


def _step(offsets: Iterable[int]) -> int:
    """Return the smallest distance of two different offsets; 0 if there is only one."""
    known = sorted(set(offsets))
    return min((after - before for before, after in pairwise(known)), default=0)


def _after(place: Place, places: Mapping[Place, str], step: int) -> list[str]:
    """Return the neighbours that come later in the order of rows, so that each pair is met once."""
    i, j = place
    around = ((i, j + step), (i + step, j - step), (i + step, j), (i + step, j + step))
    return [places[near] for near in around if near in places]
