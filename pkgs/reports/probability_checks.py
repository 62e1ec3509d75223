"""Whether a probability of being noisy means what it says: Brier score, ECE, and the estimated share.

All three are sums over samples, so a resample of groups costs one product of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pkgs.reports.bootstrap import Numbers
from pkgs.reports.group_bootstrap import Estimate, GroupDraws
from pkgs.reports.prediction_tables import BINS


@dataclass(frozen=True)
class ProbabilityCheck:
    """Estimates over groups, and the bins they come from."""

    brier: Estimate
    ece: Estimate
    rate: Estimate
    """True share of noisy samples."""
    count_K: Numbers  # noqa: N815 - shape suffix
    mean_p_K: Numbers  # noqa: N815
    """NaN in empty bins."""
    share_K: Numbers  # noqa: N815
    """Of noisy samples; NaN in empty bins."""


def check_probability(
    p: Numbers, noisy: NDArray[np.bool_], *, group: NDArray[np.intp], draws: GroupDraws
) -> ProbabilityCheck:
    """Hold P(noisy) against the truth.

        Brier = mean (p - y)^2,    ECE = sum_k |sum_k p - sum_k y| / N,    bin k = min(floor(15 p), 14)

    Args:
        p: In [0, 1], [n].
        noisy: The truth, [n].
        group: Each one's group.
        draws: Copies of the groups.
    """
    y = noisy.astype(np.float64)
    bin_of = np.minimum((BINS * p).astype(np.intp), BINS - 1)
    table_GK3 = np.zeros((draws.groups, BINS, 3))
    for k, values in enumerate((np.ones_like(p), p, y)):
        np.add.at(table_GK3[:, :, k], (group, bin_of), values)
    squares_G = np.bincount(group, weights=(p - y) ** 2, minlength=draws.groups)
    weights = draws.weights_RG
    sums_RK3 = (weights @ table_GK3.reshape(draws.groups, -1)).reshape(-1, BINS, 3)
    total_R = sums_RK3[:, :, 0].sum(axis=1)
    gaps_R = np.abs(sums_RK3[:, :, 1] - sums_RK3[:, :, 2]).sum(axis=1)
    count, p_sum, y_sum = sums_RK3[0].T
    with np.errstate(invalid="ignore"):  # empty bins are NaN on purpose
        mean_p, share = p_sum / count, y_sum / count
    return ProbabilityCheck(
        brier=draws.estimate(weights @ squares_G / total_R),
        ece=draws.estimate(gaps_R / total_R),
        rate=draws.estimate(sums_RK3[:, :, 2].sum(axis=1) / total_R),
        count_K=count,
        mean_p_K=mean_p,
        share_K=share,
    )
