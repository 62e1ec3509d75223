"""Reading the CSV files of a run: append-only, cut off by crashes, repeated by resumes.

Gives the rows that count and, as sentences, what could not be read. Never raises for what a crash can leave.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Row = Mapping[str, str | float]
TEXT_COLUMNS = frozenset({"weights", "source", "split", "sample", "masks", "predictor"})


@dataclass(frozen=True, slots=True)
class CsvRows:
    """The readable rows of a CSV file, in the file's order."""

    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    complaints: tuple[str, ...] = field(default=())
    """One sentence each; they start with the file's name."""

    def numbers(self, column: str) -> list[float]:
        """Return a column as numbers, NaN where a row holds none."""
        return [_as_number(row.get(column, "")) for row in self.rows]


def read_csv(path: Path, *, required: Sequence[str] = ()) -> CsvRows:
    """Read `path`; a missing file is empty and no complaint, since the run may not have come so far.

    A last line without its line end is what a crash leaves and is dropped silently; any other line with the
    wrong number of cells is dropped with a complaint. Cells that are empty or no number become NaN, except in
    text columns.

    Args:
        path: A file of design section 8, one header.
        required: Columns without which the file is of no use; if one is missing, no rows come back.
    """
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return CsvRows()
    except OSError as error:
        return CsvRows(complaints=(f"{path.name} cannot be read ({error.strerror}).",))
    try:
        lines = list(csv.reader(io.StringIO(_whole_lines(text).replace("\0", "\N{REPLACEMENT CHARACTER}"))))
    except csv.Error as error:  # a cell beyond csv's limit: a stray quote has swallowed the rest
        return CsvRows(complaints=(f"{path.name} is not CSV ({error}).",))
    if not lines:
        return CsvRows(complaints=(f"{path.name} is empty; expected a header.",))
    columns = tuple(name.strip().lstrip("\N{BOM}") for name in lines[0])
    lacking = [name for name in required if name not in columns]
    if lacking:
        found = ", ".join(columns)
        return CsvRows(
            complaints=(f"{path.name} has no column {', '.join(map(repr, lacking))}; it has {found}.",)
        )
    rows: list[Row] = []
    broken: list[int] = []
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) == len(columns):
            rows.append({name: _cell(name, cell) for name, cell in zip(columns, cells, strict=True)})
        elif cells and cells != list(columns):
            broken.append(number)
    return CsvRows(columns, tuple(rows), _about_broken(path.name, broken))


def _whole_lines(text: str) -> str:
    """Drop a last line without its line end, but keep a header that stands alone."""
    head, newline, _ = text.rpartition("\n")
    return head + newline if newline else text


def _cell(column: str, cell: str) -> str | float:
    return cell.strip() if column in TEXT_COLUMNS else _as_number(cell)


def _as_number(cell: str | float) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _about_broken(name: str, numbers: Sequence[int]) -> tuple[str, ...]:
    if not numbers:
        return ()
    shown = ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
    lines = "line" if len(numbers) == 1 else "lines"
    return (f"{name}: {lines} {shown} cut off or with surplus cells, left out (a crash while writing?).",)


def without_repeats(rows: Sequence[Row]) -> list[Row]:
    """Drop what a resume made obsolete: rows whose step a later row reached again or went back behind."""
    kept: list[Row] = []
    first_step = math.inf
    for row in reversed(rows):
        step = row.get("step", math.nan)
        if (
            isinstance(step, float) and step < first_step
        ):  # NaN compares false: a row without a step is dropped
            kept.append(row)
            first_step = step
    return kept[::-1]
