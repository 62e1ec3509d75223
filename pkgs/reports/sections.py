"""What the report says, section by section: from numbers to sentences and shown tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import pandas as pd

from pkgs.reports.attempts import State
from pkgs.reports.comparison import SIGNIFICANT_P, Comparison, p_text
from pkgs.reports.document import Block, Bullets, Heading, Table, Text
from pkgs.reports.metrics import DASH, Metric, metric_of, number, span
from pkgs.reports.problems import Kind, Problem
from pkgs.reports.results import YEAR_2100_UNIX_S
from pkgs.reports.runs import Run, Study
from pkgs.reports.statistics import seeds_needed, smallest_p
from pkgs.reports.tables import SeedRow, seed_column, split_references

MAX_COLUMNS = 8
"""Metrics side by side in one table; more would not fit a laptop's screen."""
MAX_SOURCES = 40
"""More sources than these are no table for a page."""
PRIMARY = "last"
"""The primary endpoint: picking the best step by validation would hide a late collapse."""


def title(study: Study) -> str:
    return f"Study {study.name}"


def subtitle(study: Study, *, synthetic: bool) -> str:
    """Return how complete the study is, and of when the newest thing in it is."""
    done = sum(run.ending.state is State.COMPLETED for run in study.runs)
    parts = [
        counted(len(study.conditions), "condition"),
        counted(len(study.paired_seeds), "seed"),
        f"{done} of {len(study.runs)} runs completed",
        f"newest record {_newest(study)}",
    ]
    return " · ".join(parts + ["synthetic data"] * synthetic)


def counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _newest(study: Study) -> str:
    """Return the newest time in the inputs, never the present one: the same inputs give the same report."""
    times = [time for run in study.runs for time in (run.results.last_unix_s, run.usage.end_unix_s)]
    newest = max((time for time in times if 0 < time < YEAR_2100_UNIX_S), default=math.nan)
    if math.isnan(newest):
        return "without a time"
    return datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%d %H:%M UTC")


def in_short(
    rows: Sequence[SeedRow], endpoints: Sequence[Metric], comparisons: Sequence[Comparison]
) -> list[Block]:
    """Return the answer: each condition's level, each comparison as a sentence, and what n allows."""
    trained, references = split_references(rows)
    shown = [row for row in trained if row.weights == PRIMARY] + references
    levels: dict[str, list[str]] = {}
    for row in shown:
        if row.metric in endpoints:
            levels.setdefault(row.condition, []).append(level(row))
    blocks: list[Block] = [Heading("In short")]
    if not levels:
        return [*blocks, Text("No run has test results yet, so there is nothing to compare.")]
    blocks.append(Bullets([f"{name}: {', '.join(parts)}." for name, parts in levels.items()]))
    if not comparisons:
        return [*blocks, Text("There is one condition only, so there is nothing to compare it with.")]
    blocks.append(Bullets([one.sentence() for one in comparisons]))
    blocks.append(Text(what_n_allows(comparisons), quiet=True))
    return blocks


def level(row: SeedRow) -> str:
    """Return mean and spread of a condition in one metric: `IoU .757 ± .021 (sd over 5 seeds)`."""
    digits, summary = row.metric.digits, row.summary
    text = f"{row.metric.label} {number(summary.mean, digits)}"
    if len(set(row.values.values())) == 1:
        return f"{text} {'in every seed' if summary.n > 1 else '(one seed)'}"
    return f"{text} ± {number(summary.sd, digits)} (sd over {summary.n} seeds)"


def what_n_allows(comparisons: Sequence[Comparison]) -> str:
    """Return what the number of paired seeds can confirm at best."""
    n = max(len(one.differences) for one in comparisons)
    best = smallest_p(n)
    enough = seeds_needed(SIGNIFICANT_P)
    head = f"With {counted(n, 'paired seed')} the smallest exact p is {p_text(best)}"
    limit = (
        f", so nothing can be confirmed at p ≤ .05: a single comparison needs {enough} seeds for that"
        if best > SIGNIFICANT_P
        else ""
    )
    several = (
        f" The p values are not corrected for the {len(comparisons)} comparisons made here."
        if len(comparisons) > 1
        else ""
    )
    return f"{head}{limit}.{several}"


