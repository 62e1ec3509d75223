"""Tables that a job of the study leaves, shown as they are."""

from __future__ import annotations

import pandas as pd

from pkgs.reports.document import Table
from pkgs.reports.metrics import number
from pkgs.reports.plan_ranking import ShownTable
from pkgs.reports.plot_style import file_name
from pkgs.reports.runs import Study

MAX_ROWS = 40
"""A longer table is cut, and says so: the file itself is the place to read it."""


def shown_table(study: Study, asked: ShownTable) -> Table | str:
    """Return the table, or the sentence that says why it is not there."""
    runs = [run for run in (*study.other_jobs, *study.runs) if run.condition == asked.condition]
    if not runs:
        return f"{asked.condition} has no run yet, so {asked.file} is not shown."
    path = runs[-1].folder.path / asked.file
    try:
        frame = pd.read_csv(path, keep_default_na=False, dtype=str, encoding_errors="replace")
    except FileNotFoundError:
        return f"{runs[-1].name}: {asked.file} is not there, so it is not shown."
    except (OSError, ValueError) as error:  # pandas' ParserError and EmptyDataError are ValueErrors
        first = str(error).partition("\n")[0]
        return f"{runs[-1].name}: {asked.file} cannot be read ({first}); expected a CSV with a header."
    rows = [[_cell(str(cell)) for cell in row] for row in frame.head(MAX_ROWS).itertuples(index=False)]
    cut = f" (the first {MAX_ROWS} of {len(frame)} rows)" if len(frame) > MAX_ROWS else ""
    name = file_name(asked.condition, asked.file.removesuffix(".csv"))
    header = [str(column).replace("_", " ") for column in frame.columns]
    return Table(header, rows, labels=asked.labels, caption=asked.caption + cut, name=name)


def _cell(text: str) -> str:
    """Return a number with as many digits as people read; whole numbers and texts as they are."""
    try:
        value = float(text)
    except ValueError:
        return text
    return text if text.lstrip("-").isdigit() else number(value)
