"""Wrong pixels ranked by how wrong they were said to be: AUROC, AP, risk-coverage, AURC.

Pixels are counted in bins of the score's logit, 1/128 wide; those of one bin count as tied. Memory is
constant in the number of pixels, and tables of parts add up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pkgs.errormap.tally import Numbers
from pkgs.training.metrics.ranking import ranked

REACH: Final = 16.0
BINS: Final = 4096
POINTS: Final = 50
"""Coverages at which the risk is told."""


def _zeros() -> NDArray[np.int64]:
    return np.zeros(BINS, dtype=np.int64)


@dataclass(slots=True)
class RiskTable:
    """Per bin of the score's logit, lowest first: how many pixels, and how many of them are wrong."""

    count: NDArray[np.int64] = field(default_factory=_zeros)
    wrong: NDArray[np.int64] = field(default_factory=_zeros)

    def add(self, logit: Numbers, wrong: NDArray[np.bool_]) -> None:
        """Take up pixels: the logit of a score (higher: rather wrong), and whether they are wrong."""
        place = np.clip((logit + REACH) * (BINS / (2 * REACH)), 0, BINS - 1).astype(np.int64)
        self.count += np.bincount(place, minlength=BINS)
        self.wrong += np.bincount(place[wrong], minlength=BINS)

    def __add__(self, other: RiskTable) -> RiskTable:
        return RiskTable(self.count + other.count, self.wrong + other.wrong)

    def scores(self) -> dict[str, float]:
        """Return `auroc`, `ap`, `aurc`, and `aurc_excess` over the oracle: wrong pixels at the end."""
        excess = self.aurc() - oracle_aurc(self.error)
        return {**self._ranking(), "aurc": self.aurc(), "aurc_excess": excess}

    @property
    def error(self) -> float:
        """The share of wrong pixels."""
        total = int(self.count.sum())
        return float(self.wrong.sum()) / total if total else math.nan

    def aurc(self) -> float:
        r"""Return the mean risk over all coverages, NaN without pixels.

            AURC = 1/N integral_0^N errors(x) / x dx,    errors rising evenly within a bin

        Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206, for many pixels.
        """
        n, e = self._used()
        if not len(n):
            return math.nan
        before, errors = n.cumsum() - n, e.cumsum() - e
        rate = e / n
        level = errors - before * rate
        growth = np.log1p(n / np.where(before > 0, before, 1))
        return float((e + np.where(before > 0, level * growth, 0)).sum() / n.sum())

    def curve(self) -> list[tuple[float, float]]:
        """Return coverage and risk, the share of wrong ones among the pixels with the lowest scores."""
        n, e = self._used()
        if not len(n):
            return []
        covered = np.concatenate([[0.0], n.cumsum()]) / n.sum()
        errors = np.concatenate([[0.0], e.cumsum()]) / n.sum()
        at = np.arange(1, POINTS + 1) / POINTS
        return list(zip(at.tolist(), (np.interp(at, covered, errors) / at).tolist(), strict=True))

    def _ranking(self) -> dict[str, float]:
        right = self.count - self.wrong
        return ranked(self.wrong.tolist(), right.tolist())

    def _used(self) -> tuple[Numbers, Numbers]:
        used = self.count > 0
        return self.count[used].astype(np.float64), self.wrong[used].astype(np.float64)


def oracle_aurc(error: float) -> float:
    """Return e + (1 - e) log(1 - e), the AURC of a ranking without a fault; 0 if nothing is wrong."""
    return error + (1 - error) * math.log1p(-error) if error < 1 else 1.0


def oracle_curve(error: float) -> list[tuple[float, float]]:
    """Return coverage and risk of a ranking without a fault."""
    at = [k / POINTS for k in range(1, POINTS + 1)]
    return [(c, max(0.0, c - (1 - error)) / c) for c in at]


def pearson(x: Numbers, y: Numbers) -> float:
    """Return the correlation; NaN for less than two points, or where one side is constant."""
    if len(x) < 2:
        return math.nan
    dx, dy = x - x.mean(), y - y.mean()
    spread = math.sqrt(float(dx @ dx) * float(dy @ dy))
    return float(dx @ dy) / spread if spread > 0 and np.ptp(x) > 0 and np.ptp(y) > 0 else math.nan


def spearman(x: Numbers, y: Numbers) -> float:
    """Return the correlation of ranks; ties have their mean rank."""
    return pearson(_ranks(x), _ranks(y))


def _ranks(values: Numbers) -> Numbers:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    mean: Numbers = count.cumsum() - (count - 1) / 2
    return mean[place.ravel()]
