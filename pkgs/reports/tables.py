"""The report's numbers as data frames: what goes into tables/*.csv, with full digits.

How they look on the page is for sections.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from pkgs.reports.comparison import Comparison
from pkgs.reports.metrics import Metric, metrics_among
from pkgs.reports.pairs import Pair
from pkgs.reports.questions import Answer
from pkgs.reports.results import MACRO, POOLED
from pkgs.reports.runs import Study
from pkgs.reports.statistics import Summary, summarise

TRAINED = ("last", "best", "ema")
"""Weights that the training left, `ema` their moving average; `last` is the primary endpoint. Other rows of
test.csv are references."""

REFERENCE_LABELS = {"threshold": "best global threshold"}
"""What other names in the column `weights` stand for: numbers to be beaten, without a network."""

Seed = int | None


@dataclass(frozen=True, slots=True)
class SeedRow:
    """One condition, one set of weights, one metric, over its seeds."""

    metric: Metric
    condition: str
    weights: str
    values: Mapping[Seed, float]
    summary: Summary


def measured_metrics(study: Study) -> list[Metric]:
    """Return the metrics that any pooled test row of the study holds a finite number for."""
    columns = {
        name
        for run in study.runs
        for (_, source), values in run.results.tests.items()
        for name, value in values.items()
        if source == POOLED and math.isfinite(value)
    }
    return metrics_among(columns)


def weights_of(study: Study) -> list[str]:
    """Return the names in the column `weights`: those of the training first, then the references."""
    found = {weights for run in study.runs for weights, _ in run.results.tests}
    return [name for name in TRAINED if name in found] + sorted(found - set(TRAINED))


def seed_rows(study: Study, metrics: Sequence[Metric]) -> list[SeedRow]:
    """Return a row per metric, condition and weights that has at least one number."""
    return [
        row
        for metric in metrics
        for condition in study.conditions
        for weights in weights_of(study)
        for row in _seed_row(study, condition, weights=weights, metric=metric)
    ]


def _seed_row(study: Study, condition: str, *, weights: str, metric: Metric) -> Iterator[SeedRow]:
    runs = [run for run in study.of(condition) if (weights, POOLED) in run.results.tests]
    values = {run.seed: run.results.test(weights, metric.name) for run in runs}
    if any(math.isfinite(value) for value in values.values()):
        yield SeedRow(metric, condition, weights, values, summarise(list(values.values())))


def split_references(rows: Sequence[SeedRow]) -> tuple[list[SeedRow], list[SeedRow]]:
    """Return the rows of trained weights, and the references, one row where all conditions agree on them.

    A reference needs no training, so runs on the same data agree; where they do not, each condition keeps its
    own.
    """
    trained = [row for row in rows if row.weights in TRAINED]
    groups: dict[tuple[Metric, str], list[SeedRow]] = {}
    for row in rows:
        if row.weights not in TRAINED:
            groups.setdefault((row.metric, row.weights), []).append(row)
    references: list[SeedRow] = []
    for (metric, weights), group in groups.items():
        label = REFERENCE_LABELS.get(weights, weights)
        together: dict[Seed, float] = {}
        for row in group:
            together = dict(row.values) | together
        agree = all(together[seed] == value for row in group for seed, value in row.values.items())
        if agree:
            references.append(SeedRow(metric, label, "", together, summarise(list(together.values()))))
        else:
            references += [replace(row, condition=f"{label} ({row.condition})", weights="") for row in group]
    return trained, references


def seeds_frame(rows: Sequence[SeedRow], seeds: Sequence[Seed]) -> pd.DataFrame:
    """Return mean, sd, interval and every seed's value of each row."""
    return pd.DataFrame(
        [
            {
                "metric": row.metric.name,
                "condition": row.condition,
                "weights": row.weights,
                "n": row.summary.n,
                "mean": row.summary.mean,
                "sd": row.summary.sd,
                "t_low": row.summary.interval.low if row.summary.interval else math.nan,
                "t_high": row.summary.interval.high if row.summary.interval else math.nan,
            }
            | {seed_column(seed): row.values.get(seed, math.nan) for seed in seeds}
            for row in rows
        ]
    )


def seed_column(seed: Seed) -> str:
    return "value" if seed is None else f"seed_{seed}"


