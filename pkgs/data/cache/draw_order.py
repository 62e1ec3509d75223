"""The order of a whole run as one sequence, each epoch's part made once."""

from __future__ import annotations

from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.draws import order

KEPT_ORDERS: Final = 2
"""Epochs whose order is remembered: a batch may reach into the next one. 1.3 million indices take 0.3 s."""
Chosen = NDArray[np.int64]


@final
class DrawOrder:
    """The entries of all epochs, one behind the other; the order of an epoch is made once."""

    def __init__(self, seed: int, *, count: int) -> None:
        self.seed, self.count = seed, count
        self._orders: dict[int, Chosen] = {}

    def __getitem__(self, draws: range) -> Chosen:
        """Return the entries of neighbouring draws."""
        parts, start = [], draws.start
        while start < draws.stop:
            epoch, entry = divmod(start, self.count)
            part = self._epoch(epoch)[entry : entry + draws.stop - start]
            parts.append(part)
            start += len(part)
        return np.concatenate(parts)

    def _epoch(self, epoch: int) -> Chosen:
        known = self._orders.get(epoch)
        if known is None:
            known = order(self.seed, epoch, count=self.count)
            kept = sorted({*self._orders, epoch})[-KEPT_ORDERS:]
            self._orders = {e: self._orders.get(e, known) for e in kept}  # replaced whole: threads read it
        return known
