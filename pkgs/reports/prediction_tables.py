"""The sums and scores that a run leaves in predictions/*.csv and alarms.json, read for the figures.

A missing file is an empty table, a broken one a sentence in `complaints`; nothing here raises. Not here: the
saved images (samples.py) and what is drawn of all this.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pkgs.foundation.files import read_json
from pkgs.foundation.run_folder import RunFolder
from pkgs.reports.csv_rows import CsvRows, Row, read_csv
from pkgs.reports.results import MACRO, POOLED
from pkgs.reports.runs import Run, Study

BINS = 15
"""Equal bins on [0, 1]: of the probability, and of the predicted error."""
ALARMS = "alarms.json"
Numbers = NDArray[np.float64]


class Predictor(NamedTuple):
    """Whose prediction of errors a table row is about: an error predictor, asked about some masks."""

    weights: str
    masks: str
    """Which masks were judged: `own`, `baseline`, `corrupted`."""
    name: str
    """Who judged: `teacher`, `own_confidence`, `combined`, `oracle`, a constant."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Sums over pixels per bin of a prediction; each array has `BINS` numbers."""

    count: Numbers
    sum_predicted: Numbers
    sum_real: Numbers

    @property
    def predicted(self) -> Numbers:
        """Mean prediction per bin, NaN in an empty one."""
        return _ratio(self.sum_predicted, self.count)

    @property
    def real(self) -> Numbers:
        """What was true of the pixels of the bin: share of foreground, or mean error; NaN in an empty one."""
        return _ratio(self.sum_real, self.count)

    @property
    def ece(self) -> float:
        """Expected calibration error: sum of n_b / N * |mean prediction - mean truth|; NaN without pixels."""
        pixels = float(self.count.sum())
        return float(np.abs(self.sum_predicted - self.sum_real).sum()) / pixels if pixels else math.nan

    @property
    def mce(self) -> float:
        """The largest distance of any bin that holds a pixel; NaN without pixels."""
        filled = self.count > 0
        return float(np.abs(self.predicted - self.real)[filled].max()) if filled.any() else math.nan


@dataclass(frozen=True, slots=True)
class ImageErrors:
    """Predicted and real error of each test image, in the same order."""

    samples: tuple[str, ...]
    sources: tuple[str, ...]
    predicted: Numbers
    real: Numbers


@dataclass(frozen=True, slots=True)
class RiskCurve:
    """Error among the share `coverage` of pixels that the predictor trusts most, by rising coverage."""

    coverage: Numbers
    risk: Numbers


@dataclass(frozen=True, slots=True)
class Alarm:
    """What the monitor of a run reported, and when."""

    step: float
    name: str
    sentence: str


@dataclass(frozen=True)
class PredictionTables:
    """Everything that one run left about its predictions, apart from the images."""

    calibration: Mapping[str, Bins]
    """By weights, over all sources."""
    scores: Mapping[tuple[Predictor, str], Mapping[str, float]]
    """error_prediction.csv by predictor and source; NaN for what a predictor cannot have."""
    sources: Mapping[tuple[Predictor, str], Mapping[str, float]]
    """error_sources.csv by predictor and source."""
    images: Mapping[Predictor, ImageErrors]
    reliability: Mapping[Predictor, Bins]
    risk: Mapping[Predictor, RiskCurve]
    alarms: tuple[Alarm, ...] | None
    """None: not monitored. Empty: monitored without an alarm."""
    complaints: tuple[str, ...]


@dataclass(frozen=True)
class StudyTables:
    """The tables of all runs of a study, read once for all figures."""

    by_folder: Mapping[RunFolder, PredictionTables]
    complaints: tuple[str, ...]
    """Of all runs, each with the run's name."""

    def of(self, run: Run) -> PredictionTables:
        return self.by_folder[run.folder]


def read_study_tables(study: Study) -> StudyTables:
    """Read the tables of every run of the study."""
    tables = {run.folder: read_tables(run.folder) for run in study.runs}
    complaints = [f"{run.name}: {text}" for run in study.runs for text in tables[run.folder].complaints]
    return StudyTables(tables, tuple(complaints))


def read_tables(folder: RunFolder) -> PredictionTables:
    """Read the tables of one run."""
    said: list[str] = []
    calibration = _table(folder, "calibration.csv", ("weights", "bin", "count", "sum_p", "sum_y"), said)
    key = ("weights", "masks", "predictor")
    scores = _table(folder, "error_prediction.csv", (*key, "source"), said)
    sources = _table(folder, "error_sources.csv", (*key, "source"), said)
    images = _table(folder, "error_images.csv", (*key, "sample", "predicted", "real"), said)
    reliability = _table(folder, "error_reliability.csv", (*key, "bin", "count", "sum_r", "sum_t"), said)
    risk = _table(folder, "risk_coverage.csv", (*key, "coverage", "risk"), said)
    return PredictionTables(
        calibration={
            weights: bins
            for weights, rows in _by_weights(calibration.rows).items()
            if (bins := _bins(_whole(rows), ("sum_p", "sum_y"), f"calibration.csv, {weights}", said))
        },
        scores={(_predictor(row), str(row["source"])): _numbers_of(row) for row in scores.rows},
        sources={(_predictor(row), str(row["source"])): _numbers_of(row) for row in sources.rows},
        images={
            key: errors
            for key, rows in _by_predictor(images.rows).items()
            if (errors := _images(rows, said)).samples
        },
        reliability={
            key: bins
            for key, rows in _by_predictor(reliability.rows).items()
            if (bins := _bins(rows, ("sum_r", "sum_t"), f"error_reliability.csv, {', '.join(key)}", said))
        },
        risk={
            key: curve
            for key, rows in _by_predictor(risk.rows).items()
            if (curve := _risk(rows, said)).coverage.size
        },
        alarms=_alarms(folder, said),
        complaints=tuple(dict.fromkeys(said)),
    )


