"""Named random numbers of a batch of draws: uniform, log-uniform, normal, yes or no."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.draws import uniforms
from pkgs.foundation.seeds import Purpose, derive

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Range = tuple[float, float]

_POSITIVE_63_BITS: Final = 2**63 - 1  # so that a seed fits int64, which safetensors and generators take


@dataclass(frozen=True, slots=True)
class Stream:
    """The draws `first` .. `first + batch - 1` of a run; a number is named by what it is for."""

    seed: int
    purpose: Purpose
    first: int
    batch: int
    prefix: str = ""
    """Tells apart two transforms of one kind within one purpose."""

    def unit(self, name: str, *, width: int = 1) -> Numbers:
        """Return numbers in [0, 1), shape [B, width]."""
        return uniforms(
            self.seed,
            self.purpose,
            first=self.first,
            batch=self.batch,
            name=self.prefix + name,
            width=width,
        )

    def between(self, name: str, limits: Range) -> Numbers:
        """Return numbers spread evenly between the limits, shape [B]."""
        low, high = limits
        if low == high:
            return np.full(self.batch, low)
        return low + (high - low) * self.unit(name)[:, 0]

    def log_between(self, name: str, limits: Range) -> Numbers:
        """Return numbers whose logarithm is spread evenly: as often x as 1/x where the limits are so."""
        return np.exp(self.between(name, (math.log(limits[0]), math.log(limits[1]))))

    def chance(self, name: str, probability: float) -> Flags:
        """Return True with the probability, shape [B]."""
        if probability in (0.0, 1.0):
            return np.full(self.batch, bool(probability))
        return self.unit(name)[:, 0] < probability

    def whole(self, name: str, count: int) -> NDArray[np.int64]:
        """Return one of 0 .. count-1 each, equally likely, shape [B]."""
        if count == 1:
            return np.zeros(self.batch, dtype=np.int64)
        return np.floor(self.unit(name)[:, 0] * count).astype(np.int64)

    def normal(self, name: str, *, width: int = 1) -> Numbers:
        """Return standard normal numbers, shape [B, width] (Box and Muller 1958)."""
        pairs = self.unit(name, width=2 * width)
        radius = np.sqrt(-2 * np.log1p(-pairs[:, :width]))  # 1 - u lies in (0, 1], so the logarithm exists
        return np.asarray(radius * np.cos(2 * np.pi * pairs[:, width:]))

    def seeds(self, name: str) -> NDArray[np.int64]:
        """Return a seed per draw for numbers by the pixel, shape [B]."""
        draws = range(self.first, self.first + self.batch)
        words = [
            derive(self.seed, self.purpose, self.prefix + name, draw) & _POSITIVE_63_BITS for draw in draws
        ]
        return np.array(words, dtype=np.int64)
