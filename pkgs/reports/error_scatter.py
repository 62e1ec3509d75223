"""Predicted against real error: per image as a scatter, per pixel as a curve over bins of the prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy import stats

from pkgs.reports.metrics import number
from pkgs.reports.plot_style import (
    COLOURS,
    FULL_WIDTH_IN,
    MARKERS,
    QUIET,
    Drawing,
    Look,
    file_name,
    finish,
    in_pages,
    legend_above,
    looks,
    new_figure,
    panels,
    styled,
)
from pkgs.reports.prediction_tables import BINS, Bins, ImageErrors, Predictor, StudyTables
from pkgs.reports.runs import Study

MASKS = ("own", "baseline", "corrupted")
"""In the order of what matters: the masks that the prediction is used on come first."""
CONDITIONS_PER_FIGURE = 3
MAX_DRAWN_POINTS = 1000
"""Panels with more points hold them as a picture in the SVG, which would be heavy and slow otherwise."""
LOG_RATIO = 20.0
"""Positive errors that differ by more than this factor get logarithmic axes."""

SeedImages = dict[int | None, ImageErrors]


def draw_error_scatter(
    study: Study, tables: StudyTables, *, weights: str, synthetic: bool, predictor: str = "teacher"
) -> list[Drawing]:
    """Return predicted against real error per image, a line per condition, a column per kind of masks.

    Args:
        study: Its conditions, in this order; those without such predictions are left out.
        tables: What its runs left.
        weights: Which of a run's weights, for instance `last`.
        synthetic: Stamps the figures.
        predictor: Whose predictions.
    """
    found = {
        condition: {
            masks: images
            for masks in MASKS
            if (images := _images(study, tables, condition, Predictor(weights, masks, predictor)))
        }
        for condition in study.conditions
    }
    shown = {condition: by_masks for condition, by_masks in found.items() if by_masks}
    seeds = sorted(
        {seed for by_masks in shown.values() for images in by_masks.values() for seed in images},
        key=lambda seed: seed or 0,
    )
    return [
        _figure(
            {condition: shown[condition] for condition in page},
            seeds,
            name=file_name("error_scatter", predictor, *([str(place)] if place > 1 else [])),
            caption=_scatter_caption(page, predictor, weights),
            synthetic=synthetic,
        )
        for place, page in enumerate(in_pages(list(shown), per_page=CONDITIONS_PER_FIGURE), start=1)
    ]


def _images(study: Study, tables: StudyTables, condition: str, predictor: Predictor) -> SeedImages:
    return {
        run.seed: tables.of(run).images[predictor]
        for run in study.of(condition)
        if predictor in tables.of(run).images
    }


def _scatter_caption(conditions: Sequence[str], predictor: str, weights: str) -> str:
    return (
        f"Error of each test image as the {predictor.replace('_', ' ')} predicts it and as it is, "
        f"{', '.join(conditions)}, {weights} weights, for the run's own masks, those of the baseline and "
        "corrupted ones; a colour and marker per seed. On the dashed line the prediction is exact. Spearman: "
        "mean over the seeds of the rank correlation over images, its range in brackets."
    )


def _figure(
    lines: dict[str, dict[str, SeedImages]],
    seeds: Sequence[int | None],
    *,
    name: str,
    caption: str,
    synthetic: bool,
) -> Drawing:
    columns = [masks for masks in MASKS if any(masks in by_masks for by_masks in lines.values())]
    look = {
        seed: Look(COLOURS[k % len(COLOURS)], "-", MARKERS[k % len(MARKERS)]) for k, seed in enumerate(seeds)
    }
    with styled():
        width = min(FULL_WIDTH_IN, 3.7 * len(columns) + 0.6)
        figure = new_figure(width, 3.1 * len(lines) + 0.6)
        grid = figure.subplots(len(lines), len(columns), squeeze=False)
        for row, (condition, by_masks) in zip(grid, lines.items(), strict=True):
            for axes, masks in zip(row, columns, strict=True):
                if masks not in by_masks:
                    axes.set_visible(False)
                    continue
                _scatter(axes, by_masks[masks], look)
                axes.set_title(f"{condition}, {masks} masks\n{_spearman_text(by_masks[masks])}")
                axes.set_xlabel("predicted error")
            row[0].set_ylabel("real error")
        if seeds != [None]:
            handles = [
                Line2D(
                    [],
                    [],
                    color=one.colour,
                    marker=one.marker,
                    linestyle="",
                    markersize=5,
                    label=f"seed {seed}",
                )
                for seed, one in look.items()
            ]
            legend_above(figure, handles)
        return finish(figure, name, caption, synthetic=synthetic)


def _scatter(axes: Axes, images: SeedImages, look: dict[int | None, Look]) -> None:
    many = sum(len(errors.samples) for errors in images.values()) > MAX_DRAWN_POINTS
    for seed, errors in images.items():
        one = look[seed]
        axes.plot(
            errors.predicted,
            errors.real,
            one.marker,
            color=one.colour,
            markersize=4,
            alpha=0.65,
            markeredgewidth=0,
            rasterized=many,
        )
    every = np.concatenate(
        [values for errors in images.values() for values in (errors.predicted, errors.real)]
    )
    low, high = float(every.min()), float(every.max())
    logarithmic = low > 0 and high / low > LOG_RATIO
    if logarithmic:
        axes.set(xscale="log", yscale="log")
        low, high = low / 1.3, high * 1.3
        axes.minorticks_off()  # unlabelled, and half of the figure's time
        axes.set_xticks(ticks := log_ticks(low, high), labels := [f"{tick:g}" for tick in ticks])
        axes.set_yticks(ticks, labels)
    else:
        reach = 0.05 * (high - low) or 0.01
        low, high = low - reach, high + reach
    axes.plot([low, high], [low, high], "--", color=QUIET, linewidth=1, zorder=1)
    axes.set(xlim=(low, high), ylim=(low, high))


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1 and 3 of every decade from `low` to `high`, or only 1 where that would be more than seven."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{digit}e{decade}") for decade in decades for digit in (1, 3)]
    inside = [tick for tick in ticks if low <= tick <= high]
    return inside if len(inside) <= 7 else [tick for tick in inside if f"{tick:e}".startswith("1")]


def spearman(errors: ImageErrors) -> float:
    """Return the rank correlation over images; NaN for fewer than three, or where one side is constant."""
    if len(errors.samples) < 3 or np.ptp(errors.predicted) == 0 or np.ptp(errors.real) == 0:
        return math.nan
    return float(stats.spearmanr(errors.predicted, errors.real).statistic)


def _spearman_text(images: SeedImages) -> str:
    values = [value for errors in images.values() if math.isfinite(value := spearman(errors))]
    if not values:
        return "Spearman undefined"
    text = f"Spearman {number(math.fsum(values) / len(values), 2)}"
    return f"{text} ({number(min(values), 2)} to {number(max(values), 2)})" if len(values) > 1 else text


def draw_error_bins(
    study: Study, tables: StudyTables, *, weights: str, synthetic: bool, predictor: str = "teacher"
) -> Drawing | None:
    """Return the mean real error of pixels over their predicted error, 15 bins, a panel per kind of masks.

    Args:
        study: Its conditions, a line each.
        tables: What its runs left.
        weights: Which of a run's weights, for instance `last`.
        synthetic: Stamps the figure.
        predictor: Whose predictions.
    """
    found = {
        (masks, condition): bins
        for masks in MASKS
        for condition in study.conditions
        if (bins := _seed_bins(study, tables, condition, Predictor(weights, masks, predictor)))
    }
    kinds = list(dict.fromkeys(masks for masks, _ in found))
    if not kinds:
        return None
    look = looks(study.conditions)
    drawn = [name for name in study.conditions if any(condition == name for _, condition in found)]
    with styled():
        figure = new_figure(min(FULL_WIDTH_IN, 3.7 * len(kinds) + 0.6), 3.7)
        places = panels(figure, len(kinds), columns=len(kinds))
        for axes, masks in zip(places, kinds, strict=True):
            for condition in drawn:
                if (masks, condition) in found:
                    _bin_curve(axes, found[masks, condition], look[condition])
            axes.plot([0, 1], [0, 1], "--", color=QUIET, linewidth=1, zorder=1)
            axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="predicted error of the pixel")
            axes.set_title(f"{masks} masks")
        places[0].set_ylabel("real error of the pixel")
        handles = [
            Line2D(
                [],
                [],
                color=look[name].colour,
                linestyle=look[name].dash,
                marker=look[name].marker,
                label=name,
            )
            for name in drawn
        ]
        legend_above(figure, handles)
        caption = (
            f"Real against predicted error of the pixels, as shares of the largest loss, in {BINS} equal "
            f"bins of what the {predictor.replace('_', ' ')} predicts, {weights} weights: means over the "
            "seeds that have pixels in a bin, the lines are ± sd. On the dashed line the prediction is right "
            "on average; most pixels lie in the first bin."
        )
        return finish(figure, file_name("error_bins", predictor), caption, synthetic=synthetic)


def _seed_bins(study: Study, tables: StudyTables, condition: str, predictor: Predictor) -> list[Bins]:
    every = [tables.of(run).reliability for run in study.of(condition)]
    return [bins[predictor] for bins in every if predictor in bins]


def _bin_curve(axes: Axes, seeds: Sequence[Bins], look: Look) -> None:
    real = np.array([bins.real for bins in seeds])
    predicted = np.array([bins.predicted for bins in seeds])
    filled = np.isfinite(real).any(axis=0)
    real, predicted = real[:, filled], predicted[:, filled]
    mean, n = np.nanmean(real, axis=0), np.isfinite(real).sum(axis=0)
    spread = np.sqrt(np.nansum((real - mean) ** 2, axis=0) / np.maximum(n - 1, 1))
    axes.errorbar(
        np.nanmean(predicted, axis=0),
        mean,
        np.where(n > 1, spread, 0),
        color=look.colour,
        linestyle=look.dash,
        marker=look.marker,
        markersize=4,
        linewidth=1.6,
        elinewidth=0.9,
    )
