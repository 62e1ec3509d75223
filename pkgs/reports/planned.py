"""The report of a study with a plan: verdict first, then the questions, then figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pkgs.reports import planned_sections, sections, tables
from pkgs.reports.blocks import titled
from pkgs.reports.document import Block, Bullets, Document, Table, Text
from pkgs.reports.equal_weights import compare_weights
from pkgs.reports.material import Material, Report
from pkgs.reports.metrics import metric_of
from pkgs.reports.named_curves import lacking_columns
from pkgs.reports.pairs import Pair, compare_planned, endpoints_of
from pkgs.reports.plan import ReportPlan
from pkgs.reports.planned_figures import planned_figures
from pkgs.reports.prediction_tables import StudyTables, read_study_tables
from pkgs.reports.problems import Kind, Problem
from pkgs.reports.questions import Answer, answer, hypothesis_sentence
from pkgs.reports.ranking_report import RankingReport, report_ranking
from pkgs.reports.ranking_sections import IN_DOUBT
from pkgs.reports.shown_tables import shown_table
from pkgs.reports.study_parts import parts_of


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
    endpoints, in_doubt = endpoints_of(plan), found.ranking.labels_in_doubt
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
        *planned_figures(material, plan, found.pairs, predicted=found.predicted, labels_in_doubt=in_doubt),
        *titled("Every comparison", planned_sections.pair_tables(pairs)),
        *([] if in_doubt else _other_comparisons(material, plan)),
        *([] if in_doubt else _finer_tables(material, plan)),
        *titled("Runs", [sections.runs_table(study)]),
        *planned_sections.how_to_read(plan, endpoints),
    ]


def _overviews(material: Material, plan: ReportPlan) -> list[Table]:
    return [
        table
        for part in parts_of(material.study, plan)
        for table in sections.overview_tables(
            part.study, material.rows, weights=plan.weights, part=part.name, name=part.named("mean_sd")
        )
    ]


def _finer_tables(material: Material, plan: ReportPlan) -> list[Block]:
    study, endpoints, weights = material.study, endpoints_of(plan), plan.weights
    by_seed = sections.seed_tables(study, material.rows, endpoints, weights=weights)
    by_source = sections.source_tables(material.by_source, study, endpoints, weights=weights)
    return [*titled("By seed", by_seed), *titled("Per source", by_source)]


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
