"""Batches fetched ahead, in order."""

from __future__ import annotations

import threading

import pytest

from pkgs.training.feed import Feed, pieces


class Numbers:
    """A method of which only `fetch` and `prepare` are asked."""

    def __init__(self) -> None:
        self.fetched: list[int] = []
        self.threads: set[str] = set()

    def fetch(self, draws: range, /) -> list[int]:
        self.fetched.append(draws.start)
        self.threads.add(threading.current_thread().name)
        return list(draws)

    def prepare(self, batch: list[int], /, *, draws: range) -> list[int]:
        assert batch == list(draws)
        assert threading.current_thread() is threading.main_thread()
        return batch


def feed_of(method: Numbers, *, steps: int = 5, ahead: int = 2) -> Feed[list[int]]:
    return Feed(
        method,  # type: ignore[arg-type]
        draws_of=lambda step: pieces(range(4 * step, 4 * step + 4), count=2),
        steps=steps,
        ahead=ahead,
    )


@pytest.mark.parametrize("ahead", [0, 2])
def test_each_step_gets_its_micro_batches_in_order(ahead: int) -> None:
    method = Numbers()
    feed = feed_of(method, ahead=ahead)
    with feed.running():
        taken = [feed.take(step) for step in range(5)]
    assert taken == [[[4 * k, 4 * k + 1], [4 * k + 2, 4 * k + 3]] for k in range(5)]
    assert method.fetched == list(range(0, 20, 2))  # nothing twice, nothing beyond the last step


def test_the_thread_is_one_of_its_own_and_ends_with_the_block() -> None:
    method = Numbers()
    feed = feed_of(method)
    with feed.running():
        feed.take(0)
    assert all(name.startswith("fetch") for name in method.threads)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fetch")]


def test_it_may_start_in_the_middle_and_go_back() -> None:
    feed = feed_of(Numbers())
    with feed.running():
        assert feed.take(3)[0] == [12, 13]
        assert feed.take(1)[0] == [4, 5]
        assert feed.take(2)[0] == [8, 9]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_pieces_are_neighbours_without_gap_or_overlap(count: int) -> None:
    cut = pieces(range(5, 12), count=count)
    assert [draw for piece in cut for draw in piece] == list(range(5, 12))
    assert max(map(len, cut)) - min(map(len, cut)) <= 1
