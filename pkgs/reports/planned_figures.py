"""The figures of a planned study, in the order of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pkgs.reports.bars import draw_bars
from pkgs.reports.blocks import pictures
from pkgs.reports.calibration_grid import draw_calibration
from pkgs.reports.curves import draw_curves
from pkgs.reports.document import Block
from pkgs.reports.error_scatter import draw_error_bins, draw_error_scatter
from pkgs.reports.material import Material
from pkgs.reports.monitor_curves import draw_monitor
from pkgs.reports.named_curves import draw_named_curves
from pkgs.reports.pairs import Pair
from pkgs.reports.plan import ReportPlan
from pkgs.reports.plot_style import Drawing
from pkgs.reports.points import draw_differences
from pkgs.reports.prediction_tables import StudyTables
from pkgs.reports.risk_coverage import draw_risk_coverage
from pkgs.reports.study_parts import Part, parts_of

Headed = dict[str, Sequence[Drawing | None]]
"""Figures by their heading."""


def planned_figures(
    material: Material,
    plan: ReportPlan,
    pairs: Sequence[Pair],
    *,
    predicted: StudyTables,
    labels_in_doubt: bool = False,
) -> list[Block]:
    """Return the figures below their headings; a heading without any is left out.

    Args:
        material: What was measured.
        plan: What is shown.
        pairs: The planned comparisons.
        predicted: What the runs left about their predictions.
        labels_in_doubt: Leaves out the figures in which more is better or a diagonal is right.
    """
    study, synthetic = material.study, material.synthetic
    parts = [part for part in parts_of(study, plan) if not part.brief]
    headed: Headed = {
        **({} if labels_in_doubt else _of_tests(material, plan, pairs, parts, predicted)),
        "Predicted and real error during training": [_watched(material, plan, predicted)],
        **{asked.name: [draw_named_curves(study, asked, synthetic=synthetic)] for asked in plan.curves},
        "Learning curves": [_named(draw_curves(part.study, synthetic=synthetic), part) for part in parts],
        "Image, label, prediction, error": material.overlays,
    }
    return [
        block
        for heading, drawings in headed.items()
        if any(drawing is not None for drawing in drawings)
        for block in pictures(heading, drawings)
    ]


def _of_tests(
    material: Material, plan: ReportPlan, pairs: Sequence[Pair], parts: Sequence[Part], predicted: StudyTables
) -> Headed:
    study, synthetic, weights = material.study, material.synthetic, plan.weights
    drawn = study.only([name for part in parts for name in part.study.conditions])
    against = [pair.comparison for pair in pairs if pair.comparison.base == plan.base]
    bars = [
        draw_bars(part.study, material.rows, weights=weights, synthetic=synthetic, shown=plan.bars)
        for part in parts
    ]
    return {
        "Results by seed": [
            *(_named(one, part) for one, part in zip(bars, parts, strict=True)),
            draw_differences(against, synthetic=synthetic),
        ],
        "Calibration": draw_calibration(drawn, predicted, weights=weights, synthetic=synthetic),
        "Predicted and real error": [
            *draw_error_scatter(study, predicted, weights=weights, synthetic=synthetic),
            draw_error_bins(study, predicted, weights=weights, synthetic=synthetic),
            draw_risk_coverage(study, predicted, weights=weights, synthetic=synthetic),
        ],
    }


def _watched(material: Material, plan: ReportPlan, predicted: StudyTables) -> Drawing | None:
    if plan.monitor is None:
        return None
    return draw_monitor(
        material.study,
        predicted,
        predicted=plan.monitor.predicted,
        real=plan.monitor.real,
        synthetic=material.synthetic,
    )


def _named(drawing: Drawing | None, part: Part) -> Drawing | None:
    """Return the figure of a part under a name and with a caption of its own."""
    if drawing is None:
        return None
    return replace(drawing, name=part.named(drawing.name), caption=part.caption(drawing.caption))
