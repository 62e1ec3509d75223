"""How noisy the label of each patch is, from what networks say of it. Pure numpy; higher = noisier.

Labels are [N, H, W] of 0 and 1, probabilities float [N, H, W] in [0, 1]; each score is one float64 per patch.
All are sums over the pixels of a patch, so any cut into chunks gives the same values. What belongs to the
whole set goes in by name: the class means of `pixels`, the ranks of `combined`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]
Shares = NDArray[np.floating[Any]]
Scores = NDArray[np.float64]
Masks = NDArray[np.bool_]

HALF: Final = 0.5
"""P from which a pixel is building, r above which a label is taken for wrong."""
LOGIT_HALF: Final = 0.6224593312018546
"""The sigmoid of .5: the reference compared logits with .5 and so asked for more than P (N4)."""
CLIP: Final = 1e-3
"""Least probability in `ce`: one sure and wrong pixel costs 6.9 at most, else few pixels decide."""
SOFTMIN_TEMPERATURE: Final = 0.1
COMBINED: Final = ("iou", "softmin", "bridge")
"""What `combined` is made of; equal weights, never tuned on truth."""


def iou(label_NHW: Labels, predicted_NHW: Masks) -> Scores:
    """Return 1 - IoU of label and hard mask, both empty = 0 (clean).

        s = 1 - |y and m| / |y or m|,    m = 1[P >= .5]

    Range [0, 1].

    Raises:
        ValueError: If the shapes differ or the label holds anything but 0 and 1.
    """
    _require(label_NHW, predicted_NHW)
    inside = label_NHW == 1
    both, either = (_count(inside & predicted_NHW), _count(inside | predicted_NHW))
    return np.where(either > 0, 1 - both / np.maximum(either, 1), 0.0)


def wiou(label_NHW: Labels, predicted_NHW: Masks, *, empty_is_noisy: bool = True) -> Scores:
    """Return 1 - (1.1 IoU - .1), the reference's weighted IoU turned round; range [0, 1.1]. Compat.

    Affine in IoU, so that it orders as `iou` does, but for pairs of empty masks: they have the weighted IoU 0
    (score 1) and rank among the noisiest. `empty_is_noisy` off: they have IoU 1 as in `iou`.

    Raises:
        ValueError: As `iou`.
    """
    weighted = 1.1 * (1 - iou(label_NHW, predicted_NHW)) - 0.1
    empty = (_count(label_NHW) + _count(predicted_NHW)) == 0
    return np.asarray(1 - (np.where(empty, 0.0, weighted) if empty_is_noisy else weighted))


def own(label_NHW: Labels, probability_NHW: Shares) -> Shares:
    """Return q, the probability of the given label per pixel: P where it is 1, 1 - P where it is 0.

    Raises:
        ValueError: If the shapes differ or the label holds anything but 0 and 1.
    """
    _require(label_NHW, probability_NHW)
    return np.where(label_NHW == 1, probability_NHW, 1 - probability_NHW)


def ce(label_NHW: Labels, probability_NHW: Shares) -> Scores:
    """Return the mean cross-entropy - log max(q, .001) of the label in nats; range [0, 6.91].

    Raises:
        ValueError: As `own`.
    """
    return _mean(-np.log(np.maximum(own(label_NHW, probability_NHW), CLIP)))


class ClassMeans:
    """The mean q of all pixels of a set by their given label, summed up chunk by chunk."""

    def __init__(self) -> None:
        self._sums, self._counts = np.zeros(2), np.zeros(2)

    def add(self, label_NHW: Labels, probability_NHW: Shares) -> None:
        """Take in the pixels of some patches."""
        q, inside = own(label_NHW, probability_NHW), label_NHW == 1
        for given, chosen in enumerate((~inside, inside)):
            self._sums[given] += np.sum(q, where=chosen, dtype=np.float64)
            self._counts[given] += np.count_nonzero(chosen)

    @property
    def values(self) -> tuple[float, float]:
        """The means of ground and building; 0 for a class without a pixel: none lies below it."""
        ground, building = self._sums / np.maximum(self._counts, 1)
        return float(ground), float(building)


def pixels(label_NHW: Labels, probability_NHW: Shares, *, class_means: tuple[float, float]) -> Scores:
    """Return the share of pixels whose q lies below the mean q of their class; range [0, 1].

    Args:
        label_NHW: Given labels.
        probability_NHW: P.
        class_means: Of ground and building over the whole set (`ClassMeans`).

    Raises:
        ValueError: As `own`.

    Source: the thresholds of confident learning, Northcutt, Jiang and Chuang 2021, JAIR 70.
    """
    floor = np.where(label_NHW == 1, class_means[1], class_means[0])
    return _mean(own(label_NHW, probability_NHW) < floor)


def softmin(label_NHW: Labels, probability_NHW: Shares) -> Scores:
    """Return 1 - sum q softmax((1 - q) / .1): the patch is as good as its worst pixels; range [0, 1].

    Raises:
        ValueError: As `own`.

    Source: Lad and Mueller 2023, arXiv:2307.05080, section 3.
    """
    q = own(label_NHW, probability_NHW).astype(np.float64)
    raised = (1 - q) / SOFTMIN_TEMPERATURE
    weight = np.exp(raised - raised.max(axis=(1, 2), keepdims=True))  # else e^10 per pixel: sums lose digits
    return np.asarray(1 - (q * weight).sum(axis=(1, 2)) / weight.sum(axis=(1, 2)))


def variance(probability_SNHW: Sequence[Shares]) -> Scores:
    """Return the mean over pixels of the variance of P over S seeds (divided by S); range [0, .25].

    Raises:
        ValueError: If there are fewer than two seeds.
    """
    if len(probability_SNHW) < 2:
        raise ValueError(f"variance: {len(probability_SNHW)} seed; it needs at least 2.")
    return _mean(np.var(np.stack(list(probability_SNHW)), axis=0))


def disagreement(teacher_NHW: Masks, student_NHW: Masks) -> Scores:
    """Return 1 - IoU of the hard masks of teacher and student, both empty = 0; knows no label.

    Raises:
        ValueError: If the shapes differ.
    """
    return iou(teacher_NHW.astype(np.uint8), student_NHW)


def implied(label_NHW: Labels, wrong_NHW: Shares) -> Masks:
    """Return the mask that an error teacher implies: the label, turned round where r > .5.

    Raises:
        ValueError: If the shapes differ or the label holds anything but 0 and 1.
    """
    _require(label_NHW, wrong_NHW)
    return np.asarray((label_NHW == 1) ^ (wrong_NHW > HALF))


def bridge(label_NHW: Labels, wrong_NHW: Shares) -> Scores:
    """Return 1 - IoU of the label and the mask implied by r, both empty = 0; range [0, 1].

    Args:
        label_NHW: Given labels.
        wrong_NHW: r, the chance per pixel that the label is wrong.

    Raises:
        ValueError: As `implied`.
    """
    return iou(label_NHW, implied(label_NHW, wrong_NHW))


def bridge_mean(wrong_NHW: Shares) -> Scores:
    """Return the mean of r; range [0, 1]. The true noise is an IoU, hence `bridge` stands first."""
    return _mean(wrong_NHW)


def rank_shares(values: Scores, *, among: Scores | None = None) -> Scores:
    """Return the place of each value among those of a set, as a share; ties get the mean of their ranks.

        (number below + half the number equal) / N,     of a member: (mean rank - 1/2) / N

    Args:
        values: Scores, any scale.
        among: The set; without it the values themselves.

    Returns:
        Shares in [0, 1].
    """
    ordered = np.sort(values if among is None else among)
    below, upto = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray((below + upto) / (2 * len(ordered)))


def combined(scores: Mapping[str, Scores], *, among: Mapping[str, Scores] | None = None) -> Scores:
    """Return the mean of the ranks of `iou`, `softmin` and `bridge`, as shares; range [0, 1].

    Args:
        scores: By name; without `bridge` the mean of the other two.
        among: The scores of the set in which others are ranked; without it they are the set.

    Raises:
        ValueError: If none of the three is there.
    """
    names = [name for name in COMBINED if name in scores]
    if not names:
        raise ValueError(f"combined: has none of {', '.join(COMBINED)}, only {', '.join(scores)}.")
    ranks = [rank_shares(scores[name], among=None if among is None else among[name]) for name in names]
    return np.asarray(np.mean(ranks, axis=0, dtype=np.float64))


def hard(probability_NHW: Shares, *, threshold: float = HALF) -> Masks:
    """Return 1[P >= threshold]."""
    return np.asarray(probability_NHW >= threshold)


def _require(label_NHW: Labels, other_NHW: NDArray[Any]) -> None:
    if label_NHW.shape != other_NHW.shape:
        raise ValueError(
            f"Labels {label_NHW.shape} and predictions {other_NHW.shape} must agree in shape. "
            "Were both made with the same data.size_px?"
        )
    if label_NHW.size and label_NHW.max() > 1:
        raise ValueError(f"A label holds {label_NHW.max()}; expected 0 and 1.")


def _count(mask_NHW: NDArray[Any]) -> NDArray[np.int64]:
    return np.asarray(np.count_nonzero(mask_NHW, axis=(1, 2)))


def _mean(value_NHW: NDArray[Any]) -> Scores:
    return np.asarray(value_NHW.mean(axis=(1, 2), dtype=np.float64))
