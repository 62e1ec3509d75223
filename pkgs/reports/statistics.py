"""Statistics over seeds: mean, sd, t interval, paired differences, exact sign-flip test.

Numbers in, numbers out: nothing here knows what a run or a metric is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
MAX_SEEDS_EXACT = 40
"""Both halves of the sign-flip test hold 2**(n/2) sums; 2**20 numbers are 8 MB."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, both ends included."""

    low: float
    high: float

    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0

    def within(self, margin: float) -> bool:
        """Return whether the whole interval is closer to 0 than `margin`."""
        return -margin < self.low and self.high < margin


@dataclass(frozen=True, slots=True)
class Summary:
    """What some seeds measured."""

    n: int
    mean: float
    """NaN without values."""
    sd: float
    """With n - 1 in the denominator; NaN for fewer than two values."""
    interval: Interval | None
    """Student's t interval of the mean; None for fewer than two values."""


def summarise(values: Sequence[float]) -> Summary:
    """Summarise the finite ones among `values`; a diverged seed is for the caller to name."""
    finite = [value for value in values if math.isfinite(value)]
    n = len(finite)
    if n == 0:
        return Summary(n=0, mean=math.nan, sd=math.nan, interval=None)
    mean = math.fsum(finite) / n
    if n == 1:
        return Summary(n=1, mean=mean, sd=math.nan, interval=None)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in finite) / (n - 1))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * sd / math.sqrt(n)
    return Summary(n=n, mean=mean, sd=sd, interval=Interval(mean - reach, mean + reach))


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the exact two-sided p of the mean of `differences` over all 2**n choices of their signs.

    It asks: if the label "condition" or "base" were a coin toss in every seed, how often would the mean be at
    least this far from 0? NaN without differences, and for more than 40 of them.
    """
    n = len(differences)
    if n == 0 or n > MAX_SEEDS_EXACT:
        return math.nan
    sizes = np.abs(np.asarray(differences, dtype=np.float64))
    tolerance = 1e-9 * float(sizes.sum())  # sums that differ by rounding alone count as ties
    observed = abs(math.fsum(differences)) - tolerance
    left, right = _signed_sums(sizes[: n // 2]), np.sort(_signed_sums(sizes[n // 2 :]))
    above = right.size - np.searchsorted(right, observed - left, side="left")
    below = np.searchsorted(right, -observed - left, side="right")
    if observed <= 0:  # every sum is at least this far from 0; the two tails would overlap
        return 1.0
    return float((above.sum() + below.sum()) / 2.0**n)


def _signed_sums(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of `sizes` under all choices of signs."""
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate([sums + size, sums - size])
    return sums


def smallest_p(n: int) -> float:
    """Return the smallest p that the sign-flip test can give with `n` seeds: 2 of 2**n choices."""
    return min(1.0, 2.0 / 2.0**n)


def seeds_needed(p: float) -> int:
    """Return how many seeds the sign-flip test needs to be able to reach `p`."""
    return math.ceil(1 - math.log2(p))
