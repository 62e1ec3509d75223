"""Whether a teacher predicts the error, per image and pixel, better than the student's own confidence (Q1).

One pass over val fits what is compared with, one over test measures. Kept are sums per source, a seeded
sample of 200 pixels per image, and two numbers per image; nothing else grows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.samples import Part
from pkgs.errormap.asking import Answer, MaskOf, answers
from pkgs.errormap.columns import TABLES
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.predictors import (
    CONSTANTS,
    RANKED,
    Fitted,
    ValSums,
    implied_share,
    pixels_of,
)
from pkgs.errormap.risk import RiskTable, oracle_curve, pearson, spearman
from pkgs.errormap.tally import Numbers, sigmoid, tally
from pkgs.foundation.files import write_whole
from pkgs.foundation.seeds import Purpose, derive
from pkgs.models.error_teacher import ErrorTeacher
from pkgs.training.metrics import BINS
from pkgs.training.tables import Cell, render

POOLED: Final = "pooled"
SAMPLED: Final = 200
"""Pixels per image that stand for all in the correlation of ranks."""

Row = dict[str, Cell]


@dataclass(slots=True)
class _Image:
    """What is kept of one image and one predictor."""

    sample: str
    source: str
    pixels: int
    sums: Numbers
    """Of r, t, |r - t|, r², t², r t."""
    sampled: tuple[Numbers, Numbers]


@dataclass(slots=True)
class _Predictor:
    """What is kept of one predictor on one kind of mask."""

    images: list[_Image] = field(default_factory=list)
    risk: dict[str, RiskTable] = field(default_factory=dict)
    curve: Numbers = field(default_factory=lambda: np.zeros((3, BINS)))
    """Per bin of r: pixels, sum of r, sum of t."""


@final
@dataclass(frozen=True, slots=True)
class ErrorScores:
    """The rows of the tables under `predictions/`, by file name, without their weights."""

    tables: Mapping[str, list[Row]]

    def pooled(self, masks: str, predictor: str = "teacher") -> Row:
        """Return the row over all test images.

        Raises:
            KeyError: If nobody judged these masks.
        """
        for row in self.tables["error_prediction.csv"]:
            if (row["masks"], row["predictor"], row["source"]) == (masks, predictor, POOLED):
                return row
        raise KeyError(f"{masks}, {predictor}")


def judge_teacher(  # noqa: PLR0913 - all by name
    teacher: ErrorTeacher,
    *,
    masks: Mapping[str, MaskOf],
    val: Part,
    test: Part,
    seed: int,
    check: Callable[[], None] = lambda: None,
    batch: int = 16,
    compat: CompatConfig = CompatConfig(),  # noqa: B008 - frozen
) -> ErrorScores:
    """Return how well the errors of each kind of mask on `test` are predicted.

    Args:
        teacher: Judged as it is, recalibrated or not; left in its mode.
        masks: `own`, `baseline`, `corrupted`: from a batch on the device to probabilities [B, 1, H, W].
        val: On which constants and the combination are fitted, on each kind of mask for itself.
        test: Images of unseen sources.
        seed: The split's; which pixels are sampled.
        check: Called before each batch.
        batch: Images at once.
        compat: `score_100` and `logits_to_teacher` change how the teacher is asked and read.

    Raises:
        ValueError: If val or test hold no pixel.
    """
    sums = {kind: ValSums() for kind in masks}
    for kind, answer in answers(teacher, val, masks, batch=batch, check=check, compat=compat):
        sums[kind].add(answer)
    fitted = {kind: each.fit() for kind, each in sums.items()}
    kept = {(kind, name): _Predictor() for kind in masks for name in (*RANKED, *CONSTANTS)}
    ids, sources = test.ids, test.sources
    for kind, answer in answers(teacher, test, masks, batch=batch, check=check, compat=compat):
        for k, place in enumerate(answer.places):
            image = Answer([place], *(each[k : k + 1] for each in answer[1:]))
            _measure(kept, kind, image, fitted[kind], sample=ids[place], source=sources[place], seed=seed)
    if not any(image.pixels for one in kept.values() for image in one.images):
        raise ValueError("There is no pixel to judge the teacher on. Is test empty, or ignored as a whole?")
    return ErrorScores({name: list(rows(kept)) for name, rows in _ROWS.items()})


def write(scores: Mapping[str, ErrorScores], folder: Path) -> None:
    """Write the tables into `predictions/`, each as a whole.

    Args:
        scores: By the weights that were judged, such as `last` and `best`.
        folder: `predictions/` of the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, columns in TABLES.items():
        rows = [{"weights": weights, **row} for weights, each in scores.items() for row in each.tables[name]]
        write_whole(folder / name, render(columns, rows))


def _measure(  # noqa: PLR0913 - all by name
    kept: Mapping[tuple[str, str], _Predictor],
    kind: str,
    image: Answer,
    fitted: Fitted,
    *,
    sample: str,
    source: str,
    seed: int,
) -> None:
    """Take up one image for all predictors."""
    _, _, wrong, t = pixels_of(image)
    chosen = _chosen(len(t), sample, seed)
    for name, logit, r in _predictions(image, fitted):
        one = kept[kind, name]
        sums = np.array([r.sum(), t.sum(), np.abs(r - t).sum(), r @ r, t @ t, r @ t])
        one.images.append(_Image(sample, source, len(t), sums, (r[chosen], t[chosen])))
        place = np.minimum((r * BINS).astype(np.int64), BINS - 1)
        tally(one.curve, place, r, t)
        if logit is not None:
            one.risk.setdefault(source, RiskTable()).add(logit, wrong)


