"""The part of a report about a ranking of samples, put together: blocks, tables, sentences, problems."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from pkgs.reports import ranking_sections, ranking_tables
from pkgs.reports.detectors import JudgedRanking, judge_ranking
from pkgs.reports.document import Block, Bullets, Figure, Heading, Text
from pkgs.reports.plan_ranking import Ranking
from pkgs.reports.probability_checks import ProbabilityCheck, check_probability
from pkgs.reports.ranking_figures import (
    draw_detectors,
    draw_probability,
    draw_scatter,
    draw_separation,
    draw_shapes,
)
from pkgs.reports.rankings import RankingTable, read_ranking
from pkgs.reports.runs import Study


@dataclass(frozen=True)
class RankingReport:
    """What a report shows of a ranking."""

    judged: JudgedRanking | None = None
    """None without a ranking, and without a truth to hold it against."""
    labels_in_doubt: bool = False
    """Whether the tests of the study, too, lack the truth that they are meant to use."""
    blocks: tuple[Block, ...] = ()
    frames: dict[str, pd.DataFrame] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()
    complaints: tuple[str, ...] = ()


def report_ranking(study: Study, asked: Ranking, *, synthetic: bool) -> RankingReport:
    """Read, judge, draw and word the ranking; without a truth nothing is judged."""
    table = read_ranking(study, asked)
    if isinstance(table, str):
        return RankingReport(blocks=(Heading("Ranking"), Text(table)), complaints=(table,))
    if table.truth is None:
        return _without_truth(table, asked, synthetic=synthetic)
    judged = judge_ranking(table, asked)
    sentences = [text for said in ranking_sections.comparisons(judged).values() for text in said]
    frames = {
        "detectors": ranking_tables.detectors_frame(judged),
        "detector_differences": ranking_tables.differences_frame(judged),
    }
    blocks: list[Block] = [
        Heading("Ranking against the truth"),
        *ranking_sections.introduction(judged),
        *_figures(judged, synthetic=synthetic),
        *ranking_tables.detector_tables(judged),
    ]
    unseen = ranking_sections.unseen_sentences(judged)
    blocks += [Bullets(unseen)] if unseen else []
    if table.probability is not None:
        check = check_probability(table.probability, judged.noisy, group=judged.group, draws=judged.draws)
        frames["probability"] = _bins(check)
        blocks += [
            Text(ranking_sections.probability_sentence(check, table.rate, asked)),
            Figure(draw_probability(check, name=asked.probability, synthetic=synthetic)),
        ]
    blocks += [Text(table.rate.assumption)] if table.rate and table.rate.assumption else []
    blocks.append(ranking_sections.how_to_read(judged))
    return RankingReport(
        judged,
        blocks=tuple(blocks),
        frames=frames,
        sentences=(*sentences, *unseen),
        complaints=table.complaints,
    )


def _without_truth(table: RankingTable, asked: Ranking, *, synthetic: bool) -> RankingReport:
    blocks: list[Block] = [Heading("Ranking"), *ranking_sections.without_truth(table)]
    shapes = draw_shapes(table, synthetic=synthetic)
    blocks += [Figure(shapes)] if shapes else []
    doubt = (ranking_sections.IN_DOUBT,) if asked.judges_tests else ()
    return RankingReport(
        labels_in_doubt=asked.judges_tests,
        blocks=tuple(blocks),
        sentences=(ranking_sections.NO_TRUTH, *doubt),
        complaints=table.complaints,
    )


def _figures(judged: JudgedRanking, *, synthetic: bool) -> list[Block]:
    drawings = [
        draw_detectors(judged, synthetic=synthetic),
        draw_separation(judged, synthetic=synthetic),
        draw_scatter(judged, synthetic=synthetic),
    ]
    return [Figure(drawing) for drawing in drawings if drawing]


def _bins(check: ProbabilityCheck) -> pd.DataFrame:
    return (
        pd.DataFrame({"samples": check.count_K, "mean_p": check.mean_p_K, "share_noisy": check.share_K})
        .rename_axis("bin")
        .reset_index()
    )
