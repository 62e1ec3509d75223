"""Mode `device`: all items in one tensor per array on the device; batches are cut there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from pkgs.data.cache.recipe import BadItemError
from pkgs.data.cache.room import free_memory, readable
from pkgs.data.cache.stores import Chosen, Store
from pkgs.data.items import Array, DataError

CHUNK: Final = 64
"""Items that travel to the device at once."""
SHARE: Final = 0.5
"""Of the free memory at most so much is taken: network, gradients and activations come later."""


class DoesNotFitError(Exception):
    """Why the items cannot live on the device."""


@final
class Resident:
    """Items on a device: per array a table [N, bytes of an item], and an empty batch that tells the form."""

    def __init__(self, device: torch.device, count: int, *, first: dict[str, Array]) -> None:
        self.forms = {name: torch.from_numpy(rows[:0]) for name, rows in first.items()}
        widths = {name: rows[0].nbytes for name, rows in first.items()}
        needed, free = sum(widths.values()) * count, free_on(device)
        if needed > SHARE * free:
            raise DoesNotFitError(f"{readable(needed)} are needed, {readable(free)} are free on {device}")
        self.tables = {
            name: torch.empty((count, width), dtype=torch.uint8, device=device)
            for name, width in widths.items()
        }
        self.bad: set[int] = set()
        """Items without data; whoever asks for one gets its reason from the store."""

    def put(self, chosen: Chosen, rows: dict[str, Array]) -> None:
        for name, table in self.tables.items():
            if rows[name].shape[1:] != tuple(self.forms[name].shape[1:]):
                raise DoesNotFitError(f"{name!r} differs in shape between the samples")
            flat = torch.from_numpy(rows[name].reshape(len(chosen), -1).view(np.uint8))
            table[torch.from_numpy(chosen).to(table.device)] = flat.to(table.device)

    def gather(self, chosen: Chosen) -> dict[str, Tensor]:
        """Return fresh tensors [B, ...] on the device."""
        batch = {}
        for name, table in self.tables.items():
            form = self.forms[name]
            rows = table.index_select(0, torch.from_numpy(chosen).to(table.device))
            batch[name] = rows.view(form.dtype).reshape(len(chosen), *form.shape[1:])
        return batch


def make_resident(store: Store, *, device: torch.device, tick: Callable[[int, int], None]) -> Resident:
    """Copy all items to the device.

    Args:
        store: Where they come from; a packed file is filled on the way.
        device: Where to.
        tick: Called with how many are there, and of how many.

    Raises:
        DoesNotFitError: If shapes differ or memory is short.
    """
    count, bad = len(store.sources), set[int]()
    resident: Resident | None = None
    for start in range(0, count, CHUNK):
        chosen, rows = _good(store, np.arange(start, min(start + CHUNK, count)), bad)
        if len(chosen):
            resident = resident or Resident(device, count, first=rows)
            resident.put(chosen, rows)
        tick(min(start + CHUNK, count), count)
    if resident is None:
        raise DoesNotFitError("no sample can be read")
    resident.bad = bad
    return resident


def free_on(device: torch.device) -> int:
    """Return the bytes that are free on the device."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()


def _good(store: Store, chosen: Chosen, bad: set[int]) -> tuple[Chosen, dict[str, Array]]:
    while len(chosen):
        try:
            return chosen, store.rows(chosen)
        except BadItemError as error:
            bad.add(error.index)
            chosen = chosen[chosen != error.index]
        except DataError as error:
            raise DoesNotFitError(str(error)) from error
    return chosen, {}
