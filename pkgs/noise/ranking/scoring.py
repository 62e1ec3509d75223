"""All scores of all patches, a chunk at a time; the maps stay on disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pkgs.data.items import DataError
from pkgs.noise import cut, scores
from pkgs.noise.ranking.config import CompatConfig
from pkgs.noise.ranking.gathering import Detector, mean_of
from pkgs.noise.ranking.patches import GivenLabels, Places
from pkgs.noise.scores import Labels, Masks, Scores, Shares

Columns = dict[str, Scores]

FIRST: Final = (
    "iou", "wiou", "ce", "pixels", "softmin", "variance", "disagreement",
    "bridge", "bridge_mean", "bridge_clean", "combined",
)  # fmt: skip
"""Columns of scores.csv in their order; then those by seed, the controls, and the bridges of `left_out`."""
LAST: Final = ("in_sample_iou", "supervised_iou", "supervised_in_sample_iou", "compat")


@dataclass(frozen=True)
class Detectors:
    """Whose predictions there are; None where nobody trained such networks."""

    student: Detector
    in_sample: Detector | None = None
    supervised: Detector | None = None
    supervised_in_sample: Detector | None = None
    error_teacher: Detector | None = None
    clean_error_teacher: Detector | None = None
    teacher: Detector | None = None
    compat: Detector | None = None
    left_out: Mapping[str, Detector] = field(default_factory=dict)
    """By the name of the condition, such as `without_drop`."""

    @property
    def suspicion(self) -> Detector | None:
        """Whose r is shown and exported: that of unseen patches, else that of the clean reference."""
        return self.error_teacher or self.clean_error_teacher


@dataclass(frozen=True)
class Scoring:
    """What is scored, and how."""

    labels: GivenLabels
    detectors: Detectors
    pieces: Sequence[Places]
    compat: CompatConfig
    moved: Callable[[int], None]
    """Told how many more patches are done, for a progress bar."""
    tick: Callable[[], None]
    """Called now and then, for a heartbeat."""

    @property
    def threshold(self) -> float:
        return scores.LOGIT_HALF if self.compat.logit_threshold else scores.HALF

    def against(self, label_NHW: Labels, predicted_NHW: Masks) -> Scores:
        """Return the score `iou`, or what the reference had in its place."""
        if self.compat.empty_is_noisy:
            return scores.wiou(label_NHW, predicted_NHW)
        return scores.iou(label_NHW, predicted_NHW)


def score(work: Scoring) -> tuple[Columns, Scores]:
    """Return every score that there are predictions for, in the order of the tables, and the doubt.

    Raises:
        DataError: If a prediction cannot be read.
    """
    means = _class_means(work)
    parts: defaultdict[str, list[Scores]] = defaultdict(list)
    for places in work.pieces:
        for name, values in _of_chunk(work, places, means).items():
            parts[name].append(values)
        work.moved(len(places))
    columns = {name: np.concatenate(values) for name, values in parts.items()}
    doubts = columns.pop("doubt")
    columns["combined"] = scores.combined(columns)
    return ordered(columns), doubts


def rescore_injected(work: Scoring, *, places: Places, ids: Sequence[str], noisy_above: float) -> Columns:
    """Return the scores of labels with injected noise above `noisy_above`, from the predictions as they are.

    Args:
        work: Labels and predictions.
        places: The cleanest patches.
        ids: Of all patches; noise is drawn by them.
        noisy_above: What counts as noisy; injected noise below it makes neither a clean nor a noisy label.
    """
    parts: defaultdict[str, list[Scores]] = defaultdict(list)
    size = max(1, len(work.pieces[0]))
    for start in range(0, len(places), size):
        some = places[start : start + size]
        label, probability = work.labels.at(some), work.detectors.student.mean(some)
        wrong = None if work.detectors.error_teacher is None else work.detectors.error_teacher.mean(some)
        for copy in range(cut.COPIES):
            changed = cut.injected(label, [ids[place] for place in some], copy=copy)
            noisy = scores.iou(changed, label == 1) > noisy_above
            still = None if wrong is None else cut.still_implied(label, changed, wrong)[noisy]
            again = cut.rescored(changed[noisy], probability[noisy], still)
            masks = scores.hard(probability[noisy], threshold=work.threshold)
            again["iou"] = work.against(changed[noisy], masks)  # as that of the given labels
            for name, values in again.items():
                parts[name].append(values)
            work.tick()
    return {name: np.concatenate(values) for name, values in parts.items()}


def _class_means(work: Scoring) -> tuple[float, float]:
    means = scores.ClassMeans()
    for places in work.pieces:
        means.add(work.labels.at(places), work.detectors.student.mean(places))
        work.moved(len(places))
    return means.values


def _of_chunk(work: Scoring, places: Places, class_means: tuple[float, float]) -> Columns:
    label, found = work.labels.at(places), work.detectors
    each = found.student.each(places)
    p = mean_of(each)
    building = scores.hard(p, threshold=work.threshold)
    columns = {
        "doubt": cut.doubt(p),
        "iou": work.against(label, building),
        "wiou": scores.wiou(label, building),
        "ce": scores.ce(label, p),
        "pixels": scores.pixels(label, p, class_means=class_means),
        "softmin": scores.softmin(label, p),
    }
    if len(each) > 1:
        columns["variance"] = scores.variance(each)
    for seed, own in zip(found.student.seeds, each, strict=True):
        columns[f"iou_seed_{seed.seed}"] = work.against(label, scores.hard(own, threshold=work.threshold))
    if found.teacher is not None:
        taught = scores.hard(found.teacher.mean(places), threshold=work.threshold)
        columns["disagreement"] = scores.disagreement(taught, building)
    return columns | _of_bridges(found, places, label) | _of_controls(work, places, label)


def _of_bridges(found: Detectors, places: Places, label: Labels) -> Columns:
    columns: Columns = {}
    if found.error_teacher is not None:
        r = found.error_teacher.mean(places)
        columns |= {"bridge": scores.bridge(label, r), "bridge_mean": scores.bridge_mean(r)}
    if found.clean_error_teacher is not None:
        columns["bridge_clean"] = scores.bridge(label, found.clean_error_teacher.mean(places))
    for name, detector in found.left_out.items():
        columns[f"bridge_{name}"] = scores.bridge(label, detector.mean(places))
    return columns


def _of_controls(work: Scoring, places: Places, label: Labels) -> Columns:
    found = work.detectors
    controls = {
        "in_sample_iou": found.in_sample,
        "supervised_iou": found.supervised,
        "supervised_in_sample_iou": found.supervised_in_sample,
    }
    columns = {
        name: work.against(label, scores.hard(detector.mean(places), threshold=work.threshold))
        for name, detector in controls.items()
        if detector is not None
    }
    if found.compat is not None:  # the reference's recipe, whatever the switches say
        each = [scores.hard(p, threshold=scores.LOGIT_HALF) for p in found.compat.each(places)]
        columns["compat"] = np.mean([scores.wiou(label, mask) for mask in each], axis=0)
    return columns


def ordered(columns: Mapping[str, Scores]) -> Columns:
    """Return the columns in the order of the tables."""
    by_seed = [name for name in columns if name.startswith("iou_seed_")]
    rest = sorted(name for name in columns if name not in {*FIRST, *LAST, *by_seed})
    return {name: columns[name] for name in (*FIRST, *by_seed, *LAST, *rest) if name in columns}


def chosen(columns: Mapping[str, Scores], name: str) -> Scores:
    """Return the score that ranks.

    Raises:
        DataError: If there is none of this name.
    """
    if name not in columns:
        raise DataError(f"by: there is no score {name!r}; there are {', '.join(columns)}.")
    return columns[name]


def order_of(score: Scores, names: Sequence[str], *, blocks: Iterable[int]) -> Places:
    """Return the places from least to most noisy: by block, then by score, ties by name."""
    by_name = np.argsort(np.argsort(np.asarray(names, dtype=object), kind="stable"), kind="stable")
    return np.lexsort((by_name, score, np.fromiter(blocks, np.int64, len(score))))


def maps_of(detectors: Detectors, places: Places) -> tuple[Shares, Shares | None]:
    """Return P and r of some patches, as the exports show them."""
    suspicion = detectors.suspicion
    return detectors.student.mean(places), None if suspicion is None else suspicion.mean(places)
