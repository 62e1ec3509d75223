"""Risk over coverage: how wrong the pixels are that a predictor of errors trusts most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pkgs.reports.plot_style import (
    FULL_WIDTH_IN,
    Drawing,
    Look,
    file_name,
    finish,
    legend_above,
    new_figure,
    panels,
    styled,
)
from pkgs.reports.prediction_tables import Predictor, RiskCurve, StudyTables
from pkgs.reports.runs import Study

PREDICTORS = {
    "teacher": Look("#0072B2", "-", "o"),
    "own_confidence": Look("#D55E00", "--", "s"),
    "combined": Look("#009E73", "-.", "^"),
    "oracle": Look("#555555", ":", "D"),
}
"""From the question to the bound; colour and dash tell them apart."""
COLUMNS = 3


def draw_risk_coverage(
    study: Study, tables: StudyTables, *, weights: str, synthetic: bool, masks: str = "own"
) -> Drawing | None:
    """Return a panel per condition with risk curves, or None when no run has left any.

    Args:
        study: Its conditions, in this order.
        tables: What its runs left.
        weights: Which of a run's weights, for instance `last`.
        synthetic: Stamps the figure.
        masks: Whose masks were judged.
    """
    found = {
        condition: {
            name: curves
            for name in PREDICTORS
            if (curves := _curves(study, tables, condition, Predictor(weights, masks, name)))
        }
        for condition in study.conditions
    }
    shown = {condition: curves for condition, curves in found.items() if curves}
    if not shown:
        return None
    with styled():
        columns = min(COLUMNS, len(shown))
        lines = -(-len(shown) // columns)
        figure = new_figure(min(FULL_WIDTH_IN, 3.7 * columns + 0.6), 2.9 * lines + 0.8)
        places = panels(figure, len(shown), columns=COLUMNS)
        for axes, (condition, by_predictor) in zip(places, shown.items(), strict=True):
            _panel(axes, by_predictor)
            seeds = max(map(len, by_predictor.values()))
            axes.set_title(f"{condition} ({seeds} seed{'' if seeds == 1 else 's'})")
        for axes in places[::columns]:
            axes.set_ylabel("risk: share of wrong pixels")
        drawn = {name for by_predictor in shown.values() for name in by_predictor}
        legend_above(figure, _handles(drawn))
        caption = (
            f"Share of wrong pixels among those that a predictor of errors trusts most, over their share of "
            f"all test pixels, {masks} masks, {weights} weights: mean over the seeds, the band is ± sd. "
            "Lower is better; the oracle knows the errors, and nothing can lie below it."
        )
        return finish(figure, file_name("risk_coverage", masks), caption, synthetic=synthetic)


def _curves(study: Study, tables: StudyTables, condition: str, predictor: Predictor) -> list[RiskCurve]:
    every = [tables.of(run).risk for run in study.of(condition)]
    return [curves[predictor] for curves in every if predictor in curves]


def _panel(axes: Axes, by_predictor: dict[str, list[RiskCurve]]) -> None:
    for name, curves in by_predictor.items():
        look = PREDICTORS[name]
        coverage, risks = together(curves)
        mean = risks.mean(axis=0)
        axes.plot(coverage, mean, color=look.colour, linestyle=look.dash, linewidth=2)
        if len(curves) > 1:
            sd = risks.std(axis=0, ddof=1)
            axes.fill_between(coverage, mean - sd, mean + sd, color=look.colour, alpha=0.18, linewidth=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("coverage")


def together(curves: Sequence[RiskCurve]) -> tuple[np.ndarray, np.ndarray]:
    """Return all coverages that every curve spans, and each curve's risk there, a row per curve."""
    low, high = max(one.coverage[0] for one in curves), min(one.coverage[-1] for one in curves)
    every = np.unique(np.concatenate([one.coverage for one in curves]))
    coverage = every[(every >= low) & (every <= high)]
    return coverage, np.array([np.interp(coverage, one.coverage, one.risk) for one in curves])


def _handles(drawn: set[str]) -> list[Line2D]:
    return [
        Line2D([], [], color=look.colour, linestyle=look.dash, linewidth=2, label=name.replace("_", " "))
        for name, look in PREDICTORS.items()
        if name in drawn
    ]
