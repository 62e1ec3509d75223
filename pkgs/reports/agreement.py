"""How well a score ranks what is true: Kendall's tau-b, Spearman's rho, AUROC, average precision, precision.

Each for every row of a bootstrap over groups at once (group_bootstrap.py). Numbers in, numbers out: nothing
here knows what a detector is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pkgs.reports.bootstrap import Numbers
from pkgs.reports.rank_kernels import agreement, separation

Places = NDArray[np.intp]


@dataclass(frozen=True)
class RankAgreement:
    """Per resample, [R]; NaN where either score is constant."""

    tau_R: Numbers  # noqa: N815 - shape suffix
    rho_R: Numbers  # noqa: N815


@dataclass(frozen=True)
class Separation:
    """Per resample, [R]; NaN where one of the two outcomes is absent."""

    auroc_R: Numbers  # noqa: N815
    ap_R: Numbers  # noqa: N815
    precision_RD: Numbers  # noqa: N815
    """At each asked depth."""


def rank_agreement(score: Numbers, truth: Numbers, *, group: Places, weights_RG: Numbers) -> RankAgreement:
    r"""Return tau-b and rho of `score` and `truth` for each row of copies per group.

        tau_b = (C - D) / sqrt((n0 - n1) (n0 - n2))

    C and D are concordant and discordant pairs, n0 all pairs, n1 and n2 those tied in the one and the other.
    rho is Pearson's correlation of the middle ranks.

    Args:
        score: Finite, [n].
        truth: Finite, [n].
        group: Each one's group, [n].
        weights_RG: Copies of each group, whole numbers.

    Source: Kendall 1945, "The treatment of ties in ranking problems"; Knight 1966 for O(n log n).
    """
    order, ends = _ordered(score)
    known, level = np.unique(truth, return_inverse=True)
    tau_R, rho_R = np.empty(len(weights_RG)), np.empty(len(weights_RG))
    agreement(ends, level[order].astype(np.intp), known.size, group[order], weights_RG, tau_R, rho_R)
    return RankAgreement(tau_R, rho_R)


def separate(
    score: Numbers,
    positive: NDArray[np.bool_],
    *,
    group: Places,
    weights_RG: Numbers,
    depths: Sequence[float] = (),
) -> Separation:
    """Return how well a high `score` marks `positive`, for each row of copies per group.

    AUROC is the chance that a positive scores above a negative, ties half; average precision is the mean
    precision at the places of the positives, in steps, ties together; precision at depth q is that of the
    ceil(q N) highest, where ties at the edge share its places evenly.
    """
    order, ends = _ordered(-score)
    rows = len(weights_RG)
    auroc_R, ap_R, precision_RD = np.empty(rows), np.empty(rows), np.full((rows, len(depths)), np.nan)
    wanted = np.asarray(depths, dtype=np.float64)
    hits = positive[order].astype(np.float64)
    separation(ends, hits, group[order], weights_RG, wanted, auroc_R, ap_R, precision_RD)
    return Separation(auroc_R, ap_R, precision_RD)


def tau_ceiling(truth: Numbers) -> float:
    """Return the largest tau-b that a score without ties can have: sqrt(1 - share of pairs tied in truth)."""
    _, counts = np.unique(truth, return_counts=True)
    n = truth.size
    if n < 2:
        return math.nan
    return math.sqrt(max(0.0, 1 - float((counts * (counts - 1)).sum()) / (n * (n - 1))))


def _ordered(score: Numbers) -> tuple[Places, Places]:
    """Return the places in rising order and where each group of ties ends in it."""
    order = np.argsort(score, kind="stable")
    values = score[order]
    return order, np.append(np.flatnonzero(values[1:] != values[:-1]) + 1, values.size).astype(np.intp)
