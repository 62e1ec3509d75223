"""Bars of the main test metrics: mean as bar, seeds as points, 95 % t interval as line, from zero on.

Differences too small for axes that start at 0 are shown by points.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pkgs.reports.metrics import number
from pkgs.reports.plot_style import (
    FULL_WIDTH_IN,
    QUIET,
    Drawing,
    finish,
    legend_above,
    looks,
    new_figure,
    styled,
)
from pkgs.reports.runs import Study
from pkgs.reports.tables import SeedRow, split_references

SHOWN = ("accuracy", "iou", "ece_fg", "mce_fg")
LIGHT = 0.35
"""Opacity of the bars: points and interval lie upon them."""


def draw_bars(
    study: Study, rows: Sequence[SeedRow], *, weights: str, synthetic: bool, shown: Sequence[str] = SHOWN
) -> Drawing | None:
    """Return a panel of bars per metric in `shown`, or None when no run has measured any of them.

    Args:
        study: Its conditions, from top to bottom.
        rows: Means and seeds of the test results, of any weights and metrics.
        weights: Which of them, for instance `last`.
        synthetic: Stamps the figure.
        shown: Columns of test.csv.
    """
    trained, references = split_references(rows)
    drawn = [
        row
        for row in trained
        if row.weights == weights and row.metric.name in shown and row.condition in study.conditions
    ]
    metrics = sorted({row.metric for row in drawn}, key=lambda metric: shown.index(metric.name))
    if not metrics:
        return None
    conditions = [name for name in study.conditions if any(row.condition == name for row in drawn)]
    with styled():
        width = min(FULL_WIDTH_IN, 2.55 * len(metrics) + 1.7)
        figure = new_figure(width, 0.36 * len(conditions) + 1.35)
        grid = figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
        for axes, metric in zip(grid, metrics, strict=True):
            _panel(axes, [row for row in drawn if row.metric == metric], study, conditions)
            _reference(axes, [row for row in references if row.metric == metric])
            better = {True: " (more is better)", False: " (less is better)", None: ""}
            axes.set_title(metric.label + better[metric.higher_is_better])
        grid[0].set_ylim(len(conditions) - 0.5, -0.5)
        grid[0].set_yticks(range(len(conditions)), conditions)
        legend_above(figure, _handles())
        caption = (
            f"Test results, {weights} weights, pooled over all pixels: the bar and its number are the mean, "
            "points are seeds, the line is the 95 % t interval of the mean, cut off at the edges. Axes start "
            "at 0."
        )
        return finish(figure, "bars", caption, synthetic=synthetic)


def _panel(axes: Axes, rows: Sequence[SeedRow], study: Study, conditions: Sequence[str]) -> None:
    look = looks(study.conditions)
    every = [value for row in rows for value in row.values.values() if math.isfinite(value)]
    top = max(every) or 1.0
    for row in rows:
        y, colour = conditions.index(row.condition), look[row.condition].colour
        values = np.array([value for value in row.values.values() if math.isfinite(value)])
        axes.barh(y, row.summary.mean, height=0.72, color=colour, alpha=LIGHT)
        if row.summary.interval:
            low, high = row.summary.interval.low, row.summary.interval.high
            axes.plot([low, high], [y, y], color="#222222", linewidth=1.6, zorder=4)
        # spread by a fixed pattern, so that equal seeds stay visible
        places = y + 0.22 * np.linspace(-1, 1, values.size) if values.size > 1 else np.array([y])
        axes.plot(
            values, places, "o", color=colour, markersize=4, markeredgecolor="white", markeredgewidth=0.4
        )
        text = number(row.summary.mean, row.metric.digits)
        axes.text(1.38 * top, y, text, ha="right", va="center", fontsize=9)
    axes.set_xlim(0, 1.4 * top)
    ticks = [tick for tick in axes.get_xticks() if tick <= 1.05 * top]
    axes.set_xticks(ticks if len(ticks) <= 4 else ticks[::2])
    axes.grid(visible=False, axis="y")


def _reference(axes: Axes, rows: Sequence[SeedRow]) -> None:
    """Mark numbers that need no training; those off the panel are said only."""
    for row in rows:
        if 0 <= row.summary.mean <= axes.get_xlim()[1]:
            axes.axvline(row.summary.mean, color=QUIET, linestyle=":", linewidth=1.2)
    texts = [f"{row.condition} {number(row.summary.mean, row.metric.digits)} (dotted)" for row in rows]
    axes.set_xlabel("\n".join(texts), fontsize=8.5, color=QUIET)


def _handles() -> list[Patch | Line2D]:
    return [
        Patch(color=QUIET, alpha=LIGHT, label="mean"),
        Line2D([], [], color=QUIET, marker="o", linestyle="", markersize=4, label="one seed"),
        Line2D([], [], color="#222222", linewidth=1.3, label="95 % t interval of the mean"),
    ]
