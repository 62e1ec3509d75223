"""Figures of a ranking: tau with intervals, ROC and precision, score against truth, calibration, shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pkgs.reports.bootstrap import Numbers
from pkgs.reports.calibration_grid import BAR, EDGES, GAP, TICK_LABELS, TICKS
from pkgs.reports.detectors import DIGITS, JudgedRanking
from pkgs.reports.group_bootstrap import Estimate
from pkgs.reports.metrics import number
from pkgs.reports.plan_ranking import MEASURES
from pkgs.reports.plot_style import (
    FULL_WIDTH_IN,
    QUIET,
    Drawing,
    Look,
    finish,
    legend_above,
    looks,
    new_figure,
    panels,
    styled,
)
from pkgs.reports.probability_checks import ProbabilityCheck
from pkgs.reports.rankings import RankingTable

COLUMNS: Final = 4
MOST_POINTS: Final = 1500
"""Of a scatter: more would hide each other. Every k-th sample is drawn."""
STEPS: Final = 10
"""Equally many samples per point of a scatter's mean."""
LINES: Final = {"tau": "ceiling of a score without ties", "auroc": "chance"}


def draw_detectors(judged: JudgedRanking, *, synthetic: bool) -> Drawing:
    """Return tau and AUROC of each detector with intervals, best tau on top, and the ceiling of tau."""
    every = {one.name: one.estimates(judged.draws) for one in judged.detectors}
    order = sorted(every, key=lambda name: -_or_last(every[name]["tau"].value))
    seeds = {one.detector: one.by_seed for one in judged.over_seeds}
    with styled():
        figure = new_figure(FULL_WIDTH_IN, 0.34 * len(order) + 1.5)
        grid = figure.subplots(1, 2, sharey=True)
        for axes, measure in zip(grid, LINES, strict=True):
            line = judged.ceiling if measure == "tau" else 0.5
            axes.axvline(line, color=QUIET, linestyle=":", linewidth=1.4)
            for y, name in enumerate(order):
                _interval(axes, y, every[name][measure])
                points = list(seeds.get(name, {}).get(measure, {}).values())
                axes.plot(points, [y + 0.28] * len(points), "o", color=QUIET, markersize=3.5)
            axes.set_title(f"{MEASURES[measure]} (dotted: {LINES[measure]}, {number(line, DIGITS)})")
        grid[0].axvline(0, color="#222222", linewidth=0.8)
        grid[0].set_yticks(range(len(order)), order)
        grid[0].set_ylim(len(order) - 0.4, -0.6)
        handles: list[Line2D] = [
            Line2D([], [], color="#0072B2", marker="o", label=f"95 % {judged.asked.unit} bootstrap interval"),
        ]
        if seeds:
            handles.append(
                Line2D([], [], color=QUIET, marker="o", linestyle="", markersize=3.5, label="one seed alone")
            )
        legend_above(figure, handles)
        caption = (
            f"Detectors against the true noise; AUROC for noise above {number(judged.asked.noisy_above, 2)}. "
            "A detector without a point is constant."
        )
        return finish(figure, "detectors", caption, synthetic=synthetic)


def _or_last(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _interval(axes: Axes, y: float, estimate: Estimate) -> None:
    if math.isnan(estimate.value):
        return
    if estimate.percentile:
        ends = [estimate.percentile.low, estimate.percentile.high]
        axes.plot(ends, [y, y], color="#0072B2", linewidth=1.8)
    axes.plot([estimate.value], [y], "o", color="#0072B2", markersize=6)


def draw_separation(judged: JudgedRanking, *, synthetic: bool) -> Drawing | None:
    """Return ROC and precision over the share of samples looked at; None where all or none are noisy."""
    noisy = judged.noisy
    if noisy.all() or not noisy.any():
        return None
    look = looks([one.name for one in judged.detectors])
    with styled():
        figure = new_figure(FULL_WIDTH_IN, 4.9)
        roc, precision = figure.subplots(1, 2)
        for one in judged.detectors:
            _separation_lines(roc, precision, judged.table.scores[one.name], noisy, look[one.name])
        roc.plot([0, 1], [0, 1], color=QUIET, linewidth=0.9, linestyle=":")
        roc.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="share of clean samples flagged")
        roc.set_title("share of noisy samples flagged")
        precision.axhline(noisy.mean(), color=QUIET, linewidth=0.9, linestyle=":")
        precision.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="share of samples looked at, worst first")
        precision.set_title("share of noisy samples among them")
        legend_above(
            figure,
            [
                Line2D([], [], color=one.colour, linestyle=one.dash, linewidth=2, label=name)
                for name, one in look.items()
            ],
        )
        limit = number(judged.asked.noisy_above, 2)
        caption = (
            f"ROC, and precision at every depth, for true noise above {limit}; dotted: picked at random."
        )
        return finish(figure, "roc_precision", caption, synthetic=synthetic)


