"""Two numbers that bring a teacher's scale to a student's errors: a, b in r = sigmoid(a u + b).

Falsified masks err more than students do. The fit keeps the order of pixels (a > 0), so AUROC stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from pkgs.data.samples import Part
from pkgs.errormap.asking import MaskOf, answers
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.tally import Numbers, sigmoid, tally
from pkgs.models.error_teacher import ErrorTeacher

REACH: Final = 24.0
"""Logits beyond are counted at the edge: sigmoid is 4e-11 there."""
BINS: Final = 6144
"""Of u: each 1/128 wide and represented by its mean."""
LEAST_SLOPE: Final = 1e-3
"""A fit that would turn the order round is held here: the teacher says nothing, b says the mean."""
RIDGE: Final = 1e-9
"""Per pixel, towards a = 1: decides where all u are equal."""
TURNS: Final = 100


@dataclass(frozen=True, slots=True)
class Recalibration:
    """What was fitted, and what it changed."""

    slope: float
    offset: float
    bce_before: float
    """Mean cross-entropy of r against t on the masks of the fit."""
    bce_after: float


class LogitSums:
    """Pixels by their logit: how many, sum of u, sum of t. Memory is constant in the number of pixels."""

    def __init__(self) -> None:
        self.table = np.zeros((3, BINS))
        """Pixels, sum of u, sum of t."""

    def add(self, u: Numbers, t: Numbers) -> None:
        """Take up pixels."""
        held = np.clip(u, -REACH, REACH)
        place = np.minimum(((held + REACH) * (BINS / (2 * REACH))).astype(np.int64), BINS - 1)
        tally(self.table, place, held, t)

    def fit(self) -> Recalibration:
        """Return the a > 0 and b of the lowest mean cross-entropy.

        Raises:
            ValueError: If no pixel was taken up.
        """
        n, u, t = self.table[:, self.table[0] > 0]
        if not len(n):
            raise ValueError("There is no pixel to recalibrate on. Is val empty, or ignored as a whole?")
        u, t, n = u / n, t / n, n / n.sum()
        slope, offset = _newton(u, t, n)
        before, after = _bce(u, t, n), _bce(slope * u + offset, t, n)
        return Recalibration(slope, offset, before, after)


def recalibrate(
    teacher: ErrorTeacher,
    *,
    masks: Mapping[str, MaskOf],
    val: Part,
    batch: int = 16,
    check: Callable[[], None] = lambda: None,
) -> Recalibration:
    """Fit a and b on val and write them into `teacher.slope` and `teacher.offset`; save it afterwards.

    An earlier recalibration is taken back first, so doing it twice is doing it once.

    Args:
        teacher: Keeps its weights.
        masks: Those of the student, for instance `{"soft": p_of, "hard": hard_of}`; all count alike.
        val: Images that trained nobody.
        batch: Images at once.
        check: Called before each batch.

    Raises:
        ValueError: If val has no pixel.
    """
    teacher.slope.fill_(1.0)
    teacher.offset.fill_(0.0)
    sums = LogitSums()
    for _, answer in answers(teacher, val, masks, batch=batch, check=check, compat=CompatConfig()):
        seen = answer.seen
        sums.add(answer.logit[seen].double().numpy(), answer.share[seen].double().numpy())
    fitted = sums.fit()
    teacher.slope.fill_(fitted.slope)
    teacher.offset.fill_(fitted.offset)
    return fitted


def _newton(u: Numbers, t: Numbers, n: Numbers) -> tuple[float, float]:
    """Minimise the mean cross-entropy, which is convex, by Newton's steps, halved while they do not help."""
    theta = np.array([1.0, 0.0])
    features = np.stack([u, np.ones_like(u)])
    for _ in range(TURNS):
        r = sigmoid(theta @ features)
        gradient = features @ (n * (r - t)) + RIDGE * (theta - [1.0, 0.0]) * [1.0, 0.0]
        curvature = (features * (n * r * (1 - r))) @ features.T + np.diag([RIDGE, 1e-15])
        step = np.asarray(np.linalg.solve(curvature, gradient), dtype=np.float64)
        theta = _shortened(theta, step, u, t, n)
        if float(np.abs(step).max()) < 1e-10:
            break
    if theta[0] >= LEAST_SLOPE:
        return float(theta[0]), float(theta[1])
    return LEAST_SLOPE, _offset(LEAST_SLOPE * u, t, n)


def _shortened(theta: Numbers, step: Numbers, u: Numbers, t: Numbers, n: Numbers) -> Numbers:
    """Return the next point: the whole step, or the first of its halves that is no worse."""
    here = _bce(theta[0] * u + theta[1], t, n)
    for _ in range(30):
        there = theta - step
        if _bce(there[0] * u + there[1], t, n) <= here:
            return there
        step = step / 2
    return theta


def _offset(u: Numbers, t: Numbers, n: Numbers) -> float:
    """Return the b at which mean r is mean t, by bisection: r rises with b."""
    low, high, mean = -2 * REACH, 2 * REACH, float(n @ t)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if float(n @ sigmoid(u + middle)) < mean else (low, middle)
    return (low + high) / 2


def _bce(u: Numbers, t: Numbers, n: Numbers) -> float:
    return float(n @ (np.logaddexp(0, u) - u * t))