def what_is_odd(study: Study, problems: Sequence[Problem]) -> list[Block]:
    """Return what is missing, failed or changed; a sentence also when nothing is."""
    blocks: list[Block] = [Heading("Missing, failed, changed")]
    if problems:
        for kind in Kind:
            items = [problem.sentence for problem in problems if problem.kind is kind]
            if items:
                blocks += [Heading(str(kind), level=3), Bullets(items, warning=True)]
    else:
        blocks.append(
            Text(
                "Nothing: every condition has every seed, no run failed, and as far as recorded all seeds of "
                "a condition used the same settings, and all runs the same code and data."
            )
        )
    if study.set_aside:
        blocks.append(Text(f"Not read, set aside by reruns: {', '.join(study.set_aside)}.", quiet=True))
    return blocks


def overview_tables(
    study: Study, rows: Sequence[SeedRow], *, weights: str = PRIMARY, part: str = "", name: str = "mean_sd"
) -> list[Table]:
    """Return mean ± sd, a row per condition; metrics beyond the first eight are folded.

    Args:
        study: Its conditions have the rows of the table.
        rows: Of any conditions, weights and metrics.
        weights: Which of them.
        part: What the conditions are called together; empty for the whole study.
        name: Of the tables' files.
    """
    rows = [row for row in rows if row.condition in study.conditions]
    metrics = list(dict.fromkeys(row.metric for row in rows))
    parts = [metrics[k : k + MAX_COLUMNS] for k in range(0, len(metrics), MAX_COLUMNS)]
    cells = {(row.condition, row.metric.name): row for row in rows if row.weights == weights}
    caption = f"{weights.capitalize()} weights: mean ± sd over seeds"
    caption = f"{part}: {caption[0].lower()}{caption[1:]}" if part else caption
    return [
        Table(
            ["condition", *(metric.label for metric in group)],
            [
                [condition, *(_mean_sd(cells.get((condition, metric.name))) for metric in group)]
                for condition in study.conditions
            ],
            caption=f"{caption}, more metrics" if k else caption,
            folded=k > 0,
            name=f"{name}_{k + 1}" if len(parts) > 1 else name,
        )
        for k, group in enumerate(parts)
    ]


def _mean_sd(row: SeedRow | None) -> str:
    if row is None:
        return DASH
    digits = row.metric.digits
    return f"{number(row.summary.mean, digits)} ± {number(row.summary.sd, digits)}"


def seed_tables(
    study: Study, rows: Sequence[SeedRow], endpoints: Sequence[Metric], *, weights: str = PRIMARY
) -> list[Table]:
    """Return one table per metric: n, every seed's value, mean, sd, interval; only endpoints are open."""
    header = ["condition", "weights", "n", *(seed_column(seed).replace("_", " ") for seed in study.seeds)]
    header += ["mean", "sd", "95 % t interval"]
    trained, references = split_references(rows)
    ordered = [row for row in trained if row.weights == weights]
    ordered += [row for row in trained if row.weights != weights] + references
    tables = []
    for metric in dict.fromkeys(row.metric for row in rows):
        body = [_seed_cells(row, study) for row in ordered if row.metric == metric]
        folded = metric not in endpoints
        caption, name = f"{metric.label} by seed", f"seeds_{metric.name}"
        tables.append(Table(header, body, labels=2, caption=caption, folded=folded, name=name))
    return tables


def _seed_cells(row: SeedRow, study: Study) -> list[str]:
    digits, summary = row.metric.digits, row.summary
    values = [number(row.values.get(seed, math.nan), digits) for seed in study.seeds]
    spread = [number(summary.mean, digits), number(summary.sd, digits), span(summary.interval, digits)]
    return [row.condition, row.weights, str(summary.n), *values, *spread]


