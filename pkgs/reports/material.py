"""What every report needs from its study, computed once, and what a finished one consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pkgs.reports import tables
from pkgs.reports.comparison import Comparison, compare
from pkgs.reports.document import Document
from pkgs.reports.metrics import Metric
from pkgs.reports.overlays import draw_overlays
from pkgs.reports.plan import ReportPlan
from pkgs.reports.plot_style import Drawing
from pkgs.reports.problems import Kind, Problem, find_problems
from pkgs.reports.runs import Study
from pkgs.reports.study_parts import parts_of
from pkgs.reports.tables import SeedRow


@dataclass(frozen=True)
class Report:
    """A finished report, still in memory."""

    document: Document
    frames: dict[str, pd.DataFrame]
    sentences: tuple[str, ...]
    """What it says in short, for the terminal."""
    tables_apart: bool = False
    """Whether shown tables with a name are also written on their own, as Markdown."""


@dataclass(frozen=True)
class Material:
    """A study with its numbers, pictures and problems."""

    study: Study
    metrics: Sequence[Metric]
    rows: Sequence[SeedRow]
    every: Sequence[Comparison]
    """Every condition against the base, in every metric, for all weights of the training."""
    by_source: pd.DataFrame
    overlays: Sequence[Drawing | None]
    problems: Sequence[Problem]
    synthetic: bool

    def frames(self, problems: Sequence[Problem]) -> dict[str, pd.DataFrame]:
        """Return the tables that every report has, by the name of their file."""
        listed = [(str(problem.kind), problem.sentence) for problem in problems]
        return {
            "seeds": tables.seeds_frame(self.rows, self.study.seeds),
            "comparisons": tables.comparisons_frame(self.every),
            "sources": self.by_source,
            "runs": tables.runs_frame(self.study),
            "problems": pd.DataFrame(listed, columns=["kind", "sentence"]),
        }


def gather(study: Study, base: str, *, plan: ReportPlan | None = None) -> Material:
    """Read and compute all that a report of `study` shows.

    Args:
        study: The runs, in the order in which they are shown.
        base: Condition that the others are compared with.
        plan: Says what else should be there.
    """
    metrics = tables.measured_metrics(study)
    synthetic = any(run.results.synthetic for run in study.runs)
    brief = {name for part in parts_of(study, plan) if part.brief for name in part.study.conditions}
    shown = study.only([name for name in study.conditions if name not in brief])
    overlays, complaints = _overlays(shown, synthetic=synthetic)
    problems = find_problems(study, metrics, plan=plan)
    return Material(
        study=study,
        metrics=metrics,
        rows=tables.seed_rows(study, metrics),
        every=[
            one
            for weights in tables.weights_of(study)
            if weights in tables.TRAINED
            for one in compare(study, base, weights=weights, metrics=metrics)
        ],
        by_source=tables.sources_frame(study, metrics),
        overlays=overlays,
        problems=problems + [Problem(Kind.UNREADABLE, text) for text in complaints],
        synthetic=synthetic,
    )


def _overlays(study: Study, *, synthetic: bool) -> tuple[list[Drawing | None], list[str]]:
    drawings: list[Drawing | None] = []
    complaints: list[str] = []
    for condition in study.conditions:
        drawing, about = draw_overlays(study, condition, synthetic=synthetic)
        drawings.append(drawing)
        complaints += about
    return drawings, complaints
