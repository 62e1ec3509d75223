"""Temperature scaling: one number T that brings probabilities sigmoid(z / T) to what comes true on val.

    T = argmin mean BCE(sigmoid(z / T), y)

Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
"""

from __future__ import annotations

from typing import Final, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pkgs.data.items import IGNORE

Numbers = NDArray[np.float64]
REACH: Final = 32.0
"""Logits beyond are counted at the edge: sigmoid is 1e-14 there."""
BINS: Final = 8192
"""Of z: each 1/128 wide and represented by its mean."""
LIMITS: Final = (0.02, 50.0)
"""Of T; where labels are never or always right, T would leave every range."""


@final
class LogitSums:
    """Pixels by their logit: how many, sum of z, how many are foreground. Memory does not grow with them."""

    def __init__(self) -> None:
        self.count, self.z, self.y = (np.zeros(BINS) for _ in range(3))

    def add(self, logits_B1HW: Tensor, label_BHW: Tensor) -> None:
        """Take up the pixels whose label is not ignored."""
        seen = (label_BHW != IGNORE).cpu().numpy()
        z = logits_B1HW[:, 0].double().clamp(-REACH, REACH).cpu().numpy()[seen]
        y = (label_BHW == 1).cpu().numpy()[seen].astype(np.float64)
        place = np.minimum(((z + REACH) * (BINS / (2 * REACH))).astype(np.int64), BINS - 1)
        self.count += np.bincount(place, minlength=BINS)
        self.z += np.bincount(place, weights=z, minlength=BINS)
        self.y += np.bincount(place, weights=y, minlength=BINS)

    def temperature(self) -> float:
        """Return T within LIMITS; 1 where nothing was taken up.

        The loss is convex in 1 / T; its slope, sum (sigmoid(z / T) - y) z, is brought to 0 by bisection.
        """
        used = self.count > 0
        if not used.any():
            return 1.0
        n, mean_z, y = self.count[used], self.z[used] / self.count[used], self.y[used]
        low, high = 1 / LIMITS[1], 1 / LIMITS[0]
        for _ in range(80):
            middle = float(np.sqrt(low * high))
            rises = float(((n * _sigmoid(middle * mean_z) - y) * mean_z).sum()) > 0
            low, high = (low, middle) if rises else (middle, high)
        return 1 / float(np.sqrt(low * high))


def _sigmoid(z: Numbers) -> Numbers:
    return np.exp(-np.logaddexp(0, -z))
