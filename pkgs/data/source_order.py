"""The order of samples from several data sets in one run: all mixed, or one after the other.

Two views of an image are no order of their own: the same key is transformed twice, with the purposes
`VIEW_1` and `VIEW_2`, and the image is cached once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pkgs.data.draws import order
from pkgs.foundation.seeds import Purpose, derive


@dataclass(frozen=True, slots=True)
class SourceKeys:
    """Source and sample of each draw."""

    source: NDArray[np.int64]
    index: NDArray[np.int64]
    """Within the source."""

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class SourceOrder:
    """Keys as a pure function of the range of draws.

    `mixed`: an epoch is a permutation of the union. `sequential`: each source has `epochs` of its own, then
    comes the next; the last one goes on for ever. For one source both are the plain order.
    """

    counts: tuple[int, ...]
    """Samples of each source."""
    seed: int
    mode: Literal["mixed", "sequential"] = "mixed"
    epochs: tuple[int, ...] = ()
    """Of each source; `sequential` needs all of them."""

    def __post_init__(self) -> None:
        if not self.counts or min(self.counts) < 1:
            raise ValueError(f"Sources of {list(self.counts)} samples: expected at least one sample in each.")
        if self.mode == "sequential" and (len(self.epochs) != len(self.counts) or min(self.epochs) < 1):
            raise ValueError(
                f"epochs {list(self.epochs)}: expected one number of at least 1 for each of the "
                f"{len(self.counts)} sources that follow each other."
            )

    @property
    def samples(self) -> int:
        """Draws of one epoch if mixed, of the whole plan if sequential."""
        if self.mode == "mixed":
            return sum(self.counts)
        return sum(count * epochs for count, epochs in zip(self.counts, self.epochs, strict=True))

    def keys(self, draws: range) -> SourceKeys:
        """Return what the draws see; a sub-range gives the same keys as the whole."""
        numbers = np.arange(draws.start, draws.stop, dtype=np.int64)
        if self.mode == "mixed":
            counts = np.array(self.counts, dtype=np.int64)
            ends = np.cumsum(counts)
            place = _shuffled(self.seed, numbers, count=int(ends[-1]))
            source = np.searchsorted(ends, place, side="right")
            return SourceKeys(source, place - (ends - counts)[source])
        lengths = np.array(self.counts) * np.array(self.epochs)
        ends = np.cumsum(lengths)
        source = np.minimum(np.searchsorted(ends, numbers, side="right"), len(ends) - 1)
        within = numbers - (ends - lengths)[source]
        index = np.zeros_like(numbers)
        for one in np.unique(source):
            rows = source == one
            # A seed of its own: else two sources would share one permutation as far as the shorter one goes.
            seed = derive(self.seed, Purpose.ORDER, "source", int(one))
            index[rows] = _shuffled(seed, within[rows], count=self.counts[one])
        return SourceKeys(source, index)


def _shuffled(seed: int, numbers: NDArray[np.int64], *, count: int) -> NDArray[np.int64]:
    """Return entry `number % count` of the order of epoch `number // count`."""
    shuffled = np.zeros_like(numbers)
    for epoch in np.unique(numbers // count):
        rows = numbers // count == epoch
        shuffled[rows] = order(seed, int(epoch), count=count)[numbers[rows] % count]
    return shuffled
