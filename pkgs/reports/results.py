"""What one run measured and under which settings, read from its folder.

Broken or missing pieces become sentences in `complaints`, never exceptions: one bad run must not hide the
others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from pkgs.foundation.files import read_json
from pkgs.foundation.progress import Progress, read_progress
from pkgs.foundation.run_folder import RunFolder
from pkgs.reports.csv_rows import CsvRows, read_csv, without_repeats

POOLED = "pooled"
"""Source of the row over all pixels of all sources."""
MACRO = "macro"
"""Source of the row that holds the mean over sources."""
YEAR_2100_UNIX_S = 4_102_444_800
DATASET_MARK = "dataset.json"
SHEET_NAMES = ("DATA_SHEET.md", "DATA_SHEET.txt", "DATA_SHEET")


@dataclass(frozen=True)
class Curve:
    """train.csv or val.csv after leaving out what a resume made obsolete."""

    steps: NDArray[np.float64]
    values: Mapping[str, NDArray[np.float64]]

    def finite(self, column: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return steps and values where the value is finite; empty for an unknown column."""
        values = self.values.get(column)
        if values is None:
            return np.empty(0), np.empty(0)
        good = np.isfinite(values)
        return self.steps[good], values[good]

    def diverged(self, column: str) -> bool:
        """Return whether the last value is not finite."""
        values = self.values.get(column)
        return values is not None and values.size > 0 and not math.isfinite(float(values[-1]))


@dataclass(frozen=True)
class RunResults:
    """Everything of a run folder that the report uses, except attempts and predictions."""

    is_training: bool
    config: Mapping[str, object]
    provenance: Mapping[str, object]
    progress: Progress | None
    train: Curve
    val: Curve
    tests: Mapping[tuple[str, str], Mapping[str, float]]
    """Metrics by (weights, source)."""
    first_unix_s: float
    last_unix_s: float
    started_in: Path
    """Folder that relative paths of the settings start from."""
    complaints: tuple[str, ...]

    @property
    def commit(self) -> str | None:
        return _text(self.provenance.get("commit"))

    @property
    def data_fingerprint(self) -> str | None:
        return _text(self.provenance.get("data_fingerprint")) or _text(self._data.get("fingerprint"))

    @cached_property
    def synthetic(self) -> bool:
        """Whether the provenance or the data sheet beside the data calls the data synthetic."""
        if self._data.get("synthetic") is True or self.provenance.get("synthetic") is True:
            return True
        section = self.config.get("data")
        paths = [*_paths(self._data), *(_paths(section) if isinstance(section, Mapping) else [])]
        return any(_sheet_says_synthetic(self.started_in / path) for path in paths)

    @property
    def _data(self) -> Mapping[str, object]:
        data = self.provenance.get("data")
        return data if isinstance(data, Mapping) else {}

    def test(self, weights: str, metric: str, *, source: str = POOLED) -> float:
        """Return one number of test.csv, NaN when it is not there."""
        return self.tests.get((weights, source), {}).get(metric, math.nan)


def read_results(folder: RunFolder) -> RunResults:
    """Read a run folder; whatever is missing is empty, whatever is broken is a complaint."""
    complaints: list[str] = []
    train = read_csv(folder.train_csv, required=["step"])
    val = read_csv(folder.val_csv, required=["step"])
    test = read_csv(folder.test_csv, required=["weights"])
    times = [time for rows in (train, val, test) for time in rows.numbers("time_unix_s") if _is_time(time)]
    if folder.test_csv.exists() and not test.rows and not test.complaints:
        complaints.append("test.csv holds a header and no row.")
    signs = (folder.config, folder.train_csv, folder.val_csv, folder.test_csv)
    return RunResults(
        is_training=any(sign.exists() for sign in signs),
        config=_read_config(folder.config, complaints),
        provenance=_read_provenance(folder.provenance, complaints),
        progress=read_progress(folder),
        train=_curve(train),
        val=_curve(val),
        tests=_tests(test),
        first_unix_s=min(times, default=math.nan),
        last_unix_s=max(times, default=math.nan),
        started_in=_started_in(folder),
        complaints=(*complaints, *train.complaints, *val.complaints, *test.complaints),
    )


def _curve(table: CsvRows) -> Curve:
    kept = CsvRows(table.columns, tuple(without_repeats(table.rows)))
    names = [name for name in table.columns if name != "step"]
    return Curve(
        np.asarray(kept.numbers("step"), dtype=np.float64),
        {name: np.asarray(kept.numbers(name), dtype=np.float64) for name in names},
    )


def _tests(table: CsvRows) -> dict[tuple[str, str], dict[str, float]]:
    tests: dict[tuple[str, str], dict[str, float]] = {}
    for row in table.rows:  # a test that was repeated after a resume stands there twice: the last one counts
        key = (str(row["weights"]), str(row.get("source", "")) or POOLED)
        tests[key] = {name: value for name, value in row.items() if isinstance(value, float)}
    return tests


def _read_config(path: Path, complaints: list[str]) -> Mapping[str, object]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (
        OSError,
        ValueError,
        yaml.YAMLError,
    ) as error:  # ValueError: no UTF-8, or a date such as 2001-99-99
        first_line = str(error).partition("\n")[0]
        complaints.append(f"config.yaml cannot be read ({first_line}); its settings are not compared.")
        return {}
    return raw if isinstance(raw, Mapping) else {}


def _read_provenance(path: Path, complaints: list[str]) -> Mapping[str, object]:
    raw = read_json(path)
    if isinstance(raw, dict):
        return raw
    if path.exists():
        complaints.append("provenance.json cannot be read; commit and data are not compared.")
    return {}


def _is_time(unix_s: float) -> bool:
    """Return whether this can be a time: a cut-off line can leave two numbers glued together."""
    return 0 < unix_s < YEAR_2100_UNIX_S


def _started_in(folder: RunFolder) -> Path:
    launch = read_json(folder.attempt(folder.newest_attempt()).launch)
    cwd = launch.get("cwd") if isinstance(launch, dict) else None
    return Path(cwd) if isinstance(cwd, str) else Path()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _paths(section: Mapping[str, object]) -> list[Path]:
    """Return what looks like the data's folder in a section of config or provenance."""
    names = ("root", "folder", "path", "dataset")
    return [Path(value) for name in names if isinstance(value := section.get(name), str)]


def _sheet_says_synthetic(place: Path) -> bool:
    for folder in (place, place.parent):
        mark = read_json(folder / DATASET_MARK)
        if isinstance(mark, dict):
            return mark.get("synthetic") is True
        for name in SHEET_NAMES:
            sheet = folder / name
            if sheet.is_file():
                return "synthetic" in sheet.read_text(encoding="utf-8", errors="replace").lower()
    return False
