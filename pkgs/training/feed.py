"""Batches in the order of the steps, fetched ahead by a thread while the device computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, Generic, TypeVar, final

from pkgs.training.method import Method

B = TypeVar("B")
AHEAD_STEPS: Final = 2
"""One being fetched while one waits; more would only hold memory."""


def pieces(draws: range, *, count: int) -> list[range]:
    """Cut a range into `count` neighbours whose lengths differ by at most one, none left out."""
    size = len(draws)
    return [draws[size * k // count : size * (k + 1) // count] for k in range(count)]


@final
class Feed(Generic[B]):
    """Takes a method's batches step by step.

    Args:
        method: Whose `fetch` and `prepare` are called.
        draws_of: The micro-batches of a step, as this process computes them.
        steps: No step from this one on is fetched.
        ahead: How many steps the thread may be in front; 0: no thread, and faults show where they happen.
    """

    def __init__(
        self,
        method: Method[B],
        *,
        draws_of: Callable[[int], list[range]],
        steps: int,
        ahead: int = AHEAD_STEPS,
    ) -> None:
        self.method, self.draws_of, self.steps, self.ahead = method, draws_of, steps, ahead
        self._waiting: deque[tuple[int, Future[list[B]]]] = deque()
        self._thread: ThreadPoolExecutor | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Fetch ahead inside this block; what was fetched in vain is dropped at its end."""
        if not self.ahead:
            yield
            return
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fetch")
        try:
            yield
        finally:
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._thread = None
            self._waiting.clear()

    def take(self, step: int) -> list[B]:
        """Return the prepared micro-batches of `step`.

        Raises:
            Exception: Whatever `fetch` raised, with its own trace.
        """
        fetched = self._fetched(step)
        return [
            self.method.prepare(batch, draws=draws)
            for batch, draws in zip(fetched, self.draws_of(step), strict=True)
        ]

    def _fetched(self, step: int) -> list[B]:
        if self._thread is None:
            return self._fetch(step)
        if self._waiting and self._waiting[0][0] != step:  # somebody went back
            self._waiting.clear()
        first = step + len(self._waiting)
        for wanted in range(first, min(step + self.ahead + 1, self.steps)):
            self._waiting.append((wanted, self._thread.submit(self._fetch, wanted)))
        return self._waiting.popleft()[1].result()

    def _fetch(self, step: int) -> list[B]:
        return [self.method.fetch(draws) for draws in self.draws_of(step)]
