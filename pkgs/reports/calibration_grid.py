"""Reliability of the predicted probabilities: a line per condition, a column per seed, and their average."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pkgs.reports.metrics import metric_of, number
from pkgs.reports.plot_style import (
    FULL_WIDTH_IN,
    QUIET,
    Drawing,
    finish,
    in_pages,
    legend_above,
    new_figure,
    styled,
)
from pkgs.reports.prediction_tables import BINS, Bins, Numbers, StudyTables
from pkgs.reports.runs import Study
from pkgs.reports.statistics import summarise

CONDITIONS_PER_FIGURE = 4
SEEDS_SHOWN = 5
"""Columns beside the average: more would make each narrower than its text."""
LONGEST_NAME = 21
"""Characters of 9 pt that fit beside a panel; longer names of conditions are set smaller."""
FEW_PIXELS = 100
"""Bins with fewer are drawn paler: their height is chance."""
EDGES = np.linspace(0, 1, BINS + 1)
MIDDLES = (EDGES[:-1] + EDGES[1:]) / 2
BAR, GAP = "#56B4E9", "#D55E00"
PALE = 0.35
TICKS, TICK_LABELS = (0, 0.5, 1), ("0", ".5", "1")
ECE, MCE = metric_of("ece_fg"), metric_of("mce_fg")

Seed = int | None
SeedBins = dict[Seed, Bins]


def draw_calibration(study: Study, tables: StudyTables, *, weights: str, synthetic: bool) -> list[Drawing]:
    """Return reliability bars, as many figures as the conditions need; none without calibration sums.

    Args:
        study: Its conditions, in this order.
        tables: What its runs left.
        weights: Which of a run's weights, for instance `last`.
        synthetic: Stamps the figures.
    """
    found = {condition: _seeds(study, tables, condition, weights=weights) for condition in study.conditions}
    shown = [condition for condition, seeds in found.items() if seeds]
    pages = in_pages(shown, per_page=CONDITIONS_PER_FIGURE)
    seeds = [seed for seed in study.seeds if any(seed in by_seed for by_seed in found.values())]
    if len(seeds) > 1:  # a run without a seed stands in its average
        seeds = [seed for seed in seeds if seed is not None]
    return [
        _figure(
            {condition: found[condition] for condition in page},
            seeds,
            weights=weights,
            place=place,
            synthetic=synthetic,
        )
        for place, page in enumerate(pages, start=1)
    ]


def _seeds(study: Study, tables: StudyTables, condition: str, *, weights: str) -> SeedBins:
    return {
        run.seed: tables.of(run).calibration[weights]
        for run in study.of(condition)
        if weights in tables.of(run).calibration
    }


def _figure(
    lines: dict[str, SeedBins], known: Sequence[Seed], *, weights: str, place: int, synthetic: bool
) -> Drawing:
    columns = known[:SEEDS_SHOWN]
    with styled(grid=False):
        width = min(FULL_WIDTH_IN, 1.75 * (len(columns) + 1) + 1.0)
        figure = new_figure(max(width, 5.5), 1.75 * len(lines) + 0.95)
        grid = figure.subplots(len(lines), len(columns) + 1, squeeze=False)  # shared axes cost a third more
        for row, (condition, seeds) in zip(grid, lines.items(), strict=True):
            for axes, seed in zip(row, columns, strict=False):
                if seed in seeds:
                    _seed_panel(axes, seeds[seed])
                else:
                    axes.text(0.5, 0.5, "no sums", ha="center", va="center", color=QUIET)
            _average_panel(row[-1], list(seeds.values()))
            for axes in row:
                axes.set(xlim=(0, 1), ylim=(0, 1), xticks=TICKS, yticks=TICKS, xticklabels=(), yticklabels=())
            row[0].set_yticklabels(TICK_LABELS)
            fitting = min(9.0, 9.0 * LONGEST_NAME / len(condition))
            row[0].set_ylabel(f"{condition}\nshare of foreground", fontsize=fitting)
        titles = ["single run" if seed is None else f"seed {seed}" for seed in columns]
        for axes, title in zip(grid[0], [*titles, "average"], strict=True):
            axes.set_title(title)
        for axes in grid[-1]:
            axes.set_xticklabels(TICK_LABELS)
            axes.set_xlabel("probability", fontsize=9)
        legend_above(figure, _handles())
        name = "calibration" if place == 1 else f"calibration_{place}"
        return finish(figure, name, _caption(lines, weights, known), synthetic=synthetic)


def _caption(lines: dict[str, SeedBins], weights: str, seeds: Sequence[Seed]) -> str:
    left_out = (
        f" Columns are the first {SEEDS_SHOWN} of {len(seeds)} seeds; the average is over all."
        if len(seeds) > SEEDS_SHOWN
        else ""
    )
    return (
        f"Calibration of {', '.join(lines)}, {weights} weights, over all test pixels: share of foreground in "
        f"{BINS} equal bins of the probability, on the diagonal where they agree; bins of fewer than "
        f"{FEW_PIXELS} pixels are pale. ECE weighs the gaps by their pixels, MCE is the largest one, however "
        "few its pixels. Average: mean of the seeds' bars, the lines are ± sd over seeds, as are ECE and MCE."
        + left_out
    )


def _seed_panel(axes: Axes, bins: Bins) -> None:
    few = bins.count < FEW_PIXELS
    for part, alpha in ((~few, 1.0), (few, PALE)):
        if (part & (bins.count > 0)).any():
            _bars(
                axes, np.where(part, bins.real, np.nan), np.where(part, bins.predicted, np.nan), alpha=alpha
            )
    _finish_panel(axes, f"ECE {number(bins.ece, ECE.digits)}\nMCE {number(bins.mce, MCE.digits)}")


def _average_panel(axes: Axes, seeds: Sequence[Bins]) -> None:
    real = [summarise([float(bins.real[k]) for bins in seeds]) for k in range(BINS)]
    predicted = [summarise([float(bins.predicted[k]) for bins in seeds]).mean for k in range(BINS)]
    heights, spread = np.array([one.mean for one in real]), np.array([one.sd for one in real])
    _bars(axes, heights, np.array(predicted), alpha=1.0)
    known = np.isfinite(spread)
    if known.any():
        axes.errorbar(
            MIDDLES[known],
            heights[known],
            spread[known],
            fmt="none",
            ecolor="#222222",
            elinewidth=1,
            capsize=1.5,
        )
    ece, mce = summarise([bins.ece for bins in seeds]), summarise([bins.mce for bins in seeds])
    texts = [
        f"{metric.label} {number(one.mean, metric.digits)}"
        + (f" ± {number(one.sd, metric.digits)}" if math.isfinite(one.sd) else "")
        for metric, one in ((ECE, ece), (MCE, mce))
    ]
    _finish_panel(axes, "\n".join(texts))


def _bars(axes: Axes, real: Numbers, predicted: Numbers, *, alpha: float) -> None:
    """Draw the bars and, from their tops to the mean probability, the gaps."""
    axes.stairs(real, EDGES, fill=True, color=BAR, alpha=alpha)
    axes.stairs(real, EDGES, baseline=predicted, fill=True, color=GAP, alpha=0.6 * alpha)


def _finish_panel(axes: Axes, text: str) -> None:
    axes.plot([0, 1], [0, 1], "--", color=QUIET, linewidth=0.9)
    box = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1}
    axes.text(0.04, 0.97, text, transform=axes.transAxes, va="top", fontsize=8.5, bbox=box)


def _handles() -> list[Patch | Line2D]:
    return [
        Patch(color=BAR, label="share of foreground"),
        Patch(color=GAP, alpha=0.6, label="gap to the mean probability"),
        Patch(color=BAR, alpha=PALE, label=f"fewer than {FEW_PIXELS} pixels"),
        Line2D([], [], color=QUIET, linestyle="--", linewidth=0.9, label="perfect calibration"),
    ]
