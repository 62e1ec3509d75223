"""How well errors are predicted on the test set: what a question about it needs, over sources and seeds.

Reads predictions/error_prediction.csv (numbers of each predictor, per source and pooled) and
predictions/error_sources.csv (AURC of each predictor per source).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pkgs.reports.bootstrap import source_draws, two_level_interval
from pkgs.reports.csv_rows import CsvRows, read_csv
from pkgs.reports.metrics import number, span
from pkgs.reports.plan import ErrorPrediction
from pkgs.reports.results import MACRO, POOLED
from pkgs.reports.runs import Run, Study
from pkgs.reports.statistics import Interval

PREDICTION_FILE: Final = "error_prediction.csv"
SOURCES_FILE: Final = "error_sources.csv"
Seed = int | None


@dataclass(frozen=True, slots=True)
class PredictorTest:
    """One condition's predictor of errors, held against what was asked."""

    condition: str
    asked: ErrorPrediction
    spearman: Mapping[Seed, float]
    """Over test images, by seed."""
    aurc_difference: float
    """Combined less the one to beat, mean over sources and seeds; below 0 the combination is better."""
    interval: Interval | None
    """Of that difference, with sources and seeds drawn anew; None for fewer than two of either."""
    sources: int
    lacking: tuple[Seed, ...]
    """Seeds of the study without these files."""

    @property
    def passes(self) -> bool | None:
        """Whether both conditions hold; None where either cannot be told yet."""
        if not self.spearman or self.interval is None:
            return None
        return self.mean_spearman >= self.asked.spearman_image and self.interval.high < 0

    @property
    def mean_spearman(self) -> float:
        values = self.spearman.values()
        return math.fsum(values) / len(values) if values else math.nan

    def sentence(self) -> str:
        asked, values = self.asked, sorted(self.spearman.values())
        if not values:
            return f"{self.condition}: no seed has predictions/{PREDICTION_FILE} with masks {asked.masks}"
        n = len(values)
        ranks = (
            f"{self.condition}, {n} seed{'' if n == 1 else 's'}: Spearman per image of {asked.predictor} "
            f"{number(self.mean_spearman)} ({number(values[0])} to {number(values[-1])}; asked are "
            f"{number(asked.spearman_image, 2)} or more)"
        )
        without = f"; without seed {', '.join(map(str, self.lacking))}" if self.lacking else ""
        if self.interval is None:
            return f"{ranks}; AURC cannot be compared: two sources and two seeds are needed{without}"
        aurc = (
            f"AURC of {asked.combined} less {asked.beats} {number(self.aurc_difference, 7, signed=True)} "
            f"({span(self.interval, 7, signed=True)}; {self.sources} sources and seeds drawn anew)"
        )
        return f"{ranks}; {aurc}{without}"


def examine_predictor(study: Study, condition: str, *, asked: ErrorPrediction, weights: str) -> PredictorTest:
    """Hold the predictor of `condition` against what is asked, on the rows of these weights."""
    runs = study.of(condition)
    spearman = {run.seed: _spearman(run, asked, weights) for run in runs}
    known = {seed: value for seed, value in spearman.items() if math.isfinite(value)}
    gains = [gain for run in runs if (gain := _gains(run, asked, weights))]
    difference, interval, sources = _over_sources(gains)
    lacking = tuple(seed for seed in study.paired_seeds if seed not in known)
    return PredictorTest(condition, asked, known, difference, interval, sources, lacking)


def _spearman(run: Run, asked: ErrorPrediction, weights: str) -> float:
    rows = _rows(run, PREDICTION_FILE, asked, weights)
    found = [row for row in rows.rows if (row["predictor"], row["source"]) == (asked.predictor, POOLED)]
    return float(found[-1].get("spearman_image", math.nan)) if found else math.nan


def _gains(run: Run, asked: ErrorPrediction, weights: str) -> dict[str, float]:
    """Return by source how much larger the combination's AURC is than that of the one to beat."""
    rows = _rows(run, SOURCES_FILE, asked, weights).rows
    aurc = {(row["predictor"], str(row["source"])): float(row.get("aurc", math.nan)) for row in rows}
    sources = {source for _, source in aurc} - {POOLED, MACRO}
    nothing = math.nan
    gains = {
        source: aurc.get((asked.combined, source), nothing) - aurc.get((asked.beats, source), nothing)
        for source in sources
    }
    return {source: gain for source, gain in gains.items() if math.isfinite(gain)}


def _rows(run: Run, file: str, asked: ErrorPrediction, weights: str) -> CsvRows:
    """Return the rows of a file that are about these weights and masks."""
    table = read_csv(run.folder.predictions / file, required=("weights", "masks", "predictor", "source"))
    wanted = (weights, asked.masks)
    return CsvRows(
        table.columns, tuple(row for row in table.rows if (row["weights"], row["masks"]) == wanted)
    )


def _over_sources(gains: Sequence[Mapping[str, float]]) -> tuple[float, Interval | None, int]:
    """Return mean, interval and number of sources, of those that have a number in every seed."""
    common = sorted(set.intersection(*map(set, gains))) if gains else []
    if not common:
        return math.nan, None, 0
    gains_SG = np.asarray([[gain[source] for source in common] for gain in gains])
    if min(gains_SG.shape) < 2:
        return float(gains_SG.mean()), None, len(common)
    means_BS = source_draws(len(common)) @ gains_SG.T / len(common)
    return float(gains_SG.mean()), two_level_interval(means_BS), len(common)
