"""Sums since the last line of train.csv. They stay on the device: adding costs no wait, reading does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

import torch
from torch import Tensor


@final
class Running:
    """Totals and weights by name, in double precision."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._sums: dict[tuple[str, ...], Tensor] = {}

    def add(self, names: tuple[str, ...], sums_N2: Tensor) -> None:
        """Add one sum and its weight per name."""
        known = self._sums.get(names)
        if known is None:
            self._sums[names] = sums_N2.clone()
        else:
            known.add_(sums_N2)

    def means(self) -> dict[str, float]:
        """Return total over weight by name; 0 where nothing had weight."""
        return {
            name: total / (weight or 1)
            for names, rows in self.state()
            for name, (total, weight) in zip(names, rows, strict=True)
        }

    def clear(self) -> None:
        self._sums.clear()

    def state(self) -> list[tuple[list[str], list[list[float]]]]:
        """Return what `load` takes back."""
        return [(list(names), sums_N2.tolist()) for names, sums_N2 in self._sums.items()]

    def load(self, state: Iterable[tuple[Sequence[str], Sequence[Sequence[float]]]]) -> None:
        self._sums = {
            tuple(names): torch.tensor(rows, dtype=torch.float64, device=self.device) for names, rows in state
        }
