"""Statistics over seeds: mean, sd, t interval and test, effect size, exact sign-flip test, Holm's correction.

Numbers in, numbers out: nothing here knows what a run or a metric is. Resampling is in bootstrap.py.
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


def paired_t_p(differences: Sequence[float]) -> float:
    """Return the two-sided p of Student's paired t test; NaN for fewer than two or all equal differences."""
    summary = summarise(differences)
    if not summary.sd > 0 or all_equal(differences):
        return math.nan
    t = summary.mean / (summary.sd / math.sqrt(summary.n))
    return float(2 * stats.t.sf(abs(t), summary.n - 1))


def hedges_j(freedom: int) -> float:
    """Return Hedges' correction of a standardised mean for few values; 0 with one degree of freedom.

        J(m) = Gamma(m / 2) / (sqrt(m / 2) Gamma((m - 1) / 2)),    about 1 - 3 / (4 m - 1)

    Source: Hedges 1981, "Distribution theory for Glass's estimator of effect size", equation 6e.
    """
    if freedom < 2:
        return 0.0
    m = float(freedom)
    return math.exp(math.lgamma(m / 2) - math.lgamma((m - 1) / 2)) / math.sqrt(m / 2)


def effect_size(differences: Sequence[float]) -> float:
    """Return d_z times Hedges' J: the mean difference in units of the differences' sd, less its bias.

    NaN for fewer than two differences and for such that are all equal, whose sd is 0.
    """
    summary = summarise(differences)
    if summary.n < 2 or all_equal(differences):
        return math.nan
    return hedges_j(summary.n - 1) * summary.mean / summary.sd


def all_equal(values: Sequence[float]) -> bool:
    """Return whether `values` differ by no more than rounding; no interval can be drawn from such."""
    finite = [value for value in values if math.isfinite(value)]
    return not finite or max(finite) - min(finite) <= 1e-9 * max(map(abs, finite))


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values corrected for their number by Holm's method, in the given order.

    A comparison that was planned and cannot be made yet (NaN) keeps its place in the family as if its p were
    1, so that a study never gains by what it lacks; its own corrected p stays NaN.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    known = [1.0 if math.isnan(p) else p for p in ps]
    corrected, highest = [math.nan] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=known.__getitem__)):
        highest = max(highest, min(1.0, (len(ps) - rank) * known[place]))
        corrected[place] = math.nan if math.isnan(ps[place]) else highest
    return corrected


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
