"""The sums of predictions/calibration.csv: counts and bins per test source, and metrics of any mix.

Sums can be added over sources, so a metric of a resample is exact and not a mean of the sources' metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pkgs.foundation.run_folder import RunFolder
from pkgs.reports.csv_rows import Row, read_csv
from pkgs.reports.results import MACRO, POOLED

Numbers = NDArray[np.float64]
FILE: Final = "calibration.csv"
COUNTS: Final = ("tp", "fp", "fn", "tn")
BINS: Final = ("count", "sum_p", "sum_y")


@dataclass(frozen=True)
class SourceSums:
    """What one set of weights did on each test source, as sums over its pixels."""

    sources: tuple[str, ...]
    counts_G4: Numbers  # noqa: N815 - shape suffix
    """tp, fp, fn, tn at p >= .5."""
    bins_GK3: Numbers  # noqa: N815 - shape suffix
    """Per bin of p: pixels, sum of p, sum of foreground."""


def _iou(counts_B4: Numbers, _: Numbers) -> Numbers:
    tp, fp, fn, _tn = counts_B4.T
    return _share(tp, tp + fp + fn)


def _dice(counts_B4: Numbers, _: Numbers) -> Numbers:
    tp, fp, fn, _tn = counts_B4.T
    return _share(2 * tp, 2 * tp + fp + fn)


def _accuracy(counts_B4: Numbers, _: Numbers) -> Numbers:
    tp, fp, fn, tn = counts_B4.T
    return _share(tp + tn, tp + fp + fn + tn)


def _ece(_: Numbers, bins_BK3: Numbers) -> Numbers:
    return np.asarray(_gaps(bins_BK3).sum(axis=1) / np.maximum(bins_BK3[:, :, 0].sum(axis=1), 1))


def _mce(_: Numbers, bins_BK3: Numbers) -> Numbers:
    return np.asarray((_gaps(bins_BK3) / np.maximum(bins_BK3[:, :, 0], 1)).max(axis=1))


def _gaps(bins_BK3: Numbers) -> Numbers:
    return np.asarray(np.abs(bins_BK3[:, :, 1] - bins_BK3[:, :, 2]))


def _share(part: Numbers, whole: Numbers) -> Numbers:
    """Return part / whole, 1 where both are empty: nothing was there and nothing was found."""
    return np.asarray(np.where(whole > 0, part / np.maximum(whole, 1), 1.0))


MEASURES: Final[Mapping[str, Callable[[Numbers, Numbers], Numbers]]] = {
    "iou": _iou,
    "dice": _dice,
    "accuracy": _accuracy,
    "ece_fg": _ece,
    "mce_fg": _mce,
}
"""Metrics that the sums determine, by their column in test.csv."""


def measured(sums: SourceSums, metric: str, *, weights_BG: Numbers) -> Numbers:
    """Return one of `MEASURES` for each mix of sources, pooled over all pixels of the mix, [B].

    Args:
        sums: Of G sources.
        metric: A key of `MEASURES`.
        weights_BG: How often each source stands in each mix.
    """
    sources, bins, _ = sums.bins_GK3.shape
    pooled = weights_BG @ sums.bins_GK3.reshape(sources, -1)
    return MEASURES[metric](weights_BG @ sums.counts_G4, pooled.reshape(-1, bins, len(BINS)))


def read_source_sums(folder: RunFolder, weights: str) -> tuple[SourceSums | None, tuple[str, ...]]:
    """Return the sums of one set of weights, None where there are none, and what cannot be read."""
    table = read_csv(folder.predictions / FILE, required=("weights", "source", "bin", *BINS, *COUNTS))
    complaints = tuple(f"predictions/{complaint}" for complaint in table.complaints)
    by_source: dict[str, dict[float, Row]] = {}
    for row in table.rows:
        source, number = str(row["source"]), row["bin"]
        if row["weights"] == weights and source not in (POOLED, MACRO) and isinstance(number, float):
            by_source.setdefault(source, {})[number] = row
    if not by_source:
        return None, complaints
    numbers = sorted({number for rows in by_source.values() for number in rows})
    lacking = [source for source, rows in by_source.items() if len(rows) < len(numbers)]
    if lacking:
        text = f"predictions/{FILE}: source {lacking[0]} lacks bins; the sums of all sources are left out."
        return None, (*complaints, text)
    sources = tuple(sorted(by_source))
    first = [next(iter(by_source[source].values())) for source in sources]  # counts repeat in every bin
    bins = [[_cells(by_source[source][number], BINS) for number in numbers] for source in sources]
    sums = SourceSums(sources, np.asarray([_cells(row, COUNTS) for row in first]), np.asarray(bins))
    if not (np.isfinite(sums.counts_G4).all() and np.isfinite(sums.bins_GK3).all()):
        return None, (*complaints, f"predictions/{FILE} holds a sum that is no number; left out.")
    return sums, complaints


def _cells(row: Row, names: tuple[str, ...]) -> list[float]:
    return [float(row[name]) for name in names]
