"""The report of a study with a plan: verdict first, then the questions, then figures and tables."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from pkgs.reports import planned_sections, sections, tables
from pkgs.reports.blocks import pictures, titled
from pkgs.reports.curves import draw_curves
from pkgs.reports.document import Block, Document
from pkgs.reports.equal_weights import compare_weights
from pkgs.reports.material import Material, Report
from pkgs.reports.metrics import metric_of
from pkgs.reports.pairs import Pair, compare_planned, endpoints_of
from pkgs.reports.plan import ReportPlan
from pkgs.reports.plot_style import Drawing
from pkgs.reports.points import draw_differences, draw_points
from pkgs.reports.problems import Kind, Problem
from pkgs.reports.questions import answer, hypothesis_sentence

SHOWN = ("accuracy", "iou", "ece_fg", "mce_fg")
"""Metrics that are drawn; the tables hold all."""


def planned_report(material: Material, plan: ReportPlan) -> Report:
    """Compare as planned, answer the questions, and word everything."""
    study, rows = material.study, material.rows
    endpoints = endpoints_of(plan)
    pairs, complaints = compare_planned(study, plan)
    equalities = [compare_weights(study, one, other, why=why) for one, other, why in plan.same]
    problems = [
        *material.problems,
        *(Problem(Kind.NOT_EQUAL, one.sentence) for one in equalities if not one.as_expected),
        *(Problem(Kind.UNREADABLE, text) for text in complaints),
    ]
    answers = answer(study, plan, pairs)
    hypothesis = hypothesis_sentence(plan, answers, pairs)
    others = planned_sections.other_conditions(study, plan, rows=rows, equalities=equalities)
    weights = plan.weights
    blocks: list[Block] = [
        *planned_sections.verdict(pairs, hypothesis=hypothesis, others=others, problems=problems),
        *planned_sections.notes(pairs, plan, study),
        *planned_sections.questions(answers),
        *sections.what_is_odd(study, problems),
        *planned_sections.without_alarm(study),
        *titled("Test results", planned_sections.beside_base(study, plan, pairs=pairs, rows=rows)),
        *sections.overview_tables(study, rows, weights=weights),
        *pictures("Figures", _figures(material, plan, pairs)),
        *titled("Every comparison", planned_sections.pair_tables(pairs)),
        *_other_comparisons(material, plan),
        *titled("By seed", sections.seed_tables(study, rows, endpoints, weights=weights)),
        *titled("Per source", sections.source_tables(material.by_source, study, endpoints, weights=weights)),
        *titled("Runs", [sections.runs_table(study)]),
        *planned_sections.how_to_read(plan, endpoints),
    ]
    frames: dict[str, pd.DataFrame] = material.frames(problems) | {
        "pairs": tables.pairs_frame(pairs),
        "conditions": tables.beside_frame(pairs, rows, base=plan.base),
        "questions": tables.answers_frame(answers),
    }
    subtitle = sections.subtitle(study, synthetic=material.synthetic)
    told = [*([f"Hypothesis: {hypothesis}"] if hypothesis else []), *(one.sentence() for one in answers)]
    sentences = (*told, *(pair.sentence() for pair in pairs), *others)
    return Report(Document(sections.title(study), subtitle, blocks), frames, sentences, tables_apart=True)


def _figures(material: Material, plan: ReportPlan, pairs: Sequence[Pair]) -> list[Drawing | None]:
    """Return the figures in the order of the page; None where there is nothing to draw."""
    study, synthetic = material.study, material.synthetic
    names = dict.fromkeys((*plan.endpoints, *SHOWN))
    shown = [row for row in material.rows if row.metric.name in names]
    against = [pair.comparison for pair in pairs if pair.comparison.base == plan.base]
    return [
        draw_points(study, shown, synthetic=synthetic),
        draw_differences(against, synthetic=synthetic),
        draw_curves(study, synthetic=synthetic),
        *material.overlays,
    ]


def _other_comparisons(material: Material, plan: ReportPlan) -> list[Block]:
    """Return what else can be compared with the base, folded: other weights, other metrics, no correction."""
    known = {metric_of(name) for name in plan.endpoints}
    others = [
        one
        for one in material.every
        if one.differences and (one.weights == plan.weights) != (one.metric in known)
    ]
    caption = f"Difference from {plan.base}: other metrics and weights, not planned, without correction"
    return [sections.comparison_table(others, caption, folded=True)] if others else []
