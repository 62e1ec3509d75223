"""Mode `pre_cache`: every item is made before the first step, on all cores. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from typing import Final

import numpy as np

from pkgs.data.cache.blueprint import EMPTY
from pkgs.data.cache.stores import Chosen, PackedStore
from pkgs.data.cache.workers import WORTH_PROCESSES, Workers, fill_chunk

Tick = Callable[[int, int], None]
"""Told how many are done, and of how many."""
CHUNK: Final = 16
"""Items between two beats of the heart."""


def fill_all(store: PackedStore, *, workers: int, tick: Tick) -> None:
    """Make every item that is missing. A bad one is left out: it is told at its first use.

    Args:
        store: Whose items.
        workers: Processes; with 1, or few items, this one does it.
        tick: Called with how many are done, and of how many.

    Raises:
        DeadWorkerError: If a worker died.
    """
    missing = np.flatnonzero(store.file.states == EMPTY)
    chunks = [missing[start : start + CHUNK] for start in range(0, len(missing), CHUNK)]
    alone = workers == 1 or len(missing) < WORTH_PROCESSES
    total = 0
    for count in _alone(store, chunks) if alone else _together(store, chunks, workers):
        total += count
        tick(total, len(missing))


def silent(done: int, total: int) -> None:
    """Beat no heart."""


def _alone(store: PackedStore, chunks: list[Chosen]) -> Iterator[int]:
    return (fill_chunk(store, chunk) for chunk in chunks)


def _together(store: PackedStore, chunks: list[Chosen], workers: int) -> Iterator[int]:
    with Workers(workers, store) as pool:
        for future in as_completed([pool.fill(chunk) for chunk in chunks]):
            yield pool.result(future)
