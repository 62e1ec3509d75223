"""What a workbook says of the sources of a release, as a table beside the data; unknown stays "unknown"."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pkgs.data.items import DataError, listed
from pkgs.foundation.files import write_whole

SHEET: Final = "MetaData"
KEY: Final = "Sample UID"
FACTS: Final = {"imaging": "Imaging Method", "organism": "Organism", "pixel_size_x": "Pixel size X"}
"""Columns of the table by the names of those of the workbook."""
UNKNOWN: Final = "unknown"
FILE: Final = "sources.csv"


def write_facts(root: Path, sources: Iterable[str], *, workbook: Path) -> list[str]:
    """Write `sources.csv` below `root` and return the sources of which the workbook knows nothing.

    Args:
        root: Of the data set.
        sources: Their names.
        workbook: An Excel file.

    Raises:
        DataError: If it cannot be read, or has another form.
    """
    known = {_plain(name): facts for name, facts in read_facts(workbook).items()}
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("source", *FACTS))
    unmatched = []
    for source in sorted(set(sources)):
        facts = known.get(_plain(source))
        if facts is None:
            unmatched.append(source)
        writer.writerow((source, *((facts or {}).get(name, UNKNOWN) for name in FACTS)))
    write_whole(root / FILE, text.getvalue())
    return unmatched


def read_facts(workbook: Path) -> dict[str, dict[str, str]]:
    """Return what the workbook says of each sample, by its name.

    Raises:
        DataError: If openpyxl is missing, or the workbook cannot be read or has another form.
    """
    rows = _rows(workbook)
    header = [str(cell).strip() if cell is not None else "" for cell in rows[0]] if rows else []
    missing = [name for name in (KEY, *FACTS.values()) if name not in header]
    if missing:
        raise DataError(
            f"{workbook}: the sheet {SHEET!r} has no column {listed(map(repr, missing))}; it has "
            f"{listed(filter(None, header))}."
        )
    places = {name: header.index(column) for name, column in FACTS.items()}
    key = header.index(KEY)
    return {str(row[key]).strip(): _facts(row, places) for row in rows[1:] if row[key] is not None}


def _rows(workbook: Path) -> list[Sequence[Any]]:
    try:
        import openpyxl  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra, for this alone
    except ImportError:
        raise DataError(
            f"{workbook}: reading it needs openpyxl (pip install openpyxl). Nothing else depends on it."
        ) from None
    try:
        book = openpyxl.load_workbook(workbook, read_only=True, data_only=True)
    except Exception as error:  # noqa: BLE001 - openpyxl raises anything on a damaged file
        raise DataError(f"{workbook}: is no workbook that can be read ({error}).") from None
    if SHEET not in book.sheetnames:
        raise DataError(f"{workbook}: has no sheet {SHEET!r}; it has {listed(book.sheetnames)}.")
    return list(book[SHEET].iter_rows(values_only=True))


def _facts(row: Sequence[Any], places: Mapping[str, int]) -> dict[str, str]:
    cells = {name: row[place] if place < len(row) else None for name, place in places.items()}
    return {name: UNKNOWN if cell is None else str(cell).strip() or UNKNOWN for name, cell in cells.items()}


def _plain(name: str) -> str:
    """Return a name as it is compared: without case, and `_`, `-` and space alike."""
    return "".join("_" if letter in " -" else letter for letter in name.strip().casefold())
