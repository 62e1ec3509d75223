"""Finds the jobs that wait for themselves by way of others, and names the way round."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

SEARCHES: Final = 200
"""Members of one knot of circles that get a way round of their own; the others show one through it.
Bounds the cost of a table in which thousands of rows wait for each other."""


def circles(edges: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return for each member of a circle the way round, from itself to itself: `(a, b, a)`.

    Args:
        edges: For each job the jobs it waits for, itself excluded. Names that are not keys wait for nothing.
    """
    found: dict[str, tuple[str, ...]] = {}
    left = _without_ends(edges)
    for knot in _knots(left):
        members = set(knot)
        for number, member in enumerate(knot):
            if member in found:
                continue
            if number >= SEARCHES:
                found[member] = found[knot[0]]
                continue
            way = _way_round(member, left, members)
            for place, name in enumerate(way[:-1]):
                found.setdefault(name, (*way[place:-1], *way[: place + 1]) if len(way) <= SEARCHES else way)
    return {name: found[name] for name in edges if name in found}


def _without_ends(edges: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return what stays when jobs that wait for nothing unfinished are taken away again and again."""
    waiting = {name: {parent for parent in parents if parent in edges} for name, parents in edges.items()}
    waiters: dict[str, list[str]] = {}
    for name, parents in waiting.items():
        for parent in parents:
            waiters.setdefault(parent, []).append(name)
    counts = {name: len(parents) for name, parents in waiting.items()}
    free = [name for name, count in counts.items() if not count]
    while free:
        for waiter in waiters.get(free.pop(), ()):
            counts[waiter] -= 1
            if not counts[waiter]:
                free.append(waiter)
    return {
        name: [parent for parent in dict.fromkeys(edges[name]) if counts.get(parent)]
        for name, count in counts.items()
        if count
    }


def _knots(edges: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the groups in which every job waits for every other, by Tarjan's algorithm without recursion."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_names: dict[str, None] = {}
    knots: list[list[str]] = []
    for root in edges:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        open_names[root] = None
        path = [(root, iter(edges[root]))]
        while path:
            name, parents = path[-1]
            for parent in parents:
                if parent not in index:
                    index[parent] = low[parent] = len(index)
                    open_names[parent] = None
                    path.append((parent, iter(edges[parent])))
                    break
                if parent in open_names:
                    low[name] = min(low[name], index[parent])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[name])
                if low[name] == index[name]:
                    knot = _close(open_names, name)
                    if len(knot) > 1:
                        knots.append(sorted(knot, key=index.__getitem__))
    return knots


def _close(open_names: dict[str, None], name: str) -> list[str]:
    knot = []
    while True:
        last = next(reversed(open_names))
        del open_names[last]
        knot.append(last)
        if last == name:
            return knot


def _way_round(start: str, edges: Mapping[str, Sequence[str]], members: set[str]) -> tuple[str, ...]:
    """Return the shortest way from `start` to itself within its knot."""
    came_from: dict[str, str] = {}
    unseen = deque([start])
    while unseen:
        name = unseen.popleft()
        for parent in edges[name]:
            if parent == start:
                way = [name]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return (*reversed(way), start)
            if parent in members and parent not in came_from:
                came_from[parent] = name
                unseen.append(parent)
    raise AssertionError(f"{start} is in no circle")  # a knot has a way round through each of its members
