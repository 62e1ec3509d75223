"""From scores to P(noisy), a cut and the noise rate, without any truth.

Noise is injected into the cleanest labels and these are scored again while all predictions stay; a logistic
curve tells the two apart; how many patches of the set lie on its noisy side, EM finds out. Pure numpy.

The cleanest by score are no fair sample of the clean: their scores are cut off above, so that a clean label
of a hard patch would look noisy. Hence they are taken at each level of the network's doubt, and the curve is
fitted twice: the second time every patch stands on the clean side, as much as the first curve says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.object_noise import corrupt_objects
from pkgs.foundation.seeds import Purpose, derive
from pkgs.noise import scores
from pkgs.noise.scores import COMBINED, Labels, Scores, Shares

Places = NDArray[np.int64]

CLEANEST: Final = 0.3
"""Share of the patches whose labels are taken for clean."""
STRATA: Final = 5
"""Levels of doubt, of equally many patches."""
COPIES: Final = 4
"""How often noise is injected into each of them."""
RATES: Final = (0.2, 1.0)
"""Chance of an object to be hit; drawn per copy, as in the training of error teachers."""
RIDGE: Final = 1e-4
"""Penalty on the squared slopes: where injected noise is told apart without error the curve would be a step
at no place in particular."""
FITS: Final = 2
"""With the penalty chosen on simulated sets: one fit calls too many noisy, three too few. Networks that are
much weaker than those want three."""
CUT: Final = 0.5
RESAMPLES: Final = 2000
LEVEL: Final = 0.95
BINS: Final = 256
"""Of log odds, for the resamples."""
LIMIT: Final = 30.0
"""Log odds beyond which a patch is as sure as it gets."""
ASSUMPTION: Final = (
    "Assumed: wrong labels differ from right ones as labels do into which object noise was injected (objects "
    "missing, shifted, turned, resized, invented), and the cleanest 30 % of the labels at each level of "
    "doubt are right. Noise that all labels share is not seen."
)


@dataclass(frozen=True, slots=True)
class Curve:
    """A logistic curve: log odds = offset + slopes . scores, at equally many clean and noisy."""

    names: tuple[str, ...]
    offset: float
    slopes: tuple[float, ...]

    def log_odds(self, columns: Mapping[str, Scores]) -> Scores:
        """Return the log odds of noisy against clean, within [-30, 30], at a prior of one half."""
        odds = self.offset + _matrix(columns, self.names) @ np.array(self.slopes)
        return np.asarray(np.clip(odds, -LIMIT, LIMIT))


@dataclass(frozen=True, slots=True)
class NoiseRate:
    """What the cut says of a set."""

    p_noisy: Scores
    """P(noisy) of each patch."""
    estimate: float
    """Share of noisy patches."""
    interval: tuple[float, float]
    """95 %, percentiles over resampled groups; the curve is not fitted anew."""

    @property
    def noisy(self) -> NDArray[np.bool_]:
        """Who is cut: P(noisy) at least one half."""
        return np.asarray(self.p_noisy >= CUT)


def doubt(probability_NHW: Shares) -> Scores:
    """Return the mean of P (1 - P) per patch: how unsure the network is, whatever the label."""
    return np.asarray((probability_NHW * (1 - probability_NHW)).mean(axis=(1, 2), dtype=np.float64))


def cleanest(score: Scores, doubts: Scores) -> Places:
    """Return the places of the cleanest 30 % of each fifth of the patches by doubt, in rising order.

    Ties go to the patch that comes first.
    """
    by_doubt = np.argsort(doubts, kind="stable")
    chosen = []
    for stratum in np.array_split(by_doubt, min(STRATA, max(1, len(score) // 4))):
        members = np.sort(stratum)
        count = max(1, round(CLEANEST * len(members)))
        chosen.append(members[np.argsort(score[members], kind="stable")[:count]])
    return np.sort(np.concatenate(chosen))


def injected(label_NHW: Labels, names: Sequence[str], *, copy: int) -> Labels:
    """Return the labels with object noise, drawn by the name of the patch and the number of the copy."""
    noisy = np.empty_like(label_NHW)
    for place, name in enumerate(names):
        rng = np.random.default_rng(derive(0, Purpose.CORRUPT, "cut", name, copy))
        noisy[place] = corrupt_objects(label_NHW[place], rng, rate=rng.uniform(*RATES))
    return noisy


def still_implied(label_NHW: Labels, changed_NHW: Labels, wrong_NHW: Shares) -> Shares:
    """Return r for a changed label, where what the error teacher takes for true stays.

    r' = r where the label is as it was, 1 - r where it was turned round.
    """
    return np.where(label_NHW == changed_NHW, wrong_NHW, 1 - wrong_NHW)


def fit(columns: Mapping[str, Scores], *, clean: Places, noisy: Mapping[str, Scores]) -> Curve:
    """Fit the curve `FITS` times: of the cleanest patches, then of all, each as clean as the last curve says.

    Args:
        columns: The scores of all patches.
        clean: Places of the cleanest, which stay clean.
        noisy: The scores of labels with injected noise.

    Raises:
        ValueError: If no noise was injected.
    """
    weight = np.zeros(len(next(iter(columns.values()))))
    weight[clean] = 1
    curve = fit_curve(columns, noisy, weight=weight)
    for _ in range(FITS - 1):
        odds = curve.log_odds(columns)
        prior = float(prior_by_em(odds, np.ones((1, len(odds))))[0])
        weight = 1 - posterior(odds, prior)
        weight[clean] = 1
        curve = fit_curve(columns, noisy, weight=weight)
    return curve


def doubtful(cleanest_iou: float, *, noisy_above: float) -> str | None:
    """Return a warning if networks are too weak to tell their own errors from those of labels, else None.

    Args:
        cleanest_iou: Median of the score `iou` over the cleanest patches.
        noisy_above: What counts as noisy.
    """
    if cleanest_iou <= noisy_above:
        return None
    return (
        f"The networks differ from even the cleanest labels by {cleanest_iou:.2f} (1 - IoU), more than "
        f"noisy_above ({noisy_above:g}): P(noisy), cut and noise rate are then mostly errors of the "
        "networks. Train longer."
    )


def fit_curve(
    clean: Mapping[str, Scores], noisy: Mapping[str, Scores], *, weight: Scores | None = None
) -> Curve:
    """Fit the logistic curve that tells scores of clean patches from those of noisy ones.

    Maximises the mean log likelihood, both sides of equal weight, less .0001 / 2 times the squared slopes, by
    Newton's method; the optimum is unique.

    Args:
        clean: `iou`, `softmin` and, where known, `bridge` of clean patches.
        noisy: The same of labels with injected noise.
        weight: How much each clean patch counts; without it all count alike.

    Raises:
        ValueError: If a side is empty.
    """
    names = tuple(name for name in COMBINED if name in clean)
    sides = [_matrix(columns, names) for columns in (clean, noisy)]
    if not all(len(side) for side in sides):
        raise ValueError(
            f"{len(sides[0])} clean labels and {len(sides[1])} with injected noise: no curve can be fitted. "
            "Are almost all labels empty? A lower noisy_above counts smaller errors as noise."
        )
    x = np.concatenate(sides)
    x = np.concatenate([np.ones((len(x), 1)), x], axis=1)
    target = np.repeat([0.0, 1.0], [len(side) for side in sides])
    counted = [np.ones(len(side)) for side in sides] if weight is None else [weight, np.ones(len(sides[1]))]
    balanced = np.concatenate([each / (2 * each.sum()) for each in counted])
    penalty = np.diag([0.0] + [RIDGE] * len(names))
    found = np.zeros(len(names) + 1)
    for _ in range(100):
        p = _sigmoid(x @ found)
        slope = x.T @ (balanced * (p - target)) + penalty @ found
        step = np.linalg.solve((x * (balanced * p * (1 - p))[:, None]).T @ x + penalty, slope)
        found = found - step
        if np.abs(step).max() < 1e-9:
            break
    return Curve(names, float(found[0]), tuple(float(each) for each in found[1:]))


def noise_rate(curve: Curve, columns: Mapping[str, Scores], *, groups: Sequence[str]) -> NoiseRate:
    """Return P(noisy) of each patch and the share of noisy ones, with an interval over groups.

    Args:
        curve: At a prior of one half.
        columns: The scores of all patches.
        groups: Source tile of each patch: patches of a tile overlap, so tiles are resampled.
    """
    odds = curve.log_odds(columns)
    prior = float(prior_by_em(odds, np.ones((1, len(odds))))[0])
    edges = np.linspace(-LIMIT, LIMIT, BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    places = np.clip(np.digitize(odds, edges) - 1, 0, BINS - 1)
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.zeros((int(group.max()) + 1, BINS))
    np.add.at(counts, (group, places), 1)
    rng = np.random.default_rng(derive(0, Purpose.SPLIT, "noise rate"))
    drawn = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=RESAMPLES)
    priors = prior_by_em(middles, drawn @ counts)
    low, high = np.quantile(priors, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return NoiseRate(posterior(odds, prior), prior, (float(low), float(high)))


def posterior(log_odds: Scores, prior: float) -> Scores:
    """Return P(noisy) = pi L / (pi L + 1 - pi), where the share pi of noisy ones is `prior`, not one half."""
    ratio = np.exp(log_odds)
    return np.asarray(prior * ratio / (prior * ratio + 1 - prior))


def prior_by_em(log_odds: Scores, weights: NDArray[np.floating]) -> Scores:
    """Return the share of noisy ones at which EM comes to rest: the mean of P(noisy) is the share itself.

        sum_n w_n (L_n - 1) / (1 + pi (L_n - 1)) = 0,    0 or 1 where there is no such pi between

    The likelihood has one maximum in pi, so the root is halved to instead of iterated to.

    Args:
        log_odds: [N], log L at a prior of one half.
        weights: [R, N], how often each counts in each of R resamples.

    Returns:
        [R].

    Source: Saerens, Latinne and Decaestecker 2002, Neural Computation 14(1), equations 2.9 to 2.12.
    """
    more = np.expm1(log_odds)
    low, high = np.zeros(len(weights)), np.ones(len(weights))
    for _ in range(50):
        middle = (low + high) / 2
        rising = (weights * (more / (1 + middle[:, None] * more))).sum(axis=1) > 0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    found = (low + high) / 2
    return np.where(found < 1e-12, 0.0, np.where(found > 1 - 1e-12, 1.0, found))


def rescored(label_NHW: Labels, probability_NHW: Shares, wrong_NHW: Shares | None) -> dict[str, Scores]:
    """Return the scores that the curve is made of."""
    columns = {
        "iou": scores.iou(label_NHW, scores.hard(probability_NHW)),
        "softmin": scores.softmin(label_NHW, probability_NHW),
    }
    if wrong_NHW is not None:
        columns["bridge"] = scores.bridge(label_NHW, wrong_NHW)
    return columns


def _matrix(columns: Mapping[str, Scores], names: Sequence[str]) -> Scores:
    return np.stack([columns[name] for name in names], axis=1)


def _sigmoid(log_odds: Scores) -> Scores:
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -LIMIT, LIMIT))))
