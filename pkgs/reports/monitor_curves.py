"""Predicted against real error while a training follows the predicted one, and where its monitor alarmed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pkgs.reports.curves import averaged, stretches
from pkgs.reports.plot_style import (
    COLOURS,
    FULL_WIDTH_IN,
    Dash,
    Drawing,
    finish,
    legend_above,
    new_figure,
    panels,
    styled,
)
from pkgs.reports.prediction_tables import StudyTables
from pkgs.reports.runs import Run, Study

COLUMNS = 3
ALARM = "#222222"
PREDICTED, REAL = COLOURS[1], COLOURS[0]
DASH: dict[str, Dash] = {PREDICTED: "--", REAL: "-"}


def draw_monitor(
    study: Study, tables: StudyTables, *, predicted: str, real: str, synthetic: bool
) -> Drawing | None:
    """Return a panel per condition that logged both errors, or None when none did.

    Args:
        study: Its conditions, in this order.
        tables: Holds the alarms of its runs.
        predicted: Column of val.csv with the error that the run was told.
        real: Column of val.csv with the error that it had.
        synthetic: Stamps the figure.
    """
    shown = {
        condition: runs
        for condition in study.conditions
        if (runs := [run for run in study.of(condition) if _has(run, predicted) and _has(run, real)])
    }
    if not shown:
        return None
    with styled():
        columns = min(COLUMNS, len(shown))
        lines = -(-len(shown) // columns)
        figure = new_figure(min(FULL_WIDTH_IN, 3.7 * columns + 0.5), 2.95 * lines + 0.75)
        places = panels(figure, len(shown), columns=COLUMNS)
        for axes, (condition, runs) in zip(places, shown.items(), strict=True):
            _panel(axes, runs, tables, predicted=predicted, real=real)
            axes.set_title(f"{condition}\n{_alarms_in_words(runs, tables)}")
        for axes in places[::columns]:
            axes.set_ylabel("error")
        legend_above(figure, _handles())
        caption = (
            "Predicted and real error during training: a thin line per seed, the thick ones their means as "
            "far as every seed has come; a triangle where the monitor of a seed gave its alarm. A predicted "
            "error that falls while the real one rises means that the prediction is exploited, not followed."
        )
        return finish(figure, "monitor", caption, synthetic=synthetic)


def _has(run: Run, column: str) -> bool:
    return bool(run.results.val.finite(column)[0].size)


def _panel(axes: Axes, runs: Sequence[Run], tables: StudyTables, *, predicted: str, real: str) -> None:
    for column, colour in ((real, REAL), (predicted, PREDICTED)):  # dashes upon a line: both are seen
        edges = stretches([run.results.val.finite(column)[0] for run in runs])
        drawn = [averaged(*run.results.val.finite(column), edges) for run in runs]
        for steps, course in drawn:
            seen = np.isfinite(course)
            axes.plot(
                steps[seen], course[seen], color=colour, linestyle=DASH[colour], linewidth=0.8, alpha=0.45
            )
        mean = np.mean([course for _, course in drawn], axis=0)  # NaN where a seed has no value
        seen = np.isfinite(mean)
        axes.plot(drawn[0][0][seen], mean[seen], color=colour, linestyle=DASH[colour], linewidth=2.2)
    for run in runs:
        steps, values = run.results.val.finite(predicted)
        for alarm in tables.of(run).alarms or ():
            height = float(np.interp(alarm.step, steps, values))
            axes.plot(alarm.step, height, "v", color=ALARM, markersize=7, markeredgecolor="white")
    if axes.dataLim.y0 > 0:  # else a wave of a hundredth of the error would fill the panel
        axes.set_ylim(0, 1.1 * axes.dataLim.y1)
    axes.set_xlabel("step")
    axes.locator_params(axis="x", nbins=6)


def _alarms_in_words(runs: Sequence[Run], tables: StudyTables) -> str:
    watched = [alarms for run in runs if (alarms := tables.of(run).alarms) is not None]
    alarmed = sum(bool(alarms) for alarms in watched)
    if not watched:
        return "no monitor"
    if not alarmed:
        return "no alarm"
    return f"alarm in {alarmed} of {len(watched)} seed{'' if len(watched) == 1 else 's'}"


def _handles() -> list[Line2D]:
    return [
        Line2D([], [], color=PREDICTED, linestyle=DASH[PREDICTED], linewidth=2.2, label="predicted error"),
        Line2D([], [], color=REAL, linestyle=DASH[REAL], linewidth=2.2, label="real error"),
        Line2D([], [], color=ALARM, marker="v", linestyle="", markersize=7, label="alarm of a seed"),
    ]
