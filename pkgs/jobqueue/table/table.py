"""Jobs.csv as a table: bytes to rows and back, every byte kept but those of the cells that we change.

Not here: what a cell may say (rows.py), who wins when two have edited (merge.py), the file (table_file.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from pkgs.jobqueue.table.headerless import headerless_fields
from pkgs.jobqueue.table.table_text import UTF_8, Encoding, with_cells_replaced


class Cells(NamedTuple):
    """The known cells of a row in one spelling: trimmed, `1.0` as `1`, status in lower case."""

    id: str = ""
    status: str = ""
    command: str = ""
    seeds: str = ""
    conditions: str = ""
    after: str = ""
    gpus: str = ""
    gpu_mem: str = ""
    priority: str = ""
    retries: str = ""
    timeout: str = ""
    progress: str = ""
    message: str = ""
    rev: str = ""


COLUMNS: Final = Cells._fields
MANAGER_COLUMNS: Final = ("status", "progress", "message", "rev")
"""What the manager may write; `status` is the user's as well, and an empty `id` is filled in."""
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
_NUMBERS: Final = tuple(COLUMNS.index(name) for name in ("gpus", "priority", "retries", "rev", "seeds"))
_OPTIONAL: Final = tuple(i for i, name in enumerate(COLUMNS) if name not in ("id", "command"))


@dataclass(slots=True, eq=False)
class Row:
    """One data row. Never changed: the same object in two tables means the same text."""

    raw: str
    cells: tuple[str, ...]
    problem: str = ""
    """Why the cells cannot be trusted (too many, text behind a quote); empty for a sound row."""


@dataclass(frozen=True, slots=True)
class Table:
    """A parsed file: `"".join(pieces)` is its text, `rows[i]` is `pieces[places[i]]`, on line `lines[i]`."""

    encoding: Encoding = UTF_8
    delimiter: str = ","
    line_end: str = "\n"
    headerless: bool = False
    columns: tuple[str, ...] = ()
    """Names in the header's order, trimmed, in lower case; of unknown columns too."""
    header_place: int = -1
    pieces: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def render(self) -> bytes:
        """Return the file's bytes."""
        return self.encoding.encode("".join(self.pieces))

    def has(self, column: str) -> bool:
        return column in self.columns

    def cells(self, number: int) -> Cells:
        """Return the known cells of row `number` (from 0); missing columns are empty."""
        return self.cells_of(self.rows[number])

    def cells_of(self, row: Row) -> Cells:
        return _normal(row.cells, _picks(self.columns))

    def with_cells(self, changes: Mapping[int, Mapping[str, str]]) -> Table:
        """Return the table with these cells changed, by row number and column; all else keeps its bytes.

        A column that the header lacks is passed over: nobody could read the cell.
        """
        pieces, rows = list(self.pieces), list(self.rows)
        for number, wanted in changes.items():
            here = {self.columns.index(name): value for name, value in wanted.items() if name in self.columns}
            if not here:
                continue
            old = rows[number]
            cells = [*old.cells, *[""] * (max(here) + 1 - len(old.cells))]
            for position, value in here.items():
                cells[position] = value
            raw = self._rewritten(old.raw, here)
            rows[number] = Row(raw, tuple(cells), old.problem)
            pieces[self.places[number]] = raw
        return replace(self, pieces=pieces, rows=rows)

    def _rewritten(self, raw: str, changes: dict[int, str]) -> str:
        if not self.headerless:
            last = self.line_end[-1]
            return with_cells_replaced(raw, changes, delimiter=self.delimiter, last=last)
        start, end = headerless_fields(raw).status_span
        return raw[:start] + changes.get(1, raw[start:end]) + raw[end:]


def _picks(columns: tuple[str, ...]) -> tuple[int, ...]:
    found = _PICKS.get(columns)
    if found is None:
        if len(_PICKS) > 64:
            _PICKS.clear()
        found = tuple(columns.index(name) if name in columns else -1 for name in COLUMNS)
        _PICKS[columns] = found
    return found


_PICKS: dict[tuple[str, ...], tuple[int, ...]] = {}


def _normal(cells: tuple[str, ...], picks: tuple[int, ...]) -> Cells:
    known = [cells[pick].strip() if pick >= 0 else "" for pick in picks]
    known[1] = known[1].lower()
    if "\r" in known[2]:
        known[2] = known[2].replace("\r\n", "\n")
    for place in _NUMBERS:
        text = known[place]
        if text and (len(text) > 1 or not text.isdecimal()) and _WHOLE.fullmatch(text):
            known[place] = str(int(text.partition(".")[0]))
    if "nan" in known or "NaN" in known:
        for place in _OPTIONAL:
            if known[place] in ("nan", "NaN"):
                known[place] = ""
    return Cells._make(known)


def whole(text: str) -> int | None:
    """Return the whole number that `text` writes (`3`, `3.0`, `+3`), or None."""
    return int(text.partition(".")[0]) if _WHOLE.fullmatch(text) else None
