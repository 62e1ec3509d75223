"""The planned comparisons: two intervals, effect size, exact p with Holm's correction, and a verdict.

A pair that cannot be compared yet, or lacks seeds, says so in its sentence and keeps its place in the family.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pkgs.reports.attempts import State
from pkgs.reports.bootstrap import bca_interval
from pkgs.reports.comparison import SIGNIFICANT_P, Comparison, Verdict, compare_two, p_text
from pkgs.reports.metrics import Metric, metric_of, number, span
from pkgs.reports.plan import Family, ReportPlan
from pkgs.reports.resampled_sources import ResampledSources
from pkgs.reports.results import POOLED
from pkgs.reports.runs import Run, Study
from pkgs.reports.statistics import Interval, all_equal, effect_size, holm, paired_t_p
from pkgs.reports.study_parts import beside

DIVERGED, MISSING, UNFINISHED = "diverged", "is missing", "is unfinished"
PENDING = (MISSING, UNFINISHED, str(State.STOPPED))
DEFAULT_FAMILY = "against the base"


@dataclass(frozen=True, slots=True)
class Pair:
    """One planned comparison in one endpoint."""

    comparison: Comparison
    family: str
    family_size: int
    """Planned comparisons in the family: pairs times endpoints."""
    bca: Interval | None
    """None for fewer than two seeds, and where all differences are equal ("degenerate")."""
    effect: float
    """d_z times Hedges' J; NaN where there is no sd."""
    p_t: float
    p_holm: float
    by_source: Interval | None
    """Two-level bootstrap over test sources and seeds; None without the sums of two sources."""
    lacking: tuple[str, ...]
    """Seeds that are not counted and why, such as `seed 13 (joint diverged)`."""
    diverged: bool
    """Whether a seed of the condition diverged, so that what is left looks better than it is."""
    pending: bool
    """Whether a run that is missing or unfinished may still change the verdict."""

    @property
    def verdict(self) -> Verdict:
        """What both intervals together allow to say."""
        one, metric = self.comparison, self.comparison.metric
        if one.summary.interval is None:
            return Verdict.UNKNOWN
        if not any(one.differences):
            return Verdict.IDENTICAL
        if self.bca is None:  # all differences equal: no interval, so nothing is clear
            return Verdict.UNCLEAR
        margin, intervals = metric.margin or 0.0, (one.summary.interval, self.bca)
        if all(interval.within(margin) for interval in intervals):
            return Verdict.EQUIVALENT
        clear = all(interval.excludes_zero() for interval in intervals) and abs(one.summary.mean) >= margin
        if not clear or metric.higher_is_better is None:
            return Verdict.UNCLEAR
        return Verdict.BETTER if (one.summary.mean > 0) == metric.higher_is_better else Verdict.WORSE

    @property
    def confirmed(self) -> bool:
        return self.verdict in (Verdict.BETTER, Verdict.WORSE) and self.p_holm <= SIGNIFICANT_P

    @property
    def verdict_text(self) -> str:
        """Return the verdict with what it is worth: confirmed or not, in spite of which seeds."""
        if self.verdict not in (Verdict.BETTER, Verdict.WORSE):
            return str(self.verdict)
        return f"{self.verdict}, {'confirmed' if self.confirmed else 'not confirmed'}"

    @property
    def passes(self) -> bool:
        """Whether a question may count on it: better, and no seed of the condition diverged."""
        return self.verdict is Verdict.BETTER and not self.diverged

    def sentence(self) -> str:
        """Return the comparison in one sentence, numbers and verdict."""
        one, digits = self.comparison, self.comparison.metric.digits
        n, label = len(one.differences), one.metric.label
        head = f"{one.condition} against {one.base}, {n} seed{'' if n == 1 else 's'}: {label}"
        if n == 0:
            why = "; ".join(self.lacking) or "no seed in common yet"
            return f"{one.condition} against {one.base}: {label}: {Verdict.UNKNOWN}, {why}."
        without = f"; without {', '.join(self.lacking)}" if self.lacking else ""
        mean = number(one.summary.mean, digits, signed=True)
        if self.verdict is Verdict.UNKNOWN:
            return f"{head} {mean}; one seed gives no interval: {Verdict.UNKNOWN}{without}."
        if self.verdict is Verdict.IDENTICAL:
            return f"{head}: {Verdict.IDENTICAL}{without}."
        numbers = f"{mean} (BCa {self.bca_text}; t {span(one.summary.interval, digits, signed=True)})"
        tests = f"d {number(self.effect, 1, signed=True)}, p {p_text(one.p)} (Holm {p_text(self.p_holm)})"
        return f"{head} {numbers}, {tests}: {self.verdict_text}{without}."

    @property
    def bca_text(self) -> str:
        one = self.comparison
        if self.bca is None and len(one.differences) > 1 and all_equal(one.differences):
            return "degenerate"
        return span(self.bca, one.metric.digits, signed=True)


