"""What every metric keeps: whole numbers that add up, so that any order of any parts gives the same bits."""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import reduce
from typing import Any, Self, TypeVar

KIND = "kind"
"""Key of a state under which the name of its class stands."""


class Sums(ABC):
    """What is kept of any number of items; add two to merge them.

    A subclass is a frozen dataclass whose fields are whole numbers, names, sums, or tuples of one of these.
    Fixed-point fields hold multiples of 1 / UNIT. An empty tuple is neutral.
    """

    __slots__ = ()

    @abstractmethod
    def scores(self) -> dict[str, float]:
        """Return every score by name; one that is not defined is NaN."""

    def counts(self) -> dict[str, int]:
        """Return over how many cases or classes the scores run; empty where there is nothing to say."""
        return {}

    def as_case(self) -> Self:
        """Return the same sums taken for one case (image, volume or patient) of the means over cases."""
        return self

    def as_state(self) -> dict[str, Any]:
        """Return plain numbers, texts, lists and dicts: good for JSON and `weights_only` loading alike."""
        values = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]
        return {KIND: type(self).__name__, **values}

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            raise TypeError(f"{type(self).__name__} and {type(other).__name__} cannot be merged.")
        own = self.__dataclass_fields__  # type: ignore[attr-defined]
        return type(self)(**{name: plus(getattr(self, name), getattr(other, name)) for name in own})


S = TypeVar("S", bound=Sums)


def merged(parts: Iterable[S]) -> S:
    """Return the sums of all parts together.

    Raises:
        ValueError: If there is no part.
    """
    every = list(parts)
    if not every:
        raise ValueError("There is nothing to merge: no item was measured. Is the data set empty?")
    return reduce(operator.add, every)


def macro(parts: Iterable[Sums]) -> dict[str, float]:
    """Return the mean of the parts' scores: every source counts alike, however many images it has.

    A score that a part does not define (NaN) is left out; `defined` says how many are left.
    """
    return mean_of([part.scores() for part in parts])


def defined(parts: Iterable[Sums]) -> dict[str, int]:
    """Return for each score the number of parts in which it is defined."""
    scores = [part.scores() for part in parts]
    return {name: len(_values(scores, name)) for name in _names(scores)}


def mean_of(scores: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each score over those that define it, NaN if none does; the order plays no part."""
    every = list(scores)
    means = {}
    for name in _names(every):
        values = _values(every, name)
        means[name] = math.fsum(values) / len(values) if values else math.nan
    return means


def plus(first: Any, second: Any) -> Any:  # noqa: ANN401 - fields of several types
    """Return the sum of two fields: numbers, sums, names (which must agree), or tuples of these.

    Raises:
        ValueError: If names or lengths differ.
    """
    if isinstance(first, tuple):
        if not first or not second:
            return first or second
        if len(first) != len(second):
            raise ValueError(
                f"Sums of {len(first)} and of {len(second)} entries cannot be merged; "
                "use the same bins and classes for all parts."
            )
        return tuple(map(operator.add if isinstance(first[0], int) else plus, first, second))
    if isinstance(first, str):
        if first != second:
            raise ValueError(f"Sums of {first!r} and of {second!r} cannot be merged; name the same classes.")
        return first
    return first + second


def _plain(value: Any) -> Any:  # noqa: ANN401 - fields of several types
    if isinstance(value, Sums):
        return value.as_state()
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


def _names(scores: Iterable[Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for each in scores for name in each))


def _values(scores: Iterable[Mapping[str, float]], name: str) -> list[float]:
    return [each[name] for each in scores if name in each and not math.isnan(each[name])]
