"""From ranges of draws to batches of host arrays, prepared ahead. A batch depends on seed and range alone.

Draw d of a run is entry `d % samples` of the order of epoch `d // samples` (pkgs/data/draws.py). Neither
kind of loader, nor number of helpers, nor a resume changes what a draw sees. No global generator is touched.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pkgs.data.cache.bad_samples import BadSamples, TooManyBadError, limit_of
from pkgs.data.cache.cache import Cache, to_tensors
from pkgs.data.cache.config import LoaderConfig, LoaderKind
from pkgs.data.cache.draw_order import DrawOrder
from pkgs.data.cache.recipe import BadItemError, where
from pkgs.data.cache.stores import PackedStore, SourceStore
from pkgs.data.cache.texts import Texts
from pkgs.data.cache.workers import WORTH_PROCESSES, Workers, usable_cores
from pkgs.data.items import Array

log = logging.getLogger(__name__)

Chosen = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A batch as it lies in the cache: arrays [B, ...] by name, and who they are."""

    arrays: Mapping[str, Tensor]
    indices: Chosen
    """Numbers of the samples in the cache, bad ones replaced."""
    names: Texts
    """The ids of all samples of the cache."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Who they are; made when asked, as most batches never tell."""
        return tuple(self.names[index] for index in self.indices.tolist())


@dataclass(frozen=True, slots=True)
class Work:
    """A batch that helpers prepare."""

    futures: tuple[Future[Any], ...]
    finish: Callable[[], Fetched]


