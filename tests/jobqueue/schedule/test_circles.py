"""Circles in `after`, compared with a plain search."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pkgs.jobqueue.schedule.circles import circles

names = st.sampled_from("abcdef")
graphs = st.dictionaries(names, st.lists(names, max_size=3)).map(
    lambda edges: {name: [parent for parent in parents if parent != name] for name, parents in edges.items()}
)


def reaches(edges: dict[str, list[str]], start: str, goal: str) -> bool:
    seen, unseen = set[str](), list(edges.get(start, ()))
    while unseen:
        name = unseen.pop()
        if name not in seen:
            seen.add(name)
            unseen.extend(edges.get(name, ()))
    return goal in seen


@given(graphs)
def test_exactly_the_jobs_that_reach_themselves_are_named(edges: dict[str, list[str]]) -> None:
    assert set(circles(edges)) == {name for name in edges if reaches(edges, name, name)}


@given(graphs)
def test_each_way_round_follows_the_arrows_and_comes_back(edges: dict[str, list[str]]) -> None:
    for name, way in circles(edges).items():
        assert way[0] == way[-1] == name
        assert len(set(way)) == len(way) - 1
        assert all(later in edges[earlier] for earlier, later in pairwise(way))
