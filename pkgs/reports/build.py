"""From run folders to the files of a report: read, compare, draw, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pkgs.foundation.files import write_whole
from pkgs.reports import sections, tables
from pkgs.reports.comparison import Comparison, choose_base, compare
from pkgs.reports.curves import draw_curves
from pkgs.reports.document import Block, Document, Figure, Heading, Text
from pkgs.reports.markdown import to_markdown
from pkgs.reports.metrics import Metric
from pkgs.reports.overlays import draw_overlays
from pkgs.reports.page import to_html
from pkgs.reports.plot_style import Drawing
from pkgs.reports.points import draw_differences, draw_points
from pkgs.reports.problems import Kind, Problem, find_problems
from pkgs.reports.runs import REPORT_PAGE, Study, read_study


@dataclass(frozen=True)
class Report:
    """A finished report, still in memory."""

    document: Document
    frames: dict[str, pd.DataFrame]
    sentences: tuple[str, ...]
    """The comparisons in the endpoints, for the terminal."""


def write_report(root: Path, name: str, *, out: Path, base: str | None = None) -> Report:
    """Report the study `name` into the folder `out`; the page is written last.

    Raises:
        StudyError: If there is no such study, no training in it, or no condition called `base`.
        OSError: If `out` cannot be written.
    """
    report = make_report(read_study(root, name, out=out), base=base)
    for folder in (out, out / "tables", out / "figures"):
        folder.mkdir(parents=True, exist_ok=True)
    for table, frame in report.frames.items():
        text = frame.to_csv(index=False, float_format="%.10g", lineterminator="\n")
        write_whole(out / "tables" / f"{table}.csv", text)
    for drawing in report.document.figures():
        write_whole(out / "figures" / f"{drawing.name}.png", drawing.png)
        write_whole(out / "figures" / f"{drawing.name}.svg", drawing.svg)
    write_whole(out / "report.md", to_markdown(report.document))
    write_whole(out / REPORT_PAGE, to_html(report.document))
    return report


def make_report(study: Study, *, base: str | None = None) -> Report:
    """Compute, draw and word everything."""
    chosen = choose_base(study, base)
    study = study.starting_with(chosen)
    metrics = tables.measured_metrics(study)
    endpoints = [metric for metric in metrics if metric.margin is not None] or metrics[:1]
    rows = tables.seed_rows(study, metrics)
    primary = compare(study, chosen, weights=sections.PRIMARY, metrics=endpoints)
    every = [
        one
        for weights in tables.weights_of(study)
        if weights in tables.TRAINED
        for one in compare(study, chosen, weights=weights, metrics=metrics)
    ]
    synthetic = any(run.results.synthetic for run in study.runs)
    overlays, complaints = _overlays(study, synthetic=synthetic)
    problems = find_problems(study, metrics) + [Problem(Kind.UNREADABLE, text) for text in complaints]
    by_source = tables.sources_frame(study, metrics)
    blocks: list[Block] = [
        *sections.in_short(rows, endpoints, primary),
        *sections.what_is_odd(study, problems),
        *_results(study, rows, endpoints, synthetic=synthetic),
        *_differences(primary, every, synthetic=synthetic),
        *_pictures("Learning curves", [draw_curves(study, synthetic=synthetic)]),
        *_pictures("Image, label, prediction, error", overlays),
        *_titled("Per source", sections.source_tables(by_source, study, endpoints)),
        *_titled("Runs", [sections.runs_table(study)]),
        *sections.how_to_read(),
    ]
    frames = {
        "seeds": tables.seeds_frame(rows, study.seeds),
        "comparisons": tables.comparisons_frame(every),
        "sources": by_source,
        "runs": tables.runs_frame(study),
        "problems": pd.DataFrame(
            [(str(problem.kind), problem.sentence) for problem in problems], columns=["kind", "sentence"]
        ),
    }
    subtitle = sections.subtitle(study, synthetic=synthetic)
    sentences = tuple(one.sentence() for one in primary)
    return Report(Document(sections.title(study), subtitle, blocks), frames, sentences)


def _overlays(study: Study, *, synthetic: bool) -> tuple[list[Drawing | None], list[str]]:
    drawings: list[Drawing | None] = []
    complaints: list[str] = []
    for condition in study.conditions:
        drawing, about = draw_overlays(study, condition, synthetic=synthetic)
        drawings.append(drawing)
        complaints += about
    return drawings, complaints


def _results(
    study: Study, rows: Sequence[tables.SeedRow], endpoints: Sequence[Metric], *, synthetic: bool
) -> list[Block]:
    if not rows:
        return []
    points = draw_points(study, rows, synthetic=synthetic)
    return [
        Heading("Test results"),
        sections.overview_table(study, rows),
        *([Figure(points)] if points else []),
        *sections.seed_tables(study, rows, endpoints),
    ]


def _differences(
    primary: Sequence[Comparison], every: Sequence[Comparison], *, synthetic: bool
) -> list[Block]:
    shown = [one for one in primary if one.differences]
    if not shown:
        return []
    caption = f"Difference from {shown[0].base}, paired by seed"
    others = [one for one in every if one.differences and one not in shown]
    drawing = draw_differences(primary, synthetic=synthetic)
    return [
        Heading("Differences from the base"),
        *([Figure(drawing)] if drawing else []),
        sections.comparison_table(shown, caption),
        *(
            [sections.comparison_table(others, f"{caption}: other metrics and weights", folded=True)]
            if others
            else []
        ),
    ]


def _pictures(heading: str, drawings: Sequence[Drawing | None]) -> list[Block]:
    figures = [Figure(drawing) for drawing in drawings if drawing is not None]
    return [Heading(heading), *figures] if figures else [Heading(heading), Text("Nothing was saved yet.")]


def _titled(heading: str, blocks: Sequence[Block]) -> list[Block]:
    return [Heading(heading), *blocks] if blocks else []
