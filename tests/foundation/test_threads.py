"""Work shared out over threads: all of it, once, and again in a child of a fork."""

from __future__ import annotations

import os
import threading

import pytest

from pkgs.foundation.threads import share_out


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 3, 100])
def test_every_item_is_done_once(count: int, threads: int) -> None:
    done: list[int] = []
    share_out(lambda start, stop: done.extend(range(start, stop)), count=count, threads=threads)
    assert sorted(done) == list(range(count))


def test_one_thread_is_the_calling_one() -> None:
    seen: set[threading.Thread] = set()

    def note(start: int, stop: int) -> None:
        seen.add(threading.current_thread())

    share_out(note, count=9, threads=1)
    assert seen == {threading.current_thread()}


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_reaches_the_caller_and_the_threads_serve_on(threads: int) -> None:
    def fail(start: int, stop: int) -> None:
        raise ValueError(f"part {start}")

    with pytest.raises(ValueError, match="part"):
        share_out(fail, count=8, threads=threads)
    test_every_item_is_done_once(100, threads)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_of_a_fork_has_threads_of_its_own() -> None:
    test_every_item_is_done_once(100, 2)
    child = os.fork()
    if child == 0:
        try:
            test_every_item_is_done_once(100, 2)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
