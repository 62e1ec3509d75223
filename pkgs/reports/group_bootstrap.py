"""The bootstrap over groups whose members are not independent, such as patches cut from one tile.

All statistics of a ranking use the same draws, so a difference of two is the difference within each draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pkgs.reports.bootstrap import SEED, Numbers
from pkgs.reports.metrics import span
from pkgs.reports.statistics import CONFIDENCE, Interval

RESAMPLES: Final = 2_000
FEWEST_RESAMPLES: Final = 200
MOST_COPIES: Final = 40_000_000
"""Members times resamples; beyond it there are fewer resamples, down to 200. Tau of 5,000 members then takes
about 0.2 ms a resample, of 100,000 about 8 ms."""
LEVEL: Final = 3
"""Of the random stream; 0 to 2 are those of bootstrap.py."""
MOST_LEFT_OUT: Final = 500
"""Parts of the jackknife: more groups than these are left out several at a time."""
MOST_UNDEFINED: Final = 0.1
"""Share of resamples that may have no value (no positive drawn, say); beyond it there is no interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic of the whole ranking with its 95 % intervals over groups."""

    value: float
    """NaN where it is not defined, such as tau of a constant score."""
    percentile: Interval | None = None
    """None for fewer than two groups, an undefined value, and many undefined resamples."""
    bca: Interval | None = None
    """None also where the bias correction is not finite: every resample on one side of the value."""

    def clear_sign(self) -> int:
        """Return +1 or -1 where both intervals exclude 0 on one side, else 0."""
        known = [one for one in (self.percentile, self.bca) if one is not None]
        if not known or not all(one.excludes_zero() for one in known):
            return 0
        return 1 if known[0].low > 0 else -1

    def text(self, digits: int = 2, *, signed: bool = False) -> str:
        return span(self.percentile, digits, signed=signed)


@dataclass(frozen=True)
class GroupDraws:
    """Copies of each group: all of them, then with some left out (jackknife), then drawn with replacement."""

    weights_RG: Numbers = field(repr=False)  # noqa: N815 - shape suffix
    """R = 1 + `left_out` + `resamples` rows of G groups."""
    left_out: int
    resamples: int

    @property
    def groups(self) -> int:
        return int(self.weights_RG.shape[1])

    def estimate(self, values_R: Numbers) -> Estimate:
        """Return value and intervals of a statistic that was computed for every row.

        BCa as in `bca_interval`, its acceleration from the jackknife over groups.

        Source: Efron 1987; groups as the units: Davison and Hinkley 1997, section 3.8.
        """
        value = float(values_R[0])
        known = values_R[1 + self.left_out :]
        known = known[np.isfinite(known)]
        if self.groups < 2 or not np.isfinite(value) or known.size < (1 - MOST_UNDEFINED) * self.resamples:
            return Estimate(value)
        low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return Estimate(value, Interval(float(low), float(high)), self._bca(value, known, values_R))

    def _bca(self, value: float, known: Numbers, values_R: Numbers) -> Interval | None:
        jackknife = values_R[1 : 1 + self.left_out]
        jackknife = jackknife[np.isfinite(jackknife)]
        tie = 1e-9 * max(1.0, abs(value))
        below = np.count_nonzero(known < value - tie) + np.count_nonzero(known <= value + tie)
        if below in (0, 2 * known.size) or jackknife.size < 2:
            return None
        influence = jackknife.mean() - jackknife
        scale = (influence**2).sum() ** 1.5
        acceleration = (influence**3).sum() / (6 * scale) if scale > 0 else 0.0
        z0 = stats.norm.ppf(below / (2 * known.size))
        reach = z0 + stats.norm.ppf([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        low, high = np.quantile(known, stats.norm.cdf(z0 + reach / (1 - acceleration * reach)))
        return Interval(float(low), float(high))


def draw_groups(members: NDArray[np.intp], *, groups: int, resamples: int | None = None) -> GroupDraws:
    """Draw `groups` groups with replacement, 2,000 times; fewer times where there are very many members.

    Args:
        members: Each member's group, 0 to groups - 1.
        groups: How many there are.
        resamples: How often; by default as many as `resamples_for` says.
    """
    times = resamples_for(members.size) if resamples is None else resamples
    left_out = min(groups, MOST_LEFT_OUT) if groups > 1 else 0
    without = np.ones((left_out, groups))
    if left_out:
        without[np.arange(groups) * left_out // groups, np.arange(groups)] = 0
    generator = np.random.default_rng(SEED + LEVEL)
    places = generator.integers(0, groups, (times, groups)) + groups * np.arange(times)[:, None]
    drawn = np.bincount(places.ravel(), minlength=groups * times).reshape(times, groups)
    return GroupDraws(np.concatenate([np.ones((1, groups)), without, drawn]), left_out, times)


def resamples_for(members: int) -> int:
    """Return how many resamples are affordable for so many members."""
    return max(FEWEST_RESAMPLES, min(RESAMPLES, MOST_COPIES // max(members, 1)))


def numbered(groups: Sequence[str]) -> tuple[NDArray[np.intp], int]:
    """Return each member's group as a number, in the order of their names, and how many groups there are."""
    names, places = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return places.astype(np.intp), len(names)