@final
class Loader:
    """Batches for a training. Use as a context, or close. Calls of `fetch` may come from any thread."""

    def __init__(  # noqa: PLR0913 - all by name
        self,
        cache: Cache,
        *,
        indices: Sequence[int] | Chosen,
        seed: int,
        config: LoaderConfig | None = None,
        bad_file: Path | None = None,
        draws: int | None = None,
        debug: bool = False,
    ) -> None:
        """Prepare nothing yet.

        Args:
            cache: Of all samples.
            indices: The samples of this part, by their numbers in the cache.
            seed: Of the order.
            config: Kind, helpers, limits.
            bad_file: Where bad samples are listed; those that stand there are not tried again.
            draws: How many draws the run has; nothing beyond is prepared.
            debug: Whether the first bad sample is an error at once, instead of being replaced.
        """
        self.cache, self.config, self.draws, self.debug = cache, config or LoaderConfig(), draws, debug
        self._indices = np.asarray(indices, dtype=np.int64)
        self._order = DrawOrder(seed, count=len(self._indices))
        limit = limit_of(self.samples, share=self.config.bad_share, count=self.config.bad_count)
        self.bad = BadSamples(limit=limit, file=bad_file)
        known = self.bad.ids
        self._bad_indices = {n for n in self._indices.tolist() if known and cache.ids[n] in known}
        self._helpers = self.config.workers or usable_cores()
        self._threads: ThreadPoolExecutor | None = None
        self._workers: Workers | None = None
        self._pending: dict[range, Work] = {}
        self._last: range | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def samples(self) -> int:
        return len(self._indices)

    def fetch(self, draws: range) -> Fetched:
        """Return the batch of these draws, and have the next ones prepared.

        Raises:
            BadItemError: In debug mode, the first bad sample.
            TooManyBadError: If too many samples are bad.
            DeadWorkerError: If a worker process died.
        """
        kind = self._kind(draws)
        if kind == "inline":
            return self._made(draws)
        with self._lock:
            work = self._pending.pop(draws, None) or self._start(draws, kind)
            self._look_ahead(draws, kind)
        return work.finish()

    def close(self) -> None:
        """End all helpers."""
        with self._lock:
            self._drop(lambda _: True)
            if self._threads is not None:
                self._threads.shutdown(wait=True, cancel_futures=True)
            if self._workers is not None:
                self._workers.close()
            self._threads = self._workers = None

    def _kind(self, draws: range) -> LoaderKind:
        """Return who does it, `auto` resolved: handing a batch over costs more than to gather it."""
        if self.cache.resident:
            return "inline"  # nothing is copied on the host
        if self.config.kind != "auto":
            return self.config.kind
        if self.cache.complete or self._helpers == 1:
            return "inline"  # whoever asks may well run ahead in a thread of its own, as the training does
        if self._workers is not None:
            return "process"
        left = self.cache.missing(self._indices)
        if self.draws is not None:
            left = min(left, self.draws - draws.start)
        return "process" if left >= WORTH_PROCESSES else "thread"

    def _start(self, draws: range, kind: LoaderKind) -> Work:
        """Hand the batch to the helpers."""
        if kind == "thread":
            if self._threads is None:
                self._threads = ThreadPoolExecutor(1 if self.cache.complete else self._helpers, "loader")
            batch = self._threads.submit(self._made, draws)
            return Work((batch,), batch.result)
        store, chosen = self.cache.store, self._chosen(draws)
        workers = self._workers = self._workers or Workers(self._helpers, store)
        if isinstance(store, PackedStore):  # they decode into the file; nothing is handed over
            shares = np.array_split(store.missing(chosen), self._helpers)
            parts = tuple(workers.fill(share) for share in shares if len(share))
            return Work(parts, lambda: self._filled(draws, [workers.result(part) for part in parts]))
        rows = workers.rows(chosen)
        return Work((rows,), lambda: self._handed_over(draws, chosen, rows))

    def _look_ahead(self, draws: range, kind: LoaderKind) -> None:
        """Start the next ranges: as long as this one, as far apart as this one and the last."""
        step = draws.start - self._last.start if self._last else 0
        step = step if step > 0 else len(draws)
        self._last = draws
        self._drop(lambda other: other.start < draws.start)
        store = self.cache.store
        many = kind == "thread" or isinstance(store, SourceStore)  # one helper per batch
        ahead = max(self.config.ahead, self._helpers if many and not self.cache.complete else 0)
        for number in range(1, ahead + 1):
            following = range(draws.start + number * step, draws.start + number * step + len(draws))
            if self.draws is not None and following.stop > self.draws:
                return
            if following not in self._pending:
                self._pending[following] = self._start(following, kind)

    def _drop(self, needless: Callable[[range], bool]) -> None:
        for draws in [draws for draws in self._pending if needless(draws)]:
            for future in self._pending.pop(draws).futures:
                future.cancel()

    def _made(self, draws: range) -> Fetched:
        while True:
            chosen = self._chosen(draws)
            try:
                return self._fetched(chosen, self.cache.gather(chosen))
            except BadItemError as error:
                self._note(error)

    def _filled(self, draws: range, counts: Sequence[int]) -> Fetched:
        del counts  # that they came says that the workers live
        return self._made(draws)

    def _handed_over(self, draws: range, chosen: Chosen, rows: Future[dict[str, Array]]) -> Fetched:
        assert self._workers is not None
        while True:
            try:
                made: dict[str, Array] = self._workers.result(rows)
                return self._fetched(chosen, to_tensors(made))
            except BadItemError as error:
                self._note(error)
            chosen = self._chosen(draws)
            rows = self._workers.rows(chosen)

    def _fetched(self, chosen: Chosen, arrays: Mapping[str, Tensor]) -> Fetched:
        return Fetched(arrays, chosen, self.cache.ids)

    def _chosen(self, draws: range) -> Chosen:
        """Return the samples of the draws; a bad one is replaced by the next good one of the order."""
        if len(self._bad_indices) >= self.samples:
            raise TooManyBadError(f"All {self.samples} samples are bad; see {self.bad.file or 'the log'}.")
        chosen = self._indices[self._order[draws]]
        for place in np.flatnonzero(np.isin(chosen, list(self._bad_indices))) if self._bad_indices else ():
            chosen[place] = self._replacement(draws.start + int(place))
        return chosen

    def _replacement(self, draw: int) -> int:
        while True:
            draw += 1
            index = int(self._indices[self._order[range(draw, draw + 1)]][0])
            if index not in self._bad_indices:
                return index

    def _note(self, error: BadItemError) -> None:
        if self.debug:
            raise error
        sample = self.cache.sample(error.index)
        log.warning("bad sample id=%s: %s", sample.id, error)
        self._bad_indices.add(error.index)
        self.bad.add(sample.id, path=where(sample), reason=str(error))


def in_order(cache: Cache, indices: Sequence[int] | Chosen, *, batch: int) -> Iterator[Fetched]:
    """Yield every sample once, in the order of `indices`, the last batch short: for validation and test.

    The next batch is prepared in a thread.

    Raises:
        BadItemError: At the first bad sample: a score without it would be another score.
    """
    every = np.asarray(indices, dtype=np.int64)
    parts = [every[start : start + batch] for start in range(0, len(every), batch)]
    if cache.resident or not parts:
        yield from (_gathered(cache, part) for part in parts)
        return
    with ThreadPoolExecutor(1, "in_order") as thread:
        waiting = thread.submit(_gathered, cache, parts[0])
        for part in parts[1:]:
            ready, waiting = waiting.result(), thread.submit(_gathered, cache, part)
            yield ready
        yield waiting.result()


def _gathered(cache: Cache, chosen: Chosen) -> Fetched:
    return Fetched(cache.gather(chosen), chosen, cache.ids)
