"""Columns of train.csv or val.csv beside each other over the steps, as the plan names them."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pkgs.reports.curves import averaged, stretches
from pkgs.reports.plan_ranking import NamedCurves
from pkgs.reports.plot_style import (
    FULL_WIDTH_IN,
    Drawing,
    Look,
    file_name,
    finish,
    legend_above,
    looks,
    new_figure,
    panels,
    styled,
)
from pkgs.reports.results import Curve
from pkgs.reports.runs import Run, Study

COLUMNS = 3


def draw_named_curves(study: Study, asked: NamedCurves, *, synthetic: bool) -> Drawing | None:
    """Return a panel per title of the plan, or None where no run has logged any of the columns.

    Runs of a panel are drawn alike: a thin line each, the thick one their mean.
    """
    shown = {
        title: runs
        for title, patterns in asked.panels.items()
        if (runs := [run for run in study.runs if _wanted(run, patterns, asked)])
    }
    if not shown:
        return None
    look = looks(list(asked.lines))
    with styled():
        columns = min(COLUMNS, len(shown))
        figure = new_figure(min(FULL_WIDTH_IN, 4.4 * columns + 0.5), 3.1 * -(-len(shown) // columns) + 0.6)
        places = panels(figure, len(shown), columns=COLUMNS)
        for axes, (title, runs) in zip(places, shown.items(), strict=True):
            for label, column in asked.lines.items():
                _lines(axes, runs, column, look[label])
            axes.set_title(f"{title} ({len(runs)} run{'' if len(runs) == 1 else 's'})")
            axes.set_xlabel("step")
        _same_height(places)
        legend_above(
            figure,
            [
                Line2D([], [], color=one.colour, linestyle=one.dash, linewidth=2.2, label=label)
                for label, one in look.items()
            ],
        )
        text = asked.text.rstrip(".")
        caption = f"{text}. A thin line per run, the thick one their mean as far as all have come."
        return finish(
            figure, file_name("curves", asked.name.lower().replace(" ", "-")), caption, synthetic=synthetic
        )


def lacking_columns(study: Study, asked: NamedCurves) -> list[str]:
    """Return the columns that no run of the panels has logged."""
    patterns = [pattern for group in asked.panels.values() for pattern in group]
    runs = [run for run in study.runs if _fits(run, patterns)]
    return [
        column for column in asked.lines.values() if runs and not any(_curve(run, column) for run in runs)
    ]


def _wanted(run: Run, patterns: Sequence[str], asked: NamedCurves) -> bool:
    return _fits(run, patterns) and any(_curve(run, column) for column in asked.lines.values())


def _fits(run: Run, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(run.condition, pattern) for pattern in patterns)


def _curve(run: Run, column: str) -> Curve | None:
    """Return the table that holds the column: val.csv before train.csv."""
    for curve in (run.results.val, run.results.train):
        if curve.finite(column)[0].size:
            return curve
    return None


def _lines(axes: Axes, runs: Sequence[Run], column: str, look: Look) -> None:
    found = [curve.finite(column) for run in runs if (curve := _curve(run, column))]
    if not found:
        return
    edges = stretches([steps for steps, _ in found])
    drawn = [averaged(*one, edges) for one in found]
    style: Mapping[str, str] = {"color": look.colour, "linestyle": look.dash}
    for steps, course in drawn:
        seen = np.isfinite(course)
        axes.plot(steps[seen], course[seen], linewidth=0.7, alpha=0.4, **style)  # type: ignore[arg-type] # names of one type
    mean = np.mean([course for _, course in drawn], axis=0)  # NaN where a run has no value
    seen = np.isfinite(mean)
    axes.plot(drawn[0][0][seen], mean[seen], linewidth=2.2, **style)  # type: ignore[arg-type]


def _same_height(places: Sequence[Axes]) -> None:
    """Let all panels share their vertical axis: they are there to be compared."""
    low = min(axes.get_ylim()[0] for axes in places)
    high = max(axes.get_ylim()[1] for axes in places)
    for axes in places:
        axes.set_ylim(low, high)
