"""Who predicts errors: the teacher, the student's own confidence, both together, and the best constants.

The last two are fitted on val, in one pass, in memory that does not grow with the number of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pkgs.errormap.asking import EDGE, Answer
from pkgs.errormap.tally import Numbers, sigmoid, tally
from pkgs.losses.error_map import CLIP, LARGEST

CONSTANTS: Final = ("constant_mean", "constant_median")
RANKED: Final = ("teacher", "own_confidence", "combined")
CELL: Final = 0.125
"""Width of the cells of both logits."""
TEACHER_REACH: Final = 16.0
OWN_REACH: Final = 14.0
ROWS, COLUMNS = int(2 * TEACHER_REACH / CELL), int(OWN_REACH / CELL)
SHARE_BINS: Final = 4096
RIDGE: Final = 1e-7
"""Per pixel: holds weights that nothing decides, for instance where masks are hard."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What val says: weights of the logistic regression, and the constants."""

    weights: Numbers
    """Of the teacher's logit, the own one, and 1."""
    mean: float
    median: float


class ValSums:
    """Sums over val: wrong pixels by both logits, and pixels by their real share."""

    def __init__(self) -> None:
        self.cells = np.zeros((4, ROWS * COLUMNS))
        """Pixels, wrong ones, sum of the teacher's logit, sum of the own one."""
        self.shares = np.zeros((2, SHARE_BINS))
        """Pixels, and sum of t."""

    def add(self, answer: Answer) -> None:
        """Take up a batch."""
        teacher, own, wrong, share = pixels_of(answer)
        teacher = np.clip(teacher, -TEACHER_REACH, TEACHER_REACH)
        row = np.clip((teacher + TEACHER_REACH) / CELL, 0, ROWS - 1).astype(np.int64)
        column = np.clip((own + OWN_REACH) / CELL, 0, COLUMNS - 1).astype(np.int64)
        place = row * COLUMNS + column
        tally(self.cells, place, wrong.astype(np.float64), teacher, own)
        bin_ = np.minimum((share * SHARE_BINS).astype(np.int64), SHARE_BINS - 1)
        tally(self.shares, bin_, share)

    def fit(self) -> Fitted:
        """Return what follows.

        Raises:
            ValueError: If no pixel was taken up.
        """
        count, share = self.shares
        if not count.sum():
            raise ValueError("There is no pixel to fit on. Is val empty, or ignored as a whole?")
        middle = int(np.searchsorted(count.cumsum(), count.sum() / 2))
        used = self.cells[0] > 0
        n, wrong, teacher, own = self.cells[:, used]
        features = np.stack([teacher / n, own / n, np.ones_like(n)])
        return Fitted(
            weights=logistic(features, wrong / n, n / n.sum()),
            mean=float(share.sum() / count.sum()),
            median=float(share[middle] / count[middle]),
        )


def logistic(features_KN: Numbers, chance_N: Numbers, weight_N: Numbers) -> Numbers:
    """Return the weights w [K] of the logistic regression sigmoid(w f) by Newton's steps, halved if need be.

    Args:
        features_KN: One column per group of pixels.
        chance_N: Share of the group that is 1.
        weight_N: Size of the group; all sum to 1.
    """
    w = np.zeros(len(features_KN))
    for _ in range(100):
        p = sigmoid(w @ features_KN)
        gradient = features_KN @ (weight_N * (p - chance_N)) + RIDGE * w
        curvature = (features_KN * (weight_N * p * (1 - p))) @ features_KN.T + RIDGE * np.eye(len(w))
        step, here = np.linalg.solve(curvature, gradient), _nll(w, features_KN, chance_N, weight_N)
        while _nll(w - step, features_KN, chance_N, weight_N) > here and np.abs(step).max() > 1e-12:
            step = step / 2
        w = w - step
        if np.abs(step).max() < 1e-9:
            break
    return w


def pixels_of(answer: Answer) -> tuple[Numbers, Numbers, NDArray[np.bool_], Numbers]:
    """Return of the seen pixels the teacher's logit, that of min(p, 1 - p), whether wrong, the real share."""
    seen = answer.seen
    p = answer.mask[seen].double().numpy()
    return (
        answer.logit[seen].double().numpy(),
        own_logit(p),
        answer.wrong[seen].numpy(),
        answer.share[seen].double().numpy(),
    )


def own_logit(p: Numbers) -> Numbers:
    """Return the logit of min(p, 1 - p), held above that of 1e-6."""
    least = np.clip(np.minimum(p, 1 - p), EDGE, 0.5)
    logit: Numbers = np.log(least) - np.log1p(-least)
    return logit


def implied_share(p: Numbers, chance: Numbers) -> Numbers:
    """Return the share t to be expected of a mask p that is on the wrong side with this chance.

    So predictors of chances stand on the teacher's scale; min(p, 1 - p) gives the entropy of p.
    """
    sure = np.clip(np.maximum(p, 1 - p), CLIP, 1 - CLIP)
    share: Numbers = -((1 - chance) * np.log(sure) + chance * np.log(1 - sure)) / LARGEST
    return share


def _nll(w: Numbers, features_KN: Numbers, chance_N: Numbers, weight_N: Numbers) -> float:
    u = w @ features_KN
    return float(weight_N @ (np.logaddexp(0, u) - u * chance_N)) + RIDGE / 2 * float(w @ w)
