"""Groups of samples and the classes they hold, so that splits and subsets keep rare classes.

Decodes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from pkgs.data.items import Sample
from pkgs.foundation.seeds import Purpose, derive

ClassesOf = Callable[[Sample], Collection[int]]
"""Which classes a sample holds; samples whose classes stand in masks need a look-up that somebody has
counted."""

CLASSLESS: Final = -1
"""Stratum of groups that hold no class."""


def classes_of(sample: Sample) -> Collection[int]:
    """Return the classes in a vector: its one class, or the entries that are 1. No mask is opened."""
    if len(sample.vector) == 1:
        return sample.vector if sample.vector[0] >= 0 else ()
    return tuple(number for number, entry in enumerate(sample.vector) if entry == 1)


def classes_by_group(
    samples: Iterable[Sample],
    classes: ClassesOf,
    *,
    unit: Callable[[Sample], str] = lambda sample: sample.group,
) -> dict[str, set[int]]:
    """Return the classes that each group holds."""
    held: dict[str, set[int]] = defaultdict(set)
    for sample in samples:
        held[unit(sample)].update(classes(sample))
    return held


def strata(held: Mapping[str, Collection[int]]) -> dict[str, int]:
    """Return the stratum of each group: the class that fewest groups hold of those that it holds itself.

    A patient with a common and a rare finding counts for the rare one, which would else be lost in a small
    part.
    """
    counts = Counter(number for numbers in held.values() for number in numbers)
    return {
        group: min(numbers, key=lambda number: (counts[number], number), default=CLASSLESS)
        for group, numbers in held.items()
    }


def shuffled(groups: Iterable[str], *, seed: int, word: str) -> list[str]:
    """Return the groups in an order that depends on seed, word and their names alone."""
    return sorted(groups, key=lambda group: derive(seed, Purpose.SPLIT, word, group))


def spread(groups: Sequence[str], *, count: int) -> list[str]:
    """Return `count` of the groups, evenly spaced: each run of them gives its share, to within one."""
    total, half = len(groups), len(groups) // 2
    return [
        group
        for place, group in enumerate(groups)
        if ((place + 1) * count + half) // total > (place * count + half) // total
    ]