def _separation_lines(roc: Axes, precision: Axes, score: Numbers, noisy: np.ndarray, one: Look) -> None:
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, [True]))  # ties come together
    found, seen = np.cumsum(noisy[order])[last], last + 1
    style = {"color": one.colour, "linestyle": one.dash, "linewidth": 1.5}
    roc.plot(np.append(0, (seen - found) / (~noisy).sum()), np.append(0, found / noisy.sum()), **style)  # type: ignore[arg-type] # names of one type
    precision.plot(seen / noisy.size, found / seen, **style)  # type: ignore[arg-type]


def draw_scatter(judged: JudgedRanking, *, synthetic: bool) -> Drawing:
    """Return the true noise over each detector's rank, with the mean of ten equally large groups."""
    step = -(-judged.table.n // MOST_POINTS)
    with styled():
        count = len(judged.detectors)
        lines = -(-count // COLUMNS)
        figure = new_figure(FULL_WIDTH_IN, 2.35 * lines + 0.5)
        places = panels(figure, count, columns=COLUMNS)
        for axes, one in zip(places, judged.detectors, strict=True):
            rank = _middle_ranks(judged.table.scores[one.name])
            axes.plot(
                rank[::step], judged.truth[::step], "o", color="#56B4E9", markersize=2.5, alpha=0.35,
                markeredgewidth=0, rasterized=True,
            )  # fmt: skip
            _mean_line(axes, rank, judged.truth)
            axes.set(xlim=(0, 1), ylim=(-0.03, 1.03), xticks=TICKS, yticks=TICKS)
            axes.set_xticklabels(TICK_LABELS)
            axes.set_yticklabels(TICK_LABELS)
            axes.set_title(f"{one.name}: tau {number(float(one.resampled['tau'][0]), DIGITS)}")
        for axes in places[::COLUMNS]:
            axes.set_ylabel("true noise")
        shown = "" if step == 1 else f" Every {step}th sample is drawn; the means are of all."
        caption = (
            "True noise over the rank of each score, from cleanest (0) to noisiest (1); the line is the mean "
            f"of {STEPS} groups of equally many samples.{shown}"
        )
        return finish(figure, "score_against_truth", caption, synthetic=synthetic)


def _middle_ranks(score: Numbers) -> Numbers:
    """Return ranks in [0, 1]; ties share the middle of theirs."""
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    return np.asarray(middle[place] / max(score.size - 1, 1))


def _mean_line(axes: Axes, rank: Numbers, truth: Numbers) -> None:
    if rank.min() == rank.max():
        return
    parts = np.array_split(np.argsort(rank, kind="stable"), min(STEPS, rank.size))
    middles = [rank[part].mean() for part in parts]
    axes.plot(middles, [truth[part].mean() for part in parts], color="#D55E00", linewidth=2)


def draw_probability(check: ProbabilityCheck, *, name: str, synthetic: bool) -> Drawing:
    """Return reliability bars of P(noisy), and how many samples each bin holds."""
    with styled(grid=False):
        figure = new_figure(8.2, 3.9)
        axes, counts = figure.subplots(1, 2)
        axes.stairs(check.share_K, EDGES, fill=True, color=BAR)
        axes.stairs(check.share_K, EDGES, baseline=check.mean_p_K, fill=True, color=GAP, alpha=0.6)
        axes.plot([0, 1], [0, 1], "--", color=QUIET, linewidth=0.9)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=name)
        text = f"ECE {number(check.ece.value, DIGITS)}, Brier {number(check.brier.value, DIGITS)}"
        axes.set_title(f"share of noisy samples: {text}")
        counts.stairs(check.count_K, EDGES, fill=True, color=BAR)
        counts.set(xlim=(0, 1), xlabel=name)
        counts.set_title("samples per bin")
        legend_above(
            figure, [Patch(color=BAR, label="share"), Patch(color=GAP, alpha=0.6, label="gap to the mean p")]
        )
        caption = f"Calibration of {name} in 15 equal bins; on the diagonal the probability is what it says."
        return finish(figure, "probability", caption, synthetic=synthetic)


def draw_shapes(table: RankingTable, *, synthetic: bool) -> Drawing | None:
    """Return a histogram per score: all that can be drawn without a truth."""
    names: Sequence[str] = list(table.scores)
    if not names:
        return None
    with styled():
        figure = new_figure(FULL_WIDTH_IN, 2.1 * -(-len(names) // COLUMNS) + 0.4)
        for axes, name in zip(panels(figure, len(names), columns=COLUMNS), names, strict=True):
            axes.hist(table.scores[name], bins=30, color=BAR)
            axes.set_title(name)
            axes.locator_params(nbins=5)
        caption = "How the scores of the samples are spread. This says nothing about how right they are."
        return finish(figure, "score_shapes", caption, synthetic=synthetic)
