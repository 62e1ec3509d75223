"""Two ways to items: decoded from their files each time, or kept in a packed file. Loads no torch.

A store is pickled into worker processes; one over a packed file goes as its path and opens it there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, Final, Protocol, final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.cache.blueprint import EMPTY, FULL, REFUSED
from pkgs.data.cache.counters import Counters, Stats
from pkgs.data.cache.packed_file import PackedFile
from pkgs.data.cache.recipe import BadItemError, Recipe, where
from pkgs.data.cache.shelf import Shelf
from pkgs.data.cache.sources import Sources
from pkgs.data.items import Array, DataError, Item

log = logging.getLogger(__name__)

Chosen = NDArray[np.int64]
UNEQUAL: Final = (
    "A batch needs equal shapes: add a preparation that makes them equal (resize, crop or pad), "
    "cut windows of one size, or take a batch of 1."
)


class Store(Protocol):
    """Items by number."""

    @property
    def sources(self) -> Sources:
        """Where they come from."""

    def rows(self, chosen: Chosen) -> dict[str, Array]:
        """Return fresh arrays [B, ...] of the items in the order of `chosen`.

        Raises:
            BadItemError: The first item that cannot be used.
            DataError: If shapes differ.
        """

    def item(self, index: int) -> dict[str, Array]:
        """Return the arrays of one item; they may be read-only views of the file, which nobody may change.

        Raises:
            BadItemError: If it cannot be used.
        """


def decode(recipe: Recipe, sources: Sources, index: int) -> dict[str, Array]:
    """Make one item from its files.

    Raises:
        BadItemError: With the number of the item.
    """
    sample = sources.sample(index, root=recipe.root)
    if sources.changed(index, sample):
        raise BadItemError(
            f"{where(sample)}: is missing, or has changed since this run has opened its cache. "
            "Leave the data alone while runs use them, and start the run again.",
            index=index,
            lasting=False,
        )
    try:
        return recipe.make(sample)
    except BadItemError as error:
        error.index = index
        raise


@final
class SourceStore:
    """Mode `disk`: nothing is kept."""

    def __init__(self, recipe: Recipe, sources: Sources, *, counters: Counters) -> None:
        self.recipe, self._sources, self.counters = recipe, sources, counters

    @property
    def sources(self) -> Sources:
        return self._sources

    def rows(self, chosen: Chosen) -> dict[str, Array]:
        return stacked([self.item(int(index)) for index in chosen])

    def item(self, index: int) -> dict[str, Array]:
        begin_s = time.perf_counter()
        item = decode(self.recipe, self._sources, index)
        self.counters.add(_miss(item, begin_s))
        return item


@final
class PackedStore:
    """An item is decoded at its first use, by whichever process has it, and kept for all."""

    def __init__(self, shelf: Shelf, recipe: Recipe, *, file: PackedFile, counters: Counters) -> None:
        self.shelf, self.recipe, self.counters = shelf, recipe, counters
        self.key = file.key
        self._file: PackedFile | None = file
        self._failed = False
        self._sealed = file.complete and shelf.is_sealed(file)
        self._seal_if_complete()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}

    @property
    def file(self) -> PackedFile:
        """The open file; opened at first use, so that the store pickles as a path."""
        if self._file is None:
            self._file = self.shelf.find(self.key)
            if self._file is None:
                raise DataError(
                    f"{self.shelf.folder}: the packed file {self.key} is gone. The process that opened the "
                    "cache must keep it open as long as its workers run."
                )
        return self._file

    def release(self) -> None:
        """Let go of the file and its lock; the next use opens it again."""
        self._file = None

    @property
    def sources(self) -> Sources:
        return self.file.sources

    @property
    def complete(self) -> bool:
        """Whether nothing is left to decode."""
        return self._sealed or self.file.complete

    def rows(self, chosen: Chosen) -> dict[str, Array]:
        lent = self.fill(chosen)
        file, batch = self.file, {}
        for number, name in enumerate(file.layout.names):
            rows = file.rows(number, chosen)
            if rows is None:
                raise DataError(_unequal(name, [file.layout.spec(int(i), number).shape for i in chosen]))
            for place in np.flatnonzero(np.isin(chosen, list(lent))) if lent else ():
                rows[place] = lent[int(chosen[place])][name]
            batch[name] = rows
        return batch

    def item(self, index: int) -> dict[str, Array]:
        lent = self.fill(np.array([index], dtype=np.int64))
        if lent:
            return dict(lent[index])
        layout = self.file.layout
        return {name: self.file.array(index, number) for number, name in enumerate(layout.names)}

    def fill(self, chosen: Chosen) -> dict[int, Item]:
        """Make the items that are not there yet; return those that could not be kept.

        Raises:
            BadItemError: The first that cannot be made; those before it are kept.
        """
        missing = self.missing(chosen)
        self.counters.add(Stats(hits=len(chosen) - len(missing)))
        lent = {}
        for index in missing.tolist():
            item = self._made(index)
            if not self._kept(index, item):
                lent[index] = item
        if len(missing):
            self._seal_if_complete()
        return lent

    def missing(self, chosen: Chosen) -> Chosen:
        """Return which of `chosen` are not there."""
        return np.unique(chosen[self.file.states[chosen] != FULL])

    def _made(self, index: int) -> Item:
        file, begin_s = self.file, time.perf_counter()
        try:
            item = decode(self.recipe, file.sources, index)
            self._refuse_unplanned(index, item)
        except BadItemError as error:
            if error.lasting and file.writable and file.states[index] == EMPTY:
                file.mark(index, REFUSED)
                self._seal_if_complete()
            raise
        self.counters.add(_miss(item, begin_s))
        return item

    def _kept(self, index: int, item: Item) -> bool:
        """Write the item; a cache that cannot be written costs time, never the run."""
        if not self.file.writable:
            return False
        try:
            self.file.write(index, item)
        except OSError as error:
            self._warn_once(error)
            return False
        return True

    def _warn_once(self, error: OSError) -> None:
        if not self._failed:
            log.warning("%s: cannot be written any more (%s); the run goes on.", self.shelf.folder, error)
        self._failed = True

    def _refuse_unplanned(self, index: int, item: Item) -> None:
        sample = self.file.sources.sample(index, root=self.recipe.root)
        if self.file.states[index] == REFUSED:
            raise BadItemError(
                f"{where(sample)}: could not be read when the cache was filled, and can be now. "
                f"Remove {self.shelf.folder / self.key}.* to fill it anew.",
                index=index,
            )
        try:
            self.file.refuse_other_form(index, item)
        except ValueError as error:
            raise BadItemError(f"{where(sample)}: {error}. Is the file damaged?", index=index) from None

    def _seal_if_complete(self) -> None:
        if self._sealed or not self.file.writable or not self.file.complete:
            return
        try:
            self._sealed = self.shelf.seal(self.file)
        except OSError as error:  # it serves this boot all the same
            self._warn_once(error)


def stacked(items: Sequence[Item]) -> dict[str, Array]:
    """Return the items as one batch.

    Raises:
        DataError: If shapes differ.
    """
    batch = {}
    for name in items[0] if items else ():
        shapes = [item[name].shape for item in items]
        if len(set(shapes)) > 1:
            raise DataError(_unequal(name, shapes))
        batch[name] = np.stack([item[name] for item in items])
    return batch


def _unequal(name: str, shapes: Sequence[tuple[int, ...]]) -> str:
    shown = ", ".join(map(str, sorted(set(shapes))[:5]))
    return f"{name!r} has different shapes in one batch: {shown}. {UNEQUAL}"


def _miss(item: Item, begin_s: float) -> Stats:
    nbytes = sum(array.nbytes for array in item.values())
    return Stats(misses=1, nbytes=nbytes, fill_s=time.perf_counter() - begin_s)