def endpoints_of(plan: ReportPlan) -> tuple[Metric, ...]:
    """Return the plan's endpoints with its margins."""
    return tuple(replace(metric_of(name), margin=plan.margins[name]) for name in plan.endpoints)


def families_of(plan: ReportPlan, study: Study) -> tuple[Family, ...]:
    """Return the plan's families, or one of every condition found against the base."""
    others = tuple(condition for condition in study.conditions if condition != plan.base)
    if plan.families or not others:
        return plan.families
    return (Family(name=DEFAULT_FAMILY, pairs=tuple((condition, plan.base) for condition in others)),)


def compare_planned(study: Study, plan: ReportPlan) -> tuple[list[Pair], list[str]]:
    """Return every planned comparison, family by family, and sentences about sums that cannot be used."""
    sources = ResampledSources(study, plan.weights)
    pairs = [pair for family in families_of(plan, study) for pair in _family(study, plan, family, sources)]
    return pairs, sources.complaints


def _family(study: Study, plan: ReportPlan, family: Family, sources: ResampledSources) -> Iterator[Pair]:
    endpoints = endpoints_of(plan)
    made = [
        compare_two(study, condition, base=base, weights=plan.weights, metric=metric)
        for condition, base in family.pairs
        for metric in endpoints
    ]
    corrected = holm([one.p if one.differences else math.nan for one in made])
    for one, p_holm in zip(made, corrected, strict=True):
        near = beside(study, plan, (one.base, one.condition))
        troubles = {
            name: _troubles(near, name, weights=plan.weights, metric=one.metric)
            for name in (one.base, one.condition)
        }
        yield Pair(
            comparison=one,
            family=family.name,
            family_size=len(made),
            bca=bca_interval(one.differences),
            effect=effect_size(one.differences),
            p_t=paired_t_p(one.differences),
            p_holm=p_holm,
            by_source=sources.interval(one),
            lacking=_lacking(near, one, troubles),
            diverged=DIVERGED in troubles[one.condition].values(),
            pending=any(why in PENDING for about in troubles.values() for why in about.values()),
        )


def _troubles(study: Study, condition: str, *, weights: str, metric: Metric) -> dict[int | None, str]:
    """Return why the condition has no number for a seed of the study; seeds that have one are left out."""
    runs = {run.seed: run for run in study.of(condition)}
    found = {seed: _trouble(runs.get(seed), weights=weights, metric=metric) for seed in study.paired_seeds}
    return {seed: why for seed, why in found.items() if why}


def _trouble(run: Run | None, *, weights: str, metric: Metric) -> str | None:
    if run is None:
        return MISSING
    row, state = run.results.tests.get((weights, POOLED), {}), run.ending.state
    if math.isfinite(row.get(metric.name, math.nan)):
        return None
    if state is State.DIVERGED or run.results.train.diverged("loss") or metric.name in row:
        return DIVERGED
    if state is State.COMPLETED:
        return f"has no {metric.label}"
    return UNFINISHED if state is State.UNFINISHED else str(state)


def _lacking(
    study: Study, one: Comparison, troubles: Mapping[str, Mapping[int | None, str]]
) -> tuple[str, ...]:
    """Return the seeds that the comparison lacks, each with its reason."""
    absent = [name for name in troubles if not study.of(name)]
    if absent:
        return (" and ".join(absent) + (" are missing" if len(absent) > 1 else " is missing"),)
    found = []
    for seed in (seed for seed in study.paired_seeds if seed not in one.seeds):
        reasons = [f"{name} {why[seed]}" for name, why in troubles.items() if seed in why]
        found.append(f"seed {seed} ({' and '.join(reasons)})")
    return tuple(found)
