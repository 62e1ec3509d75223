"""Mean and spread of each channel over many images, exact whatever their order. Loads no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from pkgs.data.items import Array, DataError, Reader, Sample


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and standard deviation (of the population) of each channel, in the unit of the stored values."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, *images: Array) -> Statistics:
        """Return the statistics over all pixels of images [C, H, W] of whole numbers."""
        sums = Sums()
        for image in images:
            sums.add(image)
        return sums.result()


class Sums:
    """Counts, sums and sums of squares per channel, in Python's whole numbers: no order, no rounding."""

    def __init__(self) -> None:
        self.pixels = 0
        self.totals: list[int] = []
        self.squares: list[int] = []

    def add(self, image: Array) -> None:
        """Count `image` [C, H, W].

        Raises:
            DataError: If it is not of whole numbers, or has another number of channels than those before.
        """
        if image.dtype.kind not in "ui":
            raise DataError(
                f"Statistics of {image.dtype}; expected the stored whole numbers (uint8, uint16, int16)."
            )
        self.totals = self.totals or [0] * len(image)
        self.squares = self.squares or [0] * len(image)
        if len(image) != len(self.totals):
            raise DataError(f"An image of {len(image)} channels among images of {len(self.totals)}.")
        wide = image.reshape(len(image), -1).astype(np.int64)
        self.pixels += wide.shape[1]
        for channel, values in enumerate(wide):
            self.totals[channel] += int(values.sum())
            self.squares[channel] += int((values * values).sum())

    def result(self) -> Statistics:
        """Return mean and standard deviation.

        Raises:
            DataError: If nothing was counted.
        """
        if not self.pixels:
            raise DataError("Statistics of no image; the training part is empty.")
        n = self.pixels
        spread = [n * square - total * total for total, square in zip(self.totals, self.squares, strict=True)]
        return Statistics(
            mean=tuple(total / n for total in self.totals),
            std=tuple(math.sqrt(value) / n for value in spread),
        )


def channel_statistics(
    reader: Reader, samples: Iterable[Sample], *, tick: Callable[[], None] = lambda: None
) -> Statistics:
    """Return the statistics over all pixels of the samples' `image`, each as it is stored.

    Args:
        reader: Of the data set.
        samples: The training part; val and test must not be known.
        tick: Called after each image, for a heartbeat.
    """
    sums = Sums()
    for sample in samples:
        sums.add(reader.read(sample)["image"])
        tick()
    return sums.result()