def comparisons_frame(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Return every paired comparison with its differences by seed."""
    return pd.DataFrame(
        [
            {
                "metric": one.metric.name,
                "condition": one.condition,
                "base": one.base,
                "weights": one.weights,
                "n": len(one.differences),
                "mean_difference": one.summary.mean,
                "sd": one.summary.sd,
                "t_low": one.summary.interval.low if one.summary.interval else math.nan,
                "t_high": one.summary.interval.high if one.summary.interval else math.nan,
                "seeds_improved": one.improved,
                "p_sign_flip": one.p,
                "verdict": str(one.verdict),
                "differences": " ".join(
                    f"{seed_column(seed)}={difference:.6g}"
                    for seed, difference in zip(one.seeds, one.differences, strict=True)
                ),
            }
            for one in comparisons
        ]
    )


def sources_frame(study: Study, metrics: Sequence[Metric]) -> pd.DataFrame:
    """Return each metric per source of the test data: mean and sd over seeds; empty without sources."""
    records = [
        {"metric": metric.name, "condition": run.condition, "weights": weights, "source": source}
        | {"value": values.get(metric.name, math.nan)}
        for run in study.runs
        for (weights, source), values in run.results.tests.items()
        for metric in metrics
        if source not in (POOLED, MACRO)
    ]
    if not records:
        return pd.DataFrame(columns=["metric", "condition", "weights", "source", "n", "mean", "sd"])
    keys = ["metric", "condition", "weights", "source"]
    values = pd.DataFrame(records).groupby(keys, sort=True)["value"]
    return values.agg(n="count", mean="mean", sd="std").reset_index()


def runs_frame(study: Study) -> pd.DataFrame:
    """Return how each run ended and what it cost."""
    return pd.DataFrame(
        [
            {
                "condition": run.condition,
                "seed": "" if run.seed is None else run.seed,
                "state": str(run.ending.state),
                "attempts": run.usage.attempts,
                "attempts_without_end": run.usage.without_end,
                "wall_s": run.usage.wall_s,
                "cpu_s": run.usage.cpu_s,
                "peak_rss_mib": run.usage.peak_rss_mib,
                "energy_j": run.usage.energy_j,
                "commit": run.results.commit or "",
                "data_fingerprint": run.results.data_fingerprint or "",
            }
            for run in (*study.other_jobs, *study.runs)
        ]
    )


def pairs_frame(pairs: Sequence[Pair]) -> pd.DataFrame:
    """Return every planned comparison with all its statistics and its sentence."""
    return pd.DataFrame([_pair_record(pair) for pair in pairs])


def _pair_record(pair: Pair) -> dict[str, object]:
    one = pair.comparison
    intervals = {"t": one.summary.interval, "bca": pair.bca, "sources_and_seeds": pair.by_source}
    ends = {
        f"{name}_{end}": getattr(interval, end) if interval else math.nan
        for name, interval in intervals.items()
        for end in ("low", "high")
    }
    return {
        "family": pair.family,
        "family_size": pair.family_size,
        "condition": one.condition,
        "base": one.base,
        "weights": one.weights,
        "metric": one.metric.name,
        "n": len(one.differences),
        "mean_difference": one.summary.mean,
        "sd": one.summary.sd,
        **ends,
        "d_z_hedges": pair.effect,
        "seeds_improved": one.improved,
        "p_t": pair.p_t,
        "p_sign_flip": one.p,
        "p_holm": pair.p_holm,
        "verdict": pair.verdict_text,
        "not_counted": "; ".join(pair.lacking),
        "sentence": pair.sentence(),
    }


def beside_frame(pairs: Sequence[Pair], rows: Sequence[SeedRow], *, base: str) -> pd.DataFrame:
    """Return each condition's level and difference from the base by metric: a study's table of ablations."""
    levels = {(row.metric.name, row.condition, row.weights): row.summary for row in rows}
    return pd.DataFrame(
        [
            {
                "condition": one.condition,
                "metric": one.metric.name,
                "n": len(one.differences),
                "mean": summary.mean if summary else math.nan,
                "sd": summary.sd if summary else math.nan,
                "mean_difference": one.summary.mean,
                "verdict": pair.verdict_text,
            }
            for pair in pairs
            if (one := pair.comparison).base == base
            for summary in [levels.get((one.metric.name, one.condition, one.weights))]
        ]
    )


def answers_frame(answers: Sequence[Answer]) -> pd.DataFrame:
    """Return the plan's questions with their answers."""
    rows = [(one.question.name, one.question.text, str(one.outcome), one.reasons) for one in answers]
    return pd.DataFrame(rows, columns=["question", "text", "outcome", "reasons"])
