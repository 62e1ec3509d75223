"""The front of the data cache: open it, ask for batches, close it. All modes give the same bytes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pkgs.data.cache.blueprint import FULL
from pkgs.data.cache.config import Mode
from pkgs.data.cache.counters import Counters, Stats
from pkgs.data.cache.device import DoesNotFitError, Resident, make_resident
from pkgs.data.cache.filling import Tick, silent
from pkgs.data.cache.packed_file import digest_of, marks
from pkgs.data.cache.recipe import Recipe
from pkgs.data.cache.stores import Chosen, PackedStore, SourceStore
from pkgs.data.cache.texts import Texts
from pkgs.data.cache.windows import cut
from pkgs.data.items import Array, DataError, Header, Kind, Sample

log = logging.getLogger(__name__)
Indices = Sequence[int] | NDArray[np.int64]

WIDER: Final[Mapping[torch.dtype, torch.dtype]] = {
    torch.uint16: torch.int32, torch.uint32: torch.int64,
}  # fmt: skip
"""torch can neither add nor index these; the file keeps them as they are."""


@final
class Cache:
    """Samples by number, as batches. Pickles as a path; a copy in another process opens it at first use."""

    def __init__(
        self, store: PackedStore | SourceStore, *, mode: Mode, recipe: Recipe, counters: Counters
    ) -> None:
        self.store, self.recipe, self.counters = store, recipe, counters
        self.mode: Mode = mode
        """The mode in force, which may be another than the one asked for."""
        self._resident: Resident | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_resident": None}  # what lies on the device stays with its process

    def __len__(self) -> int:
        return len(self.store.sources)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def ids(self) -> Texts:
        return self.store.sources.ids

    @property
    def groups(self) -> Texts:
        """What no split may part: source, patient, volume."""
        return self.store.sources.groups

    @property
    def complete(self) -> bool:
        """Whether nothing is left to decode."""
        return self._resident is not None or (isinstance(self.store, PackedStore) and self.store.complete)

    @property
    def resident(self) -> bool:
        """Whether batches are cut on the device."""
        return self._resident is not None

    def missing(self, indices: Indices) -> int:
        """Return how many of the items are yet to be decoded."""
        if self._resident is not None:
            return 0
        return (
            len(self.store.missing(self._checked(indices)))
            if isinstance(self.store, PackedStore)
            else len(indices)
        )

    def sample(self, index: int) -> Sample:
        """Return who item `index` is, and its files."""
        return self.store.sources.sample(index, root=self.recipe.root)

    def header(self, index: int) -> Header:
        """Return kinds, dtypes, shapes, spacing and affine of item `index`, after the preparations."""
        return self.recipe.plan(self.sample(index))

    def gather(self, indices: Indices) -> dict[str, Tensor]:
        """Return the items at `indices` as fresh tensors [B, ...] by array name, in the dtype of the file.

        uint16 and uint32 come as int32 and int64. In mode `device` the tensors lie there.

        Raises:
            BadItemError: The first item that cannot be used, with its number.
            DataError: If shapes differ within the batch; the message names the remedy.
        """
        chosen = self._checked(indices)
        if self._resident is None:
            return to_tensors(self.store.rows(chosen))
        for index in self._resident.bad.intersection(chosen.tolist()):
            self.store.item(index)  # raises its reason
        self.counters.add(Stats(hits=len(chosen)))
        return {name: _usable(rows) for name, rows in self._resident.gather(chosen).items()}

    def windows(
        self, indices: Indices, *, corners_BD: NDArray[np.int64], size: tuple[int, ...]
    ) -> dict[str, Tensor]:
        """Return one window per index, without a copy of the rest of its item: patches of large volumes.

        Args:
            indices: B items.
            corners_BD: First voxel along each of the last D axes.
            size: Voxels along these axes. A `vector` comes whole.

        Raises:
            BadItemError: The first item that cannot be used.
            DataError: If a window leaves its item.
        """
        chosen = self._checked(indices)
        items = [self.store.item(int(index)) for index in chosen]
        return to_tensors(cut(items, kinds=self._kinds(), corners_BD=corners_BD, size=size))

    def item(self, index: int) -> dict[str, Array]:
        """Return copies of the arrays of one item, whatever its shape.

        Raises:
            BadItemError: If it cannot be used.
        """
        return {
            name: np.array(array) for name, array in self.store.item(int(self._checked([index])[0])).items()
        }

    def digests(self, indices: Indices, *, name: str = "image") -> list[str]:
        """Return 16 hex digits per item that depend on dtype, shape and all values of one array.

        Taken when an item is made, so they cost nothing later. Equal ones in two parts of a split are a leak.
        """
        chosen = self._checked(indices)
        if not isinstance(self.store, PackedStore):
            return [digest_of(self.store.item(int(index))[name]).hex() for index in chosen]
        number = self._kept(chosen, name)
        return [self.store.file.digests[index, number].tobytes().hex() for index in chosen]

    def foreground(self, indices: Indices, *, name: str = "label") -> float:
        """Return the share of pixels above 0 among those that are not ignored; 0 where none is judged."""
        chosen = self._checked(indices)
        if isinstance(self.store, PackedStore):
            number = self._kept(chosen, name)
            marked, judged = self.store.file.marked[chosen, number].sum(axis=0).tolist()
        else:
            pairs = [marks(self.store.item(int(index))[name]) for index in chosen]
            marked, judged = (sum(column) for column in zip(*pairs, strict=True))
        return marked / judged if judged else 0.0

    def verify(self) -> list[str]:
        """Return the ids of all items whose kept bytes are not those that were written; reads everything."""
        if not isinstance(self.store, PackedStore):
            return []
        return [self.ids[index] for index in self.store.file.damaged()]

    def stats(self) -> Stats:
        """Return hits, misses, bytes and seconds of decoding, of all processes that have a copy."""
        return self.counters.total()

    def move_to(self, device: torch.device, *, tick: Tick = silent) -> None:
        """Keep all items on `device` from now on; a warning where they do not fit."""
        try:
            self._resident = make_resident(self.store, device=device, tick=tick)
            self.mode = "device"
        except DoesNotFitError as error:
            log.warning("cache.mode device: %s. The mode is %s instead.", error, self.mode)

    def close(self) -> None:
        """Log what it was good for, and let go of file and lock."""
        if self.counters.folder.exists():
            log.info("%s", self.stats().line())
        self.counters.close()
        self._resident = None
        if isinstance(self.store, PackedStore):
            self.store.release()

    def _kinds(self) -> dict[str, Kind]:
        if isinstance(self.store, PackedStore):
            layout = self.store.file.layout
            return dict(zip(layout.names, layout.kinds, strict=True))
        return {name: spec.kind for name, spec in self.header(0).arrays.items()}

    def _kept(self, chosen: Chosen, name: str) -> int:
        """Make sure that the items are in the packed file; return the number of the array."""
        assert isinstance(self.store, PackedStore)
        file = self.store.file
        if name not in file.layout.names:
            raise DataError(f"No array {name!r}; the samples hold {', '.join(file.layout.names)}.")
        self.store.fill(chosen)
        if not (file.states[chosen] == FULL).all():
            raise DataError(f"{self.store.shelf.folder}: the cache cannot be written; use mode disk.")
        return file.layout.names.index(name)

    def _checked(self, indices: Indices) -> Chosen:
        chosen = np.asarray(indices, dtype=np.int64)
        if chosen.ndim != 1 or not len(chosen):
            raise IndexError(f"Expected a list of at least one number of a sample, got {indices!r}.")
        wrong = chosen[(chosen < 0) | (chosen >= len(self))]
        if len(wrong):
            raise IndexError(f"No sample {wrong[0]}; they are numbered from 0 to {len(self) - 1}.")
        return chosen


def to_tensors(rows: Mapping[str, Array]) -> dict[str, Tensor]:
    """Return the arrays as tensors over the same memory, uint16 and uint32 as copies of a wider type."""
    return {name: _usable(torch.from_numpy(array)) for name, array in rows.items()}


def _usable(tensor: Tensor) -> Tensor:
    return tensor.to(WIDER[tensor.dtype]) if tensor.dtype in WIDER else tensor
