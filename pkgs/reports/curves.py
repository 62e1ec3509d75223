"""Learning curves: training loss and validation metrics over the steps, thin per seed, thick the mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pkgs.reports.metrics import metric_of, metrics_among
from pkgs.reports.plot_style import Drawing, Look, finish, looks, new_figure, styled
from pkgs.reports.results import Curve
from pkgs.reports.runs import Run, Study

Numbers = NDArray[np.float64]
MAX_POINTS = 120
"""Longer curves are averaged in this many equal stretches: beyond it noise hides the course."""
MAX_PANELS = 12
LOG_RATIO = 20.0
"""A positive quantity that falls by more than this factor gets a logarithmic axis."""
COLUMNS = 3


def draw_curves(study: Study, *, synthetic: bool) -> Drawing | None:
    """Return the learning curves of all conditions, or None when no run has logged anything."""
    panels = _panels(study)
    if not panels:
        return None
    look = looks(study.conditions)
    columns = min(COLUMNS, len(panels))
    lines = math.ceil(len(panels) / columns)
    with styled():
        figure = new_figure(3.5 * columns + 0.4, 2.6 * lines + 0.7)
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes, (file, column) in zip(grid.flat, panels, strict=False):
            _panel(axes, study, look, file=file, column=column)
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_visible(False)
        handles = [
            Line2D([], [], color=one.colour, linestyle=one.dash, linewidth=2.2, label=condition)
            for condition, one in look.items()
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=min(4, len(handles)), fontsize=9.5)
        caption = (
            "Learning curves: one thin line per seed, the thick line their mean as far as every seed has "
            "come; a cross where a run diverged. "
            f"Beyond {MAX_POINTS} points, averages over {MAX_POINTS} stretches."
        )
        return finish(figure, "learning_curves", caption, synthetic=synthetic)


def _panels(study: Study) -> list[tuple[str, str]]:
    """Return (file, column) of what is drawn: the training loss, then the validation metrics."""
    train = {name for run in study.runs for name in run.results.train.values if name == "loss"}
    val = {
        name for run in study.runs for name in run.results.val.values if run.results.val.finite(name)[0].size
    }
    panels = [("train", name) for name in sorted(train)] + [("val", one.name) for one in metrics_among(val)]
    return panels[:MAX_PANELS]


def _panel(axes: Axes, study: Study, look: dict[str, Look], *, file: str, column: str) -> None:
    metric = metric_of(column)
    edges = stretches([_curve(run, file).finite(column)[0] for run in study.runs])
    values: list[Numbers] = []
    for condition, one in look.items():
        runs = [run for run in study.of(condition) if _curve(run, file).finite(column)[0].size]
        drawn = [averaged(*_curve(run, file).finite(column), edges) for run in runs]
        for run, (steps, course) in zip(runs, drawn, strict=True):
            seen = np.isfinite(course)
            axes.plot(
                steps[seen], course[seen], color=one.colour, linestyle=one.dash, linewidth=0.8, alpha=0.45
            )
            if _curve(run, file).diverged(column):
                axes.plot(steps[seen][-1:], course[seen][-1:], "x", color=one.colour, markersize=7)
            values.append(course[seen])
        if drawn:
            mean = np.mean([course for _, course in drawn], axis=0)  # NaN where a seed has no value
            seen = np.isfinite(mean)
            axes.plot(drawn[0][0][seen], mean[seen], color=one.colour, linestyle=one.dash, linewidth=2.2)
    axes.set_title(f"{'training' if file == 'train' else 'validation'}: {metric.label}")
    axes.set_xlabel("step")
    together = np.concatenate(values) if values else np.empty(0)
    if not metric.higher_is_better and together.size and together.min() > 0:
        axes.set_yscale("log" if together.max() / together.min() > LOG_RATIO else "linear")


def _curve(run: Run, file: str) -> Curve:
    return run.results.train if file == "train" else run.results.val


def stretches(steps: Sequence[Numbers]) -> Numbers:
    """Return the edges of the stretches: around each step when they are few, else equally long ones."""
    every = np.unique(np.concatenate([*steps, np.empty(0)]))
    if every.size <= MAX_POINTS:
        return np.append(every, np.inf)
    edges = np.linspace(every[0], every[-1], MAX_POINTS + 1)
    edges[-1] = np.inf
    return edges


def averaged(steps: Numbers, values: Numbers, edges: Numbers) -> tuple[Numbers, Numbers]:
    """Return one mean step and mean value per stretch, NaN where the curve has no point."""
    place = np.searchsorted(edges, steps, side="right") - 1
    count = np.bincount(place, minlength=edges.size - 1).astype(np.float64)
    count[count == 0] = np.nan
    mean = np.bincount(place, weights=values, minlength=edges.size - 1) / count
    middle = np.bincount(place, weights=steps, minlength=edges.size - 1) / count
    return middle, mean
