"""Conditions against the base, seed by seed: differences, intervals, exact p, and one plain sentence each."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pkgs.foundation.registry import choose
from pkgs.reports.metrics import Metric, number, span
from pkgs.reports.runs import Study, StudyError
from pkgs.reports.statistics import Summary, sign_flip_p, smallest_p, summarise

SIGNIFICANT_P = 0.05


class Verdict(StrEnum):
    """What a comparison allows to say."""

    BETTER = "better"
    WORSE = "worse"
    IDENTICAL = "identical in every seed"
    EQUIVALENT = "equivalent"
    """The whole interval lies within the margin."""
    UNCLEAR = "no clear difference"
    UNKNOWN = "no statement possible"
    """Fewer than two seeds in common."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One condition against the base in one metric."""

    condition: str
    base: str
    weights: str
    metric: Metric
    seeds: tuple[int | None, ...]
    differences: tuple[float, ...]
    """Condition minus base, seed by seed."""
    summary: Summary
    p: float
    improved: int
    """Seeds whose difference goes into the better direction."""

    @property
    def verdict(self) -> Verdict:
        interval = self.summary.interval
        if interval is None:
            return Verdict.UNKNOWN
        if not any(self.differences):
            return Verdict.IDENTICAL
        margin = self.metric.margin or 0.0
        if margin and interval.within(margin):
            return Verdict.EQUIVALENT
        clear = interval.excludes_zero() and abs(self.summary.mean) >= margin
        if not clear or self.metric.higher_is_better is None:
            return Verdict.UNCLEAR
        return Verdict.BETTER if (self.summary.mean > 0) == self.metric.higher_is_better else Verdict.WORSE

    def sentence(self) -> str:
        """Return the comparison as people would say it."""
        n, digits = len(self.differences), self.metric.digits
        head = f"{self.condition} against {self.base}, {n} seed{'' if n == 1 else 's'}: {self.metric.label}"
        if n == 0:
            return f"{self.condition} against {self.base}: {self.metric.label}: no seed in common yet."
        mean = number(self.summary.mean, digits, signed=True)
        if self.verdict is Verdict.UNKNOWN:
            return f"{head} {mean}; one seed gives no interval: {self.verdict}."
        if self.verdict is Verdict.IDENTICAL:
            return f"{head}: {self.verdict}."
        interval = span(self.summary.interval, digits, signed=True)
        return f"{head} {mean} (95 % t {interval}), p {p_text(self.p)}: {self.verdict}{self._doubt()}."

    def _doubt(self) -> str:
        if self.verdict not in (Verdict.BETTER, Verdict.WORSE) or self.p <= SIGNIFICANT_P:
            return ""
        return f", not confirmed (smallest possible p {p_text(smallest_p(len(self.differences)))})"


def p_text(p: float) -> str:
    """Return a p value with as many digits as matter: `.25`, `.125`, `.0625`."""
    if math.isnan(p):
        return "not computed"
    text = number(p, 4 if p < 0.1 else 3)
    return text.removesuffix("0") if p >= 0.1 else text


def choose_base(study: Study, wish: str | None) -> str:
    """Return the base: what the user asked for, else the one called `*baseline*`, else the first.

    Raises:
        StudyError: If the user asked for a condition that the study does not have.
    """
    conditions = study.conditions
    if wish is not None:
        try:
            return choose("condition", {name: name for name in conditions}, wish)
        except ValueError as error:
            raise StudyError(f"--base {wish}: {error}") from None
    named = fnmatch.filter(conditions, "*baseline*")
    return named[0] if named else conditions[0]


def compare(study: Study, base: str, *, weights: str, metrics: Sequence[Metric]) -> list[Comparison]:
    """Compare every other condition with `base`, by the seeds that have a finite number on both sides."""
    return [
        compare_two(study, condition, base=base, weights=weights, metric=metric)
        for condition in study.conditions
        if condition != base
        for metric in metrics
    ]


def compare_two(study: Study, condition: str, *, base: str, weights: str, metric: Metric) -> Comparison:
    """Compare one condition with another; without a seed in common the comparison is empty."""
    there = {run.seed: run.results.test(weights, metric.name) for run in study.of(base)}
    here = {run.seed: run.results.test(weights, metric.name) for run in study.of(condition)}
    pairs = {seed: here[seed] - there[seed] for seed in study.seeds if seed in here and seed in there}
    pairs = {seed: difference for seed, difference in pairs.items() if math.isfinite(difference)}
    differences = tuple(pairs.values())
    wanted = 0 if metric.higher_is_better is None else 1 if metric.higher_is_better else -1
    return Comparison(
        condition=condition,
        base=base,
        weights=weights,
        metric=metric,
        seeds=tuple(pairs),
        differences=differences,
        summary=summarise(differences),
        p=sign_flip_p(differences),
        improved=sum(difference * wanted > 0 for difference in differences),
    )
