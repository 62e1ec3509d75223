"""From run folders to the files of a report: read, compare, draw, write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pkgs.foundation.files import write_whole
from pkgs.reports import sections
from pkgs.reports.blocks import pictures, titled
from pkgs.reports.comparison import Comparison, choose_base, compare
from pkgs.reports.curves import draw_curves
from pkgs.reports.document import Block, Document, Figure, Heading
from pkgs.reports.markdown import table_to_markdown, to_markdown
from pkgs.reports.material import Material, Report, gather
from pkgs.reports.metrics import Metric
from pkgs.reports.page import to_html
from pkgs.reports.plan import ReportPlan
from pkgs.reports.planned import planned_report
from pkgs.reports.points import draw_differences, draw_points
from pkgs.reports.runs import REPORT_PAGE, Study, read_study


def write_report(
    root: Path, name: str, *, out: Path, base: str | None = None, plan: ReportPlan | None = None
) -> Report:
    """Report the study `name` into the folder `out`; the page is written last.

    Args:
        root: Where the run folders lie.
        name: The study.
        out: Where the report goes.
        base: Condition to compare with, in a report without a plan.
        plan: How the study is judged.

    Raises:
        StudyError: If there is no such study, no training in it, or no condition called `base`.
        OSError: If `out` cannot be written.
    """
    report = make_report(read_study(root, name, out=out), base=base, plan=plan)
    for folder in (out, out / "tables", out / "figures"):
        folder.mkdir(parents=True, exist_ok=True)
    for table, frame in report.frames.items():
        text = frame.to_csv(index=False, float_format="%.10g", lineterminator="\n")
        write_whole(out / "tables" / f"{table}.csv", text)
    for shown in report.document.named_tables() if report.tables_apart else []:
        write_whole(out / "tables" / f"{shown.name}.md", table_to_markdown(shown) + "\n")
    for drawing in report.document.figures():
        write_whole(out / "figures" / f"{drawing.name}.png", drawing.png)
        write_whole(out / "figures" / f"{drawing.name}.svg", drawing.svg)
    write_whole(out / "report.md", to_markdown(report.document))
    write_whole(out / REPORT_PAGE, to_html(report.document))
    return report


def make_report(study: Study, *, base: str | None = None, plan: ReportPlan | None = None) -> Report:
    """Compute, draw and word everything: by the plan, or every condition against the base without one."""
    if plan is not None:
        trained = study.with_jobs(plan.other_jobs).in_order(plan.conditions)
        return planned_report(gather(trained, plan.base, plan=plan), plan)
    chosen = choose_base(study, base)
    return _unplanned(gather(study.starting_with(chosen), chosen), chosen)


def _unplanned(material: Material, base: str) -> Report:
    study, synthetic, rows, every = material.study, material.synthetic, material.rows, material.every
    metrics = material.metrics
    endpoints = [metric for metric in metrics if metric.margin is not None] or list(metrics[:1])
    primary = compare(study, base, weights=sections.PRIMARY, metrics=endpoints)
    blocks: list[Block] = [
        *sections.in_short(rows, endpoints, primary),
        *sections.what_is_odd(study, material.problems),
        *_results(material, endpoints),
        *_differences(primary, every, synthetic=synthetic),
        *pictures("Learning curves", [draw_curves(study, synthetic=synthetic)]),
        *pictures("Image, label, prediction, error", material.overlays),
        *titled("Per source", sections.source_tables(material.by_source, study, endpoints)),
        *titled("Runs", [sections.runs_table(study)]),
        *sections.how_to_read(),
    ]
    subtitle = sections.subtitle(study, synthetic=synthetic)
    sentences = tuple(one.sentence() for one in primary)
    document = Document(sections.title(study), subtitle, blocks)
    return Report(document, material.frames(material.problems), sentences)


def _results(material: Material, endpoints: Sequence[Metric]) -> list[Block]:
    rows = material.rows
    if not rows:
        return []
    first, *more = sections.overview_tables(material.study, rows)
    points = draw_points(material.study, rows, synthetic=material.synthetic)
    return [
        Heading("Test results"),
        first,
        *([Figure(points)] if points else []),
        *more,
        *sections.seed_tables(material.study, rows, endpoints),
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
