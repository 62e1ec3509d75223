"""Runs that may start, grouped by what they ask of a device, so that a turn never looks at all of them.

Kept by the manager and by the simulator from turn to turn; plan.py only reads it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from operator import attrgetter
from typing import final

from pkgs.jobqueue.vocabulary import RunKey


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run that may start: it is wanted, its parents are done, its pause is over, it is not infeasible."""

    key: RunKey
    order: tuple[int, ...]
    """First the negated priority, then matched set, row, condition (`fanout.Order.of`); unique."""
    gpus: int = 1
    """0: a CPU slot is enough."""
    memory_mib: int | None = None
    """Room needed on each device; None: its devices to itself."""
    ready_unix_s: float = 0.0
    """Since when it has been waiting for a device and for nothing else."""
    expected_s: float | None = None
    """How long it will probably run; None: nobody knows."""
    avoid: frozenset[str] = frozenset()
    """Devices where it failed by the card's fault; used again only if no others can ever do."""
    least_mib: int = 0
    """What a device must have in total, for a run that ran out of memory before."""
    listed_unix_s: float = 0.0
    """When its row came into the table, as far as known: later rows cannot pass it for ever."""


Demand = tuple[int, int, int | None, int, frozenset[str]]
"""Priority and all that decides whether a run fits: what is true of one run of a group is true of all."""

in_order = attrgetter("order")
by_age = attrgetter("ready_unix_s", "order")


@final
class Group:
    """Runs with the same demand, sorted by order."""

    def __init__(self) -> None:
        self.runs: list[Candidate] = []
        self._oldest: Candidate | None = None

    def add(self, candidate: Candidate) -> None:
        if self.runs and candidate.order < self.runs[-1].order:
            insort(self.runs, candidate, key=in_order)
        else:
            self.runs.append(candidate)
        if self._oldest is not None and by_age(candidate) < by_age(self._oldest):
            self._oldest = candidate

    def remove(self, candidate: Candidate) -> None:
        place = bisect_left(self.runs, candidate.order, key=in_order)
        while self.runs[place].key != candidate.key:
            place += 1
        del self.runs[place]
        if self._oldest is not None and self._oldest.key == candidate.key:
            self._oldest = None

    @property
    def oldest(self) -> Candidate:
        """The run that has been waiting longest; the first in order among equals."""
        if self._oldest is None:
            self._oldest = min(self.runs, key=by_age)
        return self._oldest


@final
class Waiting:
    """All runs that may start. Iterates in the order of starts."""

    def __init__(self, candidates: Iterable[Candidate] = ()) -> None:
        self.groups: dict[Demand, Group] = {}
        self._by_key: dict[RunKey, Candidate] = {}
        for candidate in candidates:
            self.add(candidate)

    def __len__(self) -> int:
        return len(self._by_key)

    def __contains__(self, key: object) -> bool:
        return key in self._by_key

    def __iter__(self) -> Iterator[Candidate]:
        return merge(*(group.runs for group in self.groups.values()), key=in_order)

    def add(self, candidate: Candidate) -> None:
        """Put the run in its place; one of the same name is replaced."""
        self.discard(candidate.key)
        self._by_key[candidate.key] = candidate
        demand = _demand(candidate)
        group = self.groups.get(demand)
        if group is None:
            group = self.groups[demand] = Group()
        group.add(candidate)

    def discard(self, key: RunKey) -> None:
        """Take the run out, if it is there: it was started, or may no longer start."""
        candidate = self._by_key.pop(key, None)
        if candidate is None:
            return
        demand = _demand(candidate)
        self.groups[demand].remove(candidate)
        if not self.groups[demand].runs:
            del self.groups[demand]


def _demand(candidate: Candidate) -> Demand:
    return candidate.order[0], candidate.gpus, candidate.memory_mib, candidate.least_mib, candidate.avoid
