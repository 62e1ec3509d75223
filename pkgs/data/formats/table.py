"""Tables and lists that come with a release, read whole; every way to fail names the file and the remedy."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from pkgs.data.items import DataError, listed


def read_lines(path: Path, *, remedy: str) -> list[str]:
    """Return the lines of a text file that are not blank; a byte-order mark is dropped.

    Args:
        path: In UTF-8.
        remedy: A whole sentence: where the file comes from, or what it is for.

    Raises:
        DataError: If it is missing, may not be read, or is no text.
    """
    return [line for line in _text(path, remedy).splitlines() if line.strip()]


def read_rows(path: Path, *, remedy: str) -> list[tuple[int, list[str]]]:
    """Return the rows of a comma-separated file with their line numbers, blank ones left out.

    Raises:
        DataError: If it is missing, may not be read, or is no such table.
    """
    rows = csv.reader(io.StringIO(_text(path, remedy), newline=""))
    try:
        return [(rows.line_num, row) for row in rows if row]
    except csv.Error as error:
        raise DataError(f"{path}, line {rows.line_num}: is no table ({error}). {remedy}") from None


def read_table(path: Path, *, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows as text by column; surplus columns are kept.

    Args:
        path: UTF-8, comma separated, one header line; a byte-order mark is fine.
        columns: What must be there.

    Raises:
        DataError: If the file is missing or empty, a column is missing, or a row has another length.
    """
    table = csv.DictReader(
        io.StringIO(_text(path, f"Expected a table with {', '.join(columns)}."), newline=""), strict=True
    )
    try:
        names, rows = list(table.fieldnames or ()), list(table)
    except csv.Error as error:
        raise DataError(f"{path}: is not a CSV table in UTF-8 ({error}).") from None
    absent = [name for name in columns if name not in names]
    if absent:
        raise DataError(
            f"{path}: the column{'s' * (len(absent) > 1)} {', '.join(absent)} "
            f"{'are' if len(absent) > 1 else 'is'} missing; it has {listed(names) or 'none'}. "
            f"The first line must name {','.join(columns)}."
        )
    uneven = [str(line) for line, row in enumerate(rows, start=2) if None in row or None in row.values()]
    if uneven:
        raise DataError(f"{path}: rows with another number of cells than the header: {listed(uneven)}.")
    if not rows:
        raise DataError(f"{path}: has a header and no rows.")
    return rows


def _text(path: Path, remedy: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: is missing. {remedy}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Change its mode or owner.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is no text in UTF-8. {remedy}") from None