def _predictions(image: Answer, fitted: Fitted) -> Iterator[tuple[str, Numbers | None, Numbers]]:
    """Yield each predictor's name, its score's logit (None: cannot rank) and its predicted share."""
    teacher, own, _, t = pixels_of(image)
    p = image.mask[image.seen].double().numpy()
    both = fitted.weights @ np.stack([teacher, own, np.ones_like(own)])
    yield "teacher", teacher, sigmoid(teacher)
    yield "own_confidence", own, implied_share(p, np.minimum(p, 1 - p))
    yield "combined", both, implied_share(p, sigmoid(both))
    yield "constant_mean", None, np.full_like(t, fitted.mean)
    yield "constant_median", None, np.full_like(t, fitted.median)


def _chosen(pixels: int, sample: str, seed: int) -> NDArray[np.int64]:
    """Return which pixels of the image are sampled, none twice; the same for all predictors and runs."""
    generator = np.random.default_rng(derive(seed, Purpose.SPLIT, "pixels", sample))
    return np.sort(generator.permutation(pixels)[:SAMPLED])


def _by_source(one: _Predictor) -> dict[str, list[_Image]]:
    groups: dict[str, list[_Image]] = {}
    for image in one.images:
        if image.pixels:  # an image without a seen pixel has no error
            groups.setdefault(image.source, []).append(image)
    return {
        **{source: groups[source] for source in sorted(groups)},
        POOLED: [image for images in groups.values() for image in images],
    }


def _prediction_rows(kept: Mapping[tuple[str, str], _Predictor]) -> Iterator[Row]:
    for (kind, name), one in kept.items():
        for source, images in _by_source(one).items():
            pixels = sum(image.pixels for image in images)
            scores = {**_regression(images, pixels), **_correlations(images), **_ranking(one, source)}
            known = {key: value for key, value in scores.items() if not math.isnan(value)}
            head: Row = {"masks": kind, "predictor": name, "source": source}
            yield {**head, "images": len(images), "pixels": pixels, **known}


def _regression(images: list[_Image], pixels: int) -> dict[str, float]:
    """Return MAE, bias, the slope of t on r, and their correlation, from sums over pixels."""
    r, t, off, rr, tt, rt = (np.sum([image.sums for image in images], axis=0) / pixels).tolist()
    var_r, var_t, both = rr - r * r, tt - t * t, rt - r * t
    varies = var_r > 1e-12  # a constant leaves rounding only
    return {
        "mae": off,
        "bias": r - t,
        "slope": both / var_r if varies else math.nan,
        "pearson_pixel": both / math.sqrt(var_r * var_t) if varies and var_t > 1e-12 else math.nan,
        "mean_predicted": r,
        "mean_real": t,
    }


def _correlations(images: list[_Image]) -> dict[str, float]:
    means = np.array([image.sums[:2] / image.pixels for image in images])
    predicted, real = means.round(9).T  # a constant stays one
    r, t = (np.concatenate([image.sampled[k] for image in images]) for k in (0, 1))
    return {
        "pearson_image": pearson(predicted, real),
        "spearman_image": spearman(predicted, real),
        "spearman_pixel": spearman(r, t),
    }


def _ranking(one: _Predictor, source: str) -> dict[str, float]:
    table = _risk(one, source)
    return table.scores() if table else {}


def _risk(one: _Predictor, source: str) -> RiskTable | None:
    if not one.risk:
        return None
    return one.risk[source] if source != POOLED else sum(one.risk.values(), RiskTable())


def _image_rows(kept: Mapping[tuple[str, str], _Predictor]) -> Iterator[Row]:
    for (kind, name), one in kept.items():
        if name in CONSTANTS:
            continue
        for image in filter(lambda image: image.pixels, one.images):
            predicted, real = (image.sums[:2] / image.pixels).tolist()
            head: Row = {"masks": kind, "predictor": name, "sample": image.sample, "source": image.source}
            yield {**head, "predicted": predicted, "real": real}


def _reliability_rows(kept: Mapping[tuple[str, str], _Predictor]) -> Iterator[Row]:
    for (kind, name), one in kept.items():
        for number, (count, sum_r, sum_t) in enumerate(one.curve.T.tolist()):
            head: Row = {"masks": kind, "predictor": name, "bin": number}
            yield {**head, "count": int(count), "sum_r": sum_r, "sum_t": sum_t}


def _curve_rows(kept: Mapping[tuple[str, str], _Predictor]) -> Iterator[Row]:
    for (kind, name), one in kept.items():
        table = _risk(one, POOLED)
        if table is None:
            continue
        curves = {name: table.curve()}
        if name == RANKED[0]:
            curves["oracle"] = oracle_curve(table.error)
        for who, curve in curves.items():
            for coverage, risk in curve:
                yield {"masks": kind, "predictor": who, "coverage": coverage, "risk": risk}


def _source_rows(kept: Mapping[tuple[str, str], _Predictor]) -> Iterator[Row]:
    wanted = ("aurc", "auroc", "spearman_image")
    for row in _prediction_rows({key: one for key, one in kept.items() if one.risk}):
        if row["source"] != POOLED:
            head = {key: row[key] for key in ("masks", "predictor", "source")}
            yield {**head, **{key: row.get(key) for key in wanted}}


_ROWS: Final = {
    "error_prediction.csv": _prediction_rows,
    "error_images.csv": _image_rows,
    "error_reliability.csv": _reliability_rows,
    "risk_coverage.csv": _curve_rows,
    "error_sources.csv": _source_rows,
}
