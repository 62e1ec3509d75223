"""Work that releases the interpreter's lock, shared out over threads that stay."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final

PARTS: Final = 4
"""Parts per thread: where another process holds a core, the thread on the other one takes more of them."""


def share_out(work: Callable[[int, int], None], *, count: int, threads: int) -> None:
    """Call `work(start, stop)` for parts of 0 .. count-1 that cover it once; return when all are done.

    Args:
        work: Must not depend on how the whole is cut. What it raises is raised here.
        count: Of the items.
        threads: The calling one included; 1 starts none.
    """
    threads = min(threads, count)
    if threads <= 1:
        work(0, count)
        return
    step = -(-count // (PARTS * threads))
    starts = iter(range(0, count, step))  # handed from thread to thread: its steps hold the lock

    def run() -> None:
        for start in starts:
            work(start, min(start + step, count))

    pool = _pool(os.getpid(), threads - 1)
    others = [pool.submit(run) for _ in range(threads - 1)]
    try:
        run()
    finally:
        for other in others:
            other.result()


@cache
def _pool(process: int, workers: int) -> ThreadPoolExecutor:
    """Return the threads of this process: those of its parent do not survive a fork."""
    return ThreadPoolExecutor(workers, thread_name_prefix=f"share-{process}")
