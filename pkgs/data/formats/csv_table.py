"""Tables that list samples: CSV with a header line, checked before anything is believed."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from pkgs.data.items import DataError, listed


def read_table(path: Path, *, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows as text by column; surplus columns are kept.

    Args:
        path: UTF-8, comma separated, one header line; a byte-order mark is fine.
        columns: What must be there.

    Raises:
        DataError: If the file is missing or empty, a column is missing, or a row has another length.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True)
            names, rows = list(table.fieldnames or ()), list(table)
    except FileNotFoundError:
        raise DataError(f"{path}: is missing; expected a table with {', '.join(columns)}.") from None
    except (csv.Error, UnicodeDecodeError) as error:
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
