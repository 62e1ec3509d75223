"""Processes that decode: no fork, gone with their parent, heard when they die. Loads no torch."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar, final

import numpy as np

from pkgs.data.cache.recipe import BadItemError
from pkgs.data.cache.stores import Chosen, PackedStore, SourceStore
from pkgs.data.items import Array

T = TypeVar("T")

WORTH_PROCESSES: Final = 256
"""Fewer items are decoded before new processes have started, which takes seconds."""
MEMORY_HINT: Final = (
    "If nothing else is told, the machine had no memory left and killed it (`dmesg | tail` says so): "
    "use fewer loader.workers, or loader.kind thread."
)


class DeadWorkerError(RuntimeError):
    """A worker process ended in the middle of its work."""


@final
class Workers:
    """Some processes. Use as a context, or close."""

    def __init__(self, count: int, store: PackedStore | SourceStore) -> None:
        """Start none yet; each will have its own copy of `store`."""
        descriptor, path = tempfile.mkstemp(prefix="queuemanager-worker-", suffix=".txt")
        os.close(descriptor)
        self._last_words = Path(path)
        # spawn: a fork of a process with threads (torch has some) may hang in a lock that nobody opens
        self._pool = ProcessPoolExecutor(
            count, mp_context=multiprocessing.get_context("spawn"), initializer=_begin, initargs=(path, store)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fill(self, chosen: Chosen) -> Future[int]:
        """Have items made in the packed file; counts them, the bad ones too."""
        return self._submit(_fill, chosen)

    def rows(self, chosen: Chosen) -> Future[dict[str, Array]]:
        """Have items decoded and handed over as one batch."""
        return self._submit(_rows, chosen)

    def result(self, future: Future[T]) -> T:
        """Return what a worker has made; its own exception comes with its own traceback.

        Raises:
            DeadWorkerError: If the process is gone, with what it said last.
        """
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise self._dead() from error

    def close(self) -> None:
        """End the processes after the items that they have in hand."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._last_words.unlink(missing_ok=True)

    def _submit(self, work: Callable[[Chosen], T], chosen: Chosen) -> Future[T]:
        try:
            return self._pool.submit(work, chosen)
        except BrokenProcessPool as error:
            raise self._dead() from error

    def _dead(self) -> DeadWorkerError:
        said = self._last_words.read_text(errors="replace").strip() if self._last_words.exists() else ""
        return DeadWorkerError(f"A process that decodes samples died. {MEMORY_HINT}\n{said}".rstrip())


def usable_cores() -> int:
    """Return the cores that this job may use: its affinity, bounded by the queue's OMP_NUM_THREADS."""
    cores = len(os.sched_getaffinity(0))
    told = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, int(told))) if told.isdecimal() else cores


def fill_chunk(store: PackedStore, chunk: Chosen) -> int:
    """Make some items and return their number, the bad ones counted: whoever uses one gets its reason."""
    for index in chunk:
        try:
            store.fill(np.array([index], dtype=np.int64))
        except BadItemError:
            continue
    return len(chunk)


_own: list[PackedStore | SourceStore] = []
"""The store of a worker process, opened once; empty elsewhere."""


def _fill(chosen: Chosen) -> int:
    (store,) = _own
    assert isinstance(store, PackedStore)
    return fill_chunk(store, chosen)


def _rows(chosen: Chosen) -> dict[str, Array]:
    (store,) = _own
    return store.rows(chosen)


def _begin(last_words: str, store: PackedStore | SourceStore) -> None:
    """Prepare a new worker: what it says when it crashes, and what a stop of the training means to it."""
    file = Path(last_words).open("a", encoding="utf-8")  # noqa: SIM115 - open as long as the process lives
    faulthandler.enable(file)
    for word in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # sent to the whole group; the training finishes its step first
        signal.signal(word, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"  # one process per core already
    _own.append(store)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End when the parent was killed: the queue of tasks never tells; each worker holds both its ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
