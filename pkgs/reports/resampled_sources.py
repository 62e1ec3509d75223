"""The two-level bootstrap of a comparison: test sources are drawn anew, then seeds.

Asks how far a difference holds for other sources than those that happen to be in the test set. All
comparisons use the same draws, so each run's metric is computed once for all resamples.
"""

from __future__ import annotations

import math

import numpy as np

from pkgs.reports.bootstrap import Numbers, source_draws, two_level_interval
from pkgs.reports.comparison import Comparison
from pkgs.reports.metrics import Metric, number
from pkgs.reports.runs import Run, Study
from pkgs.reports.source_sums import FILE, MEASURES, SourceSums, measured, read_source_sums
from pkgs.reports.statistics import Interval

TOLERANCE = 1e-4
"""A table's pooled metric and that of the sums may differ by rounding, not by more."""


class ResampledSources:
    """Metrics of each run under every resample of the test sources, computed when first asked for."""

    def __init__(self, study: Study, weights: str) -> None:
        self.complaints: list[str] = []
        """What is wrong with the sums of which run."""
        self._runs = {(run.condition, run.seed): run for run in study.runs}
        self._weights = weights
        self._sums: dict[tuple[str, int | None], SourceSums | None] = {}
        self._metrics: dict[tuple[str, int | None, str], Numbers] = {}

    def interval(self, one: Comparison) -> Interval | None:
        """Return the 95 % interval of the mean difference, None where sums of two sources are not there."""
        keys = [(name, seed) for name in (one.condition, one.base) for seed in one.seeds]
        sums = [self._of(key) for key in keys]
        known = {each.sources for each in sums if each}
        if one.metric.name not in MEASURES or None in sums or len(known) != 1 or len(next(iter(known))) < 2:
            return None
        here, there = (
            np.stack([self._metric((name, seed), one.metric) for seed in one.seeds], axis=1)
            for name in (one.condition, one.base)
        )
        return two_level_interval(here - there)

    def _metric(self, key: tuple[str, int | None], metric: Metric) -> Numbers:
        found = self._metrics.get((*key, metric.name))
        if found is None:
            sums = self._of(key)
            assert sums is not None
            draws = source_draws(len(sums.sources))
            found = measured(sums, metric.name, weights_BG=draws)
            self._metrics[(*key, metric.name)] = found
        return found

    def _of(self, key: tuple[str, int | None]) -> SourceSums | None:
        if key not in self._sums:
            run = self._runs[key]
            sums, complaints = read_source_sums(run.folder, self._weights)
            self.complaints += [f"{run.name}: {complaint}" for complaint in complaints]
            self._sums[key] = sums if sums and self._fits(run, sums) else None
        return self._sums[key]

    def _fits(self, run: Run, sums: SourceSums) -> bool:
        """Return whether the sums give the metrics of test.csv; else one of the two is from another run."""
        whole = np.ones((1, len(sums.sources)))
        for name in MEASURES:
            told = run.results.test(self._weights, name)
            found = float(measured(sums, name, weights_BG=whole)[0])
            if math.isfinite(told) and abs(told - found) > TOLERANCE:
                self.complaints.append(
                    f"{run.name}: predictions/{FILE} gives {name} {number(found, 4)}, test.csv "
                    f"{number(told, 4)}: one of the two is from another run; no interval over sources."
                )
                return False
        return True
