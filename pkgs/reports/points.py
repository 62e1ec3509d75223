"""Figures of the test results: every seed as a point, mean and interval; differences from the base."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pkgs.reports.comparison import Comparison
from pkgs.reports.metrics import Metric, number
from pkgs.reports.plot_style import Drawing, Look, finish, looks, new_figure, styled
from pkgs.reports.runs import Study
from pkgs.reports.tables import TRAINED, SeedRow, split_references

COLUMNS = 3
COLOUR = "#0072B2"
OFFSETS = {"last": -0.16, "best": 0.08, "ema": 0.28}
"""Vertical places within the line of a condition; the axis points down."""
FILLS = {"best": "white", "ema": "#DDDDDD"}
"""What a point is filled with; the last weights take the colour of the condition."""


def draw_points(study: Study, rows: Sequence[SeedRow], *, synthetic: bool) -> Drawing | None:
    """Return seeds, means and intervals of every metric, or None without test results."""
    trained, references = split_references(
        rows
    )  # a line for a reference far off would squeeze the rest together
    metrics = list(dict.fromkeys(row.metric for row in trained))
    if not metrics:
        return None
    look = looks(study.conditions)
    columns = min(COLUMNS, len(metrics))
    lines = math.ceil(len(metrics) / columns)
    with styled():
        height = 0.42 * len(study.conditions) + 1.0
        figure = new_figure(3.1 * columns + 1.5, height * lines + 0.6)
        grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
        for axes, metric in zip(grid.flat, metrics, strict=False):
            _metric_panel(axes, [row for row in trained if row.metric == metric], look)
            beside = [
                f"{row.condition}: {number(row.summary.mean, metric.digits)}"
                for row in references
                if row.metric == metric
            ]
            axes.set_xlabel("\n".join(beside), fontsize=8.5, color="#555555")
        for axes in list(grid.flat)[len(metrics) :]:
            axes.set_visible(False)
        figure.legend(handles=_handles(trained), loc="outside upper left", ncols=4, fontsize=9)
        caption = (
            "Test results, pooled over all pixels: one point per seed, filled for the last weights, "
            "open for the best by validation, grey for their moving average; the line is the 95 % t interval "
            "of the mean, its tick the mean; a line that reaches the edge goes on beyond it."
        )
        return finish(figure, "test_results", caption, synthetic=synthetic)


def _metric_panel(axes: Axes, rows: Sequence[SeedRow], look: dict[str, Look]) -> None:
    places = {condition: line for line, condition in enumerate(look)}
    for row in rows:
        one, colour = look[row.condition], look[row.condition].colour
        y = places[row.condition] + OFFSETS[row.weights]
        finite = [value for value in row.values.values() if math.isfinite(value)]
        fill = FILLS.get(row.weights, colour)
        if row.summary.interval:
            axes.plot(
                [row.summary.interval.low, row.summary.interval.high], [y, y], color=colour, linewidth=1.2
            )
        axes.plot([row.summary.mean], [y], "|", color=colour, markersize=11, markeredgewidth=2)
        axes.plot(
            finite, [y] * len(finite), one.marker, color=colour, markerfacecolor=fill, markersize=5, alpha=0.8
        )
    _limit(axes, [value for row in rows for value in row.values.values() if math.isfinite(value)])
    axes.set_ylim(len(look) - 0.5, -0.5)
    axes.set_yticks(range(len(look)), list(look))
    axes.set_title(rows[0].metric.label + _arrow(rows[0].metric))
    axes.locator_params(axis="x", nbins=5)


def _limit(axes: Axes, values: Sequence[float]) -> None:
    """Let the seeds fill half of the panel: beside the long interval of two seeds they would be one dot."""
    low, high = min(values), max(values)
    if high > low:
        wanted = axes.get_xlim()
        axes.set_xlim(max(wanted[0], low - (high - low) / 2), min(wanted[1], high + (high - low) / 2))


def _arrow(metric: Metric) -> str:
    if metric.higher_is_better is None:
        return ""
    return " (more is better)" if metric.higher_is_better else " (less is better)"


def _handles(rows: Sequence[SeedRow]) -> list[Line2D]:
    grey = "#555555"
    style = {"marker": "o", "linestyle": "", "color": grey}
    shown = [weights for weights in TRAINED if any(row.weights == weights for row in rows)]
    fills = [FILLS.get(weights, grey) for weights in shown]
    return [
        Line2D([], [], **style, markerfacecolor=fill, label=name)  # type: ignore[arg-type]  # names of one type
        for name, fill in zip(shown, fills, strict=True)
    ]


def draw_differences(comparisons: Sequence[Comparison], *, synthetic: bool) -> Drawing | None:
    """Return the differences from the base in the endpoints, or None when there is nothing to compare."""
    drawn = [one for one in comparisons if one.differences]
    metrics = list(dict.fromkeys(one.metric for one in drawn))
    if not drawn:
        return None
    conditions = list(dict.fromkeys(one.condition for one in drawn))
    with styled():
        figure = new_figure(4.2 * len(metrics) + 1.3, 0.5 * len(conditions) + 1.15)
        grid = figure.subplots(1, len(metrics), squeeze=False, sharey=True)
        for axes, metric in zip(grid.flat, metrics, strict=True):
            _difference_panel(axes, [one for one in drawn if one.metric == metric], conditions)
        caption = (
            f"Difference from {drawn[0].base}, {drawn[0].weights} weights: one point per seed, the line is "
            "the 95 % t interval of the mean; the grey band is the margin below which no difference matters."
        )
        return finish(figure, "differences", caption, synthetic=synthetic)


def _difference_panel(axes: Axes, comparisons: Sequence[Comparison], conditions: Sequence[str]) -> None:
    metric = comparisons[0].metric
    if metric.margin:
        axes.axvspan(-metric.margin, metric.margin, color="#e8e8e8", zorder=0)
    axes.axvline(0, color="#222222", linewidth=0.9)
    for one in comparisons:
        y = conditions.index(one.condition)
        if one.summary.interval:
            axes.plot(
                [one.summary.interval.low, one.summary.interval.high], [y, y], color=COLOUR, linewidth=1.4
            )
        axes.plot([one.summary.mean], [y], "|", color=COLOUR, markersize=13, markeredgewidth=2)
        axes.plot(one.differences, [y] * len(one.differences), "o", color=COLOUR, markersize=5, alpha=0.8)
    axes.set_ylim(len(conditions) - 0.5, -0.5)
    axes.set_yticks(range(len(conditions)), list(conditions))
    axes.set_title(f"{metric.label}: difference{_arrow(metric)}")
    axes.locator_params(axis="x", nbins=6)
