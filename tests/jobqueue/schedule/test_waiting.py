"""The list of runs that may start, against a plain sorted list."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pkgs.jobqueue.schedule.waiting import Candidate, Waiting
from tests.builders.worlds import random_candidates


@given(random_candidates(), st.randoms(use_true_random=False))
def test_it_iterates_in_order_whatever_was_added_and_taken_out(
    candidates: list[Candidate], source: random.Random
) -> None:
    shuffled = source.sample(candidates, len(candidates))
    gone = {candidate.key for candidate in shuffled[::3]}
    waiting = Waiting(shuffled)
    for key in gone:
        waiting.discard(key)
        waiting.discard(key)
    left = [candidate for candidate in candidates if candidate.key not in gone]
    assert list(waiting) == left
    assert len(waiting) == len(left)
    assert all((candidate.key in waiting) == (candidate.key not in gone) for candidate in candidates)


@given(random_candidates())
def test_a_run_added_twice_is_there_once_as_it_was_last(candidates: list[Candidate]) -> None:
    assert list(Waiting([*candidates, *candidates])) == candidates


@given(random_candidates())
def test_each_group_knows_its_oldest_after_any_change(candidates: list[Candidate]) -> None:
    waiting = Waiting(candidates)
    for candidate in candidates:
        for group in waiting.groups.values():
            assert group.oldest == min(group.runs, key=lambda run: (run.ready_unix_s, run.order))
        waiting.discard(candidate.key)
    assert not waiting.groups