def _table(folder: RunFolder, name: str, required: Sequence[str], said: list[str]) -> CsvRows:
    table = read_csv(folder.predictions / name, required=required)
    said += [f"predictions/{complaint}" for complaint in table.complaints]
    return table


def _predictor(row: Row) -> Predictor:
    return Predictor(str(row["weights"]), str(row["masks"]), str(row["predictor"]))


def _by_predictor(rows: Iterable[Row]) -> dict[Predictor, list[Row]]:
    groups: dict[Predictor, list[Row]] = {}
    for row in rows:
        groups.setdefault(_predictor(row), []).append(row)
    return groups


def _by_weights(rows: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row["weights"]), []).append(row)
    return groups


def _whole(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that together are every pixel once: the pooled ones, or else those of all sources."""
    pooled = [row for row in rows if row.get("source") == POOLED]
    return pooled or [row for row in rows if row.get("source") != MACRO]


def _bins(rows: Sequence[Row], sums: tuple[str, str], where: str, said: list[str]) -> Bins | None:
    """Add up the rows by bin; None, and a sentence, where they are no sums over such bins."""
    columns = [_column(rows, name) for name in ("bin", "count", *sums)]
    number, count, _, _ = columns
    sound = np.isfinite(columns).all() and (count >= 0).all() and np.isin(number, np.arange(BINS)).all()
    if not sound or not count.sum():
        said.append(
            f"predictions/{where}: no sums over pixels in {BINS} bins (expected bin 0 to {BINS - 1}, finite "
            "numbers and at least one pixel); left out."
        )
        return None
    return Bins(*(_added(number, column) for column in columns[1:]))


def _added(number: Numbers, column: Numbers) -> Numbers:
    return np.bincount(number.astype(int), weights=column, minlength=BINS).astype(np.float64)


def _images(rows: Sequence[Row], said: list[str]) -> ImageErrors:
    good = [row for row in rows if _finite(row, "predicted") and _finite(row, "real")]
    if len(good) < len(rows):
        said.append("predictions/error_images.csv: rows without a predicted or a real error, left out.")
    return ImageErrors(
        tuple(str(row["sample"]) for row in good),
        tuple(str(row.get("source", "")) for row in good),
        _column(good, "predicted"),
        _column(good, "real"),
    )


def _risk(rows: Sequence[Row], said: list[str]) -> RiskCurve:
    good = [row for row in rows if _finite(row, "coverage") and _finite(row, "risk")]
    if len(good) < len(rows):
        said.append("predictions/risk_coverage.csv: rows without a coverage or a risk, left out.")
    coverage, risk = _column(good, "coverage"), _column(good, "risk")
    order = np.argsort(coverage, kind="stable")
    return RiskCurve(coverage[order], risk[order])


def _alarms(folder: RunFolder, said: list[str]) -> tuple[Alarm, ...] | None:
    path = folder.path / ALARMS
    if not path.exists():
        return None
    raw = read_json(path)
    if not isinstance(raw, list):
        said.append(f"{ALARMS} cannot be read; expected a list, so its alarms are not shown.")
        return None
    alarms = [alarm for entry in raw if (alarm := _alarm(entry))]
    if len(alarms) < len(raw):
        said.append(f"{ALARMS}: entries without a step and a sentence, left out.")
    return tuple(alarms)


def _alarm(entry: object) -> Alarm | None:
    match entry:
        case {"step": int() | float() as step, "sentence": str() as sentence, **others} if math.isfinite(
            step
        ):
            return Alarm(float(step), str(others.get("name", "")), sentence)
        case _:
            return None


def _finite(row: Row, column: str) -> bool:
    value = row[column]
    return isinstance(value, float) and math.isfinite(value)


def _column(rows: Sequence[Row], name: str) -> Numbers:
    return np.asarray([row[name] for row in rows], dtype=np.float64)


def _numbers_of(row: Row) -> dict[str, float]:
    return {name: value for name, value in row.items() if isinstance(value, float)}


def _ratio(sums: Numbers, count: Numbers) -> Numbers:
    ratio = np.full(count.shape, np.nan)
    np.divide(sums, count, out=ratio, where=count > 0)
    return ratio