def comparison_table(comparisons: Sequence[Comparison], caption: str, *, folded: bool = False) -> Table:
    header = [
        "condition",
        "weights",
        "metric",
        "seeds",
        "mean difference",
        "95 % t interval",
        "improved",
        "p",
        "verdict",
    ]
    body = [
        [
            one.condition,
            one.weights,
            one.metric.label,
            str(len(one.differences)),
            number(one.summary.mean, one.metric.digits, signed=True),
            span(one.summary.interval, one.metric.digits, signed=True),
            DASH if one.metric.higher_is_better is None else f"{one.improved}/{len(one.differences)}",
            p_text(one.p),
            str(one.verdict),
        ]
        for one in comparisons
    ]
    return Table(header, body, labels=3, caption=caption, folded=folded)


def source_tables(
    frame: pd.DataFrame, study: Study, endpoints: Sequence[Metric], *, weights: str = PRIMARY
) -> list[Table]:
    """Return, per endpoint, each source's mean over seeds, a column per condition, and the macro mean."""
    tables = []
    for metric in endpoints:
        part = frame[(frame["metric"] == metric.name) & (frame["weights"] == weights)]
        if part.empty:
            continue
        wide = part.pivot_table(index="source", columns="condition", values="mean").reindex(
            columns=list(study.conditions)
        )
        many = len(wide) > MAX_SOURCES
        body = [
            [str(source), *(number(float(value), metric.digits) for value in line)]
            for source, line in zip(wide.index, wide.to_numpy(), strict=True)
            if not many
        ]
        body.append(["macro mean", *(number(float(value), metric.digits) for value in wide.mean(axis=0))])
        caption = f"{metric.label} per source: mean over seeds, {weights} weights"
        caption += f"; all {len(wide)} sources stand in tables/sources.csv" if many else ""
        name = f"sources_{metric.name}"
        tables.append(Table(["source", *study.conditions], body, caption=caption, folded=True, name=name))
    return tables


def runs_table(study: Study) -> Table:
    """Return how each run ended and what it cost; energy only where somebody measured it."""
    runs = [*study.other_jobs, *study.runs]
    energy = any(math.isfinite(run.usage.energy_j) for run in runs)
    header = ["run", "ended", "attempts", "wall time", "CPU time", "peak memory"] + ["energy"] * energy
    return Table(header, [_run_cells(run, energy=energy) for run in runs], labels=2)


def _run_cells(run: Run, *, energy: bool) -> list[str]:
    usage = run.usage
    at_least = "≥ " if usage.without_end and math.isfinite(usage.wall_s) else ""
    memory = DASH if math.isnan(usage.peak_rss_mib) else f"{usage.peak_rss_mib:.0f} MiB"
    used = DASH if math.isnan(usage.energy_j) else f"{usage.energy_j / 3600:.1f} Wh"
    cells = [run.name, str(run.ending.state), str(usage.attempts or DASH)]
    return [*cells, at_least + duration(usage.wall_s), duration(usage.cpu_s), memory] + [used] * energy


def duration(seconds: float) -> str:
    """Return `8.2 s`, `3 min 05 s` or `2 h 10 min`; a dash for NaN."""
    if math.isnan(seconds):
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def how_to_read() -> list[Block]:
    margins = ", ".join(
        f"{metric_of(name).label} {number(metric_of(name).margin or 0, metric_of(name).digits)}"
        for name in ("iou", "ece_fg")
    )
    return [
        Heading("How to read this"),
        Text(
            "Metrics are pooled over all test pixels unless a name says otherwise; ECE and MCE are those of "
            "the foreground probability in 15 equal bins. The primary endpoint is the last weights. "
            "Differences are taken seed by seed. The t interval assumes that differences are roughly normal; "
            "the sign-flip p assumes nothing but symmetry and is exact over all choices of signs. Better or "
            f"worse: the interval excludes 0 and the mean passes the margin ({margins}); equivalent: the "
            "whole interval lies within the margin; anything else is no clear difference.",
            quiet=True,
        ),
    ]
