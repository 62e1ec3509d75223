"""The report of a study with a plan: verdict first, then the questions, then figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from pkgs.reports import planned_sections, sections, tables
from pkgs.reports.bars import draw_bars
from pkgs.reports.blocks import pictures, titled
from pkgs.reports.calibration_grid import draw_calibration
from pkgs.reports.curves import draw_curves
from pkgs.reports.document import Block, Bullets, Document, Table, Text
from pkgs.reports.equal_weights import compare_weights
from pkgs.reports.error_scatter import draw_error_bins, draw_error_scatter
from pkgs.reports.material import Material, Report
from pkgs.reports.metrics import metric_of
from pkgs.reports.monitor_curves import draw_monitor
from pkgs.reports.named_curves import draw_named_curves, lacking_columns
from pkgs.reports.pairs import Pair, compare_planned, endpoints_of
from pkgs.reports.plan import ReportPlan
from pkgs.reports.plot_style import Drawing
from pkgs.reports.points import draw_differences
from pkgs.reports.prediction_tables import StudyTables, read_study_tables
from pkgs.reports.problems import Kind, Problem
from pkgs.reports.questions import Answer, answer, hypothesis_sentence
from pkgs.reports.ranking_report import RankingReport, report_ranking
from pkgs.reports.ranking_sections import IN_DOUBT
from pkgs.reports.risk_coverage import draw_risk_coverage
from pkgs.reports.shown_tables import shown_table
from pkgs.reports.study_parts import Part, parts_of


@dataclass(frozen=True)
class _Findings:
    """What was compared, asked and found wrong: everything that the page puts into words."""

    pairs: Sequence[Pair]
    answers: Sequence[Answer]
    hypothesis: str | None
    others: Sequence[str]
    """About conditions without a pair."""
    problems: Sequence[Problem]
    ranking: RankingReport
    left: Sequence[Table]
    """Tables that jobs of the study left."""
    predicted: StudyTables


def planned_report(material: Material, plan: ReportPlan) -> Report:
    """Compare as planned, answer the questions, and word everything."""
    found = _find(material, plan)
    pairs, ranking, in_doubt = found.pairs, found.ranking, found.ranking.labels_in_doubt
    frames: dict[str, pd.DataFrame] = material.frames(found.problems) | {
        "pairs": tables.pairs_frame(pairs),
        "conditions": tables.beside_frame(pairs, material.rows, base=plan.base),
        "questions": tables.answers_frame(found.answers),
        **ranking.frames,
    }
    if in_doubt:  # it calls conditions better
        del frames["comparisons"]
    told = [f"Hypothesis: {found.hypothesis}"] if found.hypothesis else []
    told += [one.sentence() for one in found.answers]
    sentences = (*told, *ranking.sentences, *(pair.sentence() for pair in pairs), *found.others)
    subtitle = sections.subtitle(material.study, synthetic=material.synthetic)
    document = Document(sections.title(material.study), subtitle, _blocks(material, plan, found))
    return Report(document, frames, sentences, tables_apart=True)


def _find(material: Material, plan: ReportPlan) -> _Findings:
    study = material.study
    ranking = (
        report_ranking(study, plan.ranking, synthetic=material.synthetic) if plan.ranking else RankingReport()
    )
    pairs, complaints = ([], []) if ranking.labels_in_doubt else compare_planned(study, plan)
    equalities = [compare_weights(study, one, other, why=why) for one, other, why in plan.same]
    predicted = read_study_tables(study)
    left = [shown_table(study, asked) for asked in plan.tables]
    unreadable = [
        *complaints,
        *predicted.complaints,
        *ranking.complaints,
        *(one for one in left if isinstance(one, str)),
    ]
    problems = [
        *material.problems,
        *(Problem(Kind.NOT_EQUAL, one.sentence) for one in equalities if not one.as_expected),
        *(Problem(Kind.UNREADABLE, text) for text in unreadable),
        *(
            Problem(Kind.MISSING, f"no run has logged {column}, which the curves of {asked.name} need.")
            for asked in plan.curves
            for column in lacking_columns(study, asked)
        ),
    ]
    answers = answer(study, plan, pairs, ranking=ranking.judged)
    others = planned_sections.other_conditions(study, plan, rows=material.rows, equalities=equalities)
    return _Findings(
        pairs=pairs,
        answers=answers,
        hypothesis=hypothesis_sentence(plan, answers, pairs),
        others=[IN_DOUBT] if ranking.labels_in_doubt else others,
        problems=problems,
        ranking=ranking,
        left=[one for one in left if isinstance(one, Table)],
        predicted=predicted,
    )


def _blocks(material: Material, plan: ReportPlan, found: _Findings) -> list[Block]:
    """Return the page from top to bottom."""
    study, rows, pairs = material.study, material.rows, found.pairs
    endpoints, weights, in_doubt = endpoints_of(plan), plan.weights, found.ranking.labels_in_doubt
    return [
        *planned_sections.verdict(
            pairs, hypothesis=found.hypothesis, others=found.others, problems=found.problems
        ),
        *planned_sections.notes(pairs, plan, study),
        *titled("Cautions", [Bullets(plan.notes)] if plan.notes else []),
        *planned_sections.questions(found.answers),
        *found.ranking.blocks,
        *sections.what_is_odd(study, found.problems),
        *planned_sections.without_alarm(study),
        *titled("Test results", planned_sections.beside_base(study, plan, pairs=pairs, rows=rows)),
        *(titled("Agreement with labels that may be wrong", [Text(IN_DOUBT)]) if in_doubt else []),
        *_overviews(material, plan),
        *titled("Also left by its jobs", found.left),
        *_figures(material, plan, pairs, predicted=found.predicted),
        *titled("Every comparison", planned_sections.pair_tables(pairs)),
        *([] if in_doubt else _other_comparisons(material, plan)),
        *titled("By seed", sections.seed_tables(study, rows, endpoints, weights=weights)),
        *titled("Per source", sections.source_tables(material.by_source, study, endpoints, weights=weights)),
        *titled("Runs", [sections.runs_table(study)]),
        *planned_sections.how_to_read(plan, endpoints),
    ]


def _figures(
    material: Material, plan: ReportPlan, pairs: Sequence[Pair], *, predicted: StudyTables
) -> list[Block]:
    """Return the figures in the order of the page; a heading without any is left out."""
    study, synthetic, weights = material.study, material.synthetic, plan.weights
    parts = [part for part in parts_of(study, plan) if not part.brief]
    drawn = study.only([name for part in parts for name in part.study.conditions])
    against = [pair.comparison for pair in pairs if pair.comparison.base == plan.base]
    results = [
        *(
            _named(
                draw_bars(part.study, material.rows, weights=weights, synthetic=synthetic, shown=plan.bars),
                part,
            )
            for part in parts
        ),
        draw_differences(against, synthetic=synthetic),
    ]
    errors = [
        *draw_error_scatter(study, predicted, weights=weights, synthetic=synthetic),
        draw_error_bins(study, predicted, weights=weights, synthetic=synthetic),
        draw_risk_coverage(study, predicted, weights=weights, synthetic=synthetic),
    ]
    watched = (
        draw_monitor(
            study,
            predicted,
            predicted=plan.monitor.predicted,
            real=plan.monitor.real,
            synthetic=synthetic,
        )
        if plan.monitor
        else None
    )
    headed: dict[str, Sequence[Drawing | None]] = {
        "Results by seed": results,
        "Calibration": draw_calibration(drawn, predicted, weights=weights, synthetic=synthetic),
        "Predicted and real error": errors,
        "Predicted and real error during training": [watched],
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


def _named(drawing: Drawing | None, part: Part) -> Drawing | None:
    """Return the figure of a part under a name and with a caption of its own."""
    if drawing is None:
        return None
    return replace(drawing, name=part.named(drawing.name), caption=part.caption(drawing.caption))


def _overviews(material: Material, plan: ReportPlan) -> list[Table]:
    return [
        table
        for part in parts_of(material.study, plan)
        for table in sections.overview_tables(
            part.study, material.rows, weights=plan.weights, part=part.name, name=part.named("mean_sd")
        )
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
