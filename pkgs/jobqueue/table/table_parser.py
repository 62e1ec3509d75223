"""From the bytes of Jobs.csv to a Table: header, delimiter, rows, comments, the older headerless form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Final, NamedTuple, final

from pkgs.jobqueue.table.headerless import headerless_fields
from pkgs.jobqueue.table.table import COLUMNS, Row, Table
from pkgs.jobqueue.table.table_text import (
    TableError,
    cell_text,
    decode,
    line_end_of,
    physical_lines,
    quick_cells,
    scan,
    value_of,
)

DELIMITERS: Final = (",", ";", "\t")
_SEPARATOR_HINT: Final = re.compile(r'"?sep=[,;\t]"?', re.IGNORECASE)  # Excel's own first line
_NO_HEADER: Final = (
    "no column is called 'command'. The first line must name the columns, for example "
    "`id,status,command`; only `command` is required."
)


def parse(data: bytes, *, previous: Table | None = None) -> Table:
    """Return the table that `data` writes.

    Args:
        data: The file's bytes: UTF-8 or UTF-16, with or without a byte order mark.
        previous: The table read before. Rows whose text stands in both are the same Row objects.

    Raises:
        TableError: If the file as a whole cannot be read; with the line. A fault of one row is that
            row's `problem` instead.
    """
    text, encoding = decode(data)
    if not text.strip("\r\n\t ,;"):
        raise TableError(
            "the file is empty. Its first line must name the columns; only `command` is required."
        )
    line_end = line_end_of(text)
    lines = _Lines(text, line_end)
    empty = Table(encoding=encoding, line_end=line_end)
    header = _find_header(lines)
    if header is None:
        return _headerless(lines, empty)
    same = previous is not None and (previous.columns, previous.delimiter) == (
        header.columns,
        header.delimiter,
    )
    known = {row.raw: row for row in previous.rows} if previous is not None and same else {}
    for piece in lines.taken:
        empty.pieces.append(piece)
    table = replace(
        empty, delimiter=header.delimiter, columns=header.columns, header_place=len(lines.taken) - 1
    )
    _read_rows(lines, table, known)
    return table


@final
class _Lines:
    """The physical lines of a text with a place in it, for records that may span several."""

    def __init__(self, text: str, line_end: str) -> None:
        self.text = text
        self.last = line_end[-1]
        self.all = physical_lines(text, line_end)
        self.next = 0
        self.taken: list[str] = []
        self._offset, self._offset_of = 0, 0

    def record(self, delimiter: str) -> tuple[str, tuple[str, ...], bool]:
        """Take the record at the next line; return its text, its cells, and whether a quote is stray."""
        raw = self.all[self.next]
        if '"' not in raw:
            self.next += 1
            return raw, tuple(raw.rstrip("\r\n").split(delimiter)), False
        quick = quick_cells(raw.rstrip("\r\n"), delimiter)
        if quick is not None:
            self.next += 1
            return raw, tuple(quick), False
        return self._scanned(delimiter)

    def _scanned(self, delimiter: str) -> tuple[str, tuple[str, ...], bool]:
        while self._offset_of < self.next:
            self._offset += len(self.all[self._offset_of])
            self._offset_of += 1
        try:
            record = scan(self.text, start=self._offset, delimiter=delimiter, last=self.last)
        except TableError as error:
            raise TableError(error.problem, line=self.next + (error.line or 1)) from None
        raw = self.text[self._offset : record.end]
        self.next += max(1, raw.count(self.last) + (0 if raw.endswith(self.last) else 1))
        return raw, tuple(value_of(self.text[a:b]) for a, b in record.spans), record.stray


class _Header(NamedTuple):
    delimiter: str
    columns: tuple[str, ...]


def _is_aside(line: str) -> bool:
    """Return whether a line holds no data: blank, a comment, or delimiters only."""
    bare = line.strip(" \t\r\n,;")
    return not bare or bare.startswith(("#", '"#'))


def _find_header(lines: _Lines) -> _Header | None:
    """Take the lines up to the header; None if the first line with data names no column."""
    while lines.next < len(lines.all):
        line = lines.all[lines.next]
        if not _is_aside(line) and not _SEPARATOR_HINT.fullmatch(line.strip()):
            return _header(lines)
        lines.taken.append(line)
        lines.next += 1
    raise TableError("the file holds comments only. Its first other line must name the columns.")


def _header(lines: _Lines) -> _Header | None:
    start = lines.next
    best: tuple[int, str, str, tuple[str, ...]] | None = None
    first: tuple[str, ...] = ()
    for delimiter in DELIMITERS:
        lines.next = start
        try:
            raw, cells, _ = lines.record(delimiter)
        except TableError:
            if delimiter == DELIMITERS[-1] and best is None:
                raise
            continue
        names = tuple(cell.strip(" \t\ufeff").lower() for cell in cells)  # a second mark: two tools wrote one
        first = max(first, names, key=len)
        if "command" in names and (best is None or len(names) > best[0]):
            best = (len(names), delimiter, raw, names)
    lines.next = start
    if best is None:
        _refuse_misspelt_header(first, start + 1)
        return None
    _, delimiter, raw, names = best
    for name in COLUMNS:
        if names.count(name) > 1:
            raise TableError(
                f"column {name!r} stands twice in the header. Rename one of them.", line=start + 1
            )
    lines.taken.append(raw)
    lines.next += max(1, raw.count(lines.last) + (0 if raw.endswith(lines.last) else 1))
    return _Header(delimiter, names)


def _refuse_misspelt_header(names: tuple[str, ...], line: int) -> None:
    """Raise if these cells are a header whose `command` is missing or misspelt."""
    if not set(COLUMNS).intersection(names):
        return
    near = get_close_matches("command", names, n=1, cutoff=0.7)
    hint = f" Did you mean 'command' where {near[0]!r} stands?" if near else ""
    raise TableError(_NO_HEADER + hint, line=line)


def _read_rows(lines: _Lines, table: Table, known: Mapping[str, Row]) -> None:
    """Read all records behind the header into the lists of `table`."""
    width, delimiter = len(table.columns), table.delimiter
    pieces, rows, places, numbers = table.pieces, table.rows, table.places, table.lines
    every, recall = lines.all, known.get
    at, count = lines.next, len(lines.all)
    while at < count:
        raw = every[at]
        row = recall(raw)
        if row is None:
            lines.next = at
            raw, row = _read_row(lines, width, delimiter)
            if row is None:
                pieces.append(raw)
                at = lines.next
                continue
            row = recall(raw) or row
        else:
            lines.next = at + 1
        rows.append(row)
        places.append(len(pieces))
        numbers.append(at + 1)
        pieces.append(raw)
        at = lines.next


def _read_row(lines: _Lines, width: int, delimiter: str) -> tuple[str, Row | None]:
    """Return the next record's text and its row, None for a comment or a blank line."""
    line = lines.all[lines.next]
    lead = line[:1]
    if lead in "#\r\n \t" and line.lstrip(" \t")[:1] in "#\r\n":
        lines.next += 1
        return line, None
    raw, cells, stray = lines.record(delimiter)
    problem = ""
    if len(cells) != width:
        if len(cells) > width:
            if any(map(str.strip, cells[width:])):
                problem = (
                    f"has {len(cells)} cells, but the header names {width} columns. Put a cell that holds "
                    f"{_NAMES[delimiter]} in double quotes, with no blank before the opening quote."
                )
        else:
            cells += ("",) * (width - len(cells))
    if cells[0][:1] in "# " and (cells[0].lstrip()[:1] == "#" or not any(map(str.strip, cells))):
        return raw, None
    if stray:
        problem = 'has text behind a closing quote. Write "" for a quote inside a quoted cell.'
    elif "\r" in raw[:-2] and '"' not in raw:
        problem = "has a carriage return inside a cell. Put the cell in double quotes, or remove it."
    return raw, Row(raw, cells, problem)


_NAMES: Final = {",": "a comma", ";": "a semicolon", "\t": "a tab"}


def _headerless(lines: _Lines, empty: Table) -> Table:
    """Read a file without a header; every line stands for itself."""
    table = replace(empty, headerless=True, columns=("command", "status"))
    table.pieces.extend(lines.all)
    sound = 0
    for number, raw in enumerate(lines.all):
        if _is_aside(raw):
            continue
        if "command" in raw.lower():
            _refuse_late_header(raw, number + 1)
        found = headerless_fields(raw)
        sound += found.sound
        problem = "" if found.sound or found.status else "has no status. End the line with `,open,`."
        table.rows.append(Row(raw, (found.command, found.status), problem))
        table.places.append(number)
        table.lines.append(number + 1)
    if sound * 2 < len(table.rows) or not sound:  # rows of another table that has lost its header
        raise TableError(_NO_HEADER, line=table.lines[0] if table.lines else 1)
    return table


def _refuse_late_header(raw: str, line: int) -> None:
    for delimiter in DELIMITERS:
        names = {cell.strip(' "\r\n').lower() for cell in raw.split(delimiter)}
        if "command" in names and names.intersection(COLUMNS) - {"command"}:
            raise TableError("the header stands here. Move it above all rows.", line=line)


def with_rows(table: Table, rows: Iterable[Mapping[str, str]]) -> Table:
    """Return the table with rows appended; cells by column name, unknown names passed over."""
    if table.headerless:
        return with_lines(table, [f"{cells['command']},{cells.get('status') or 'open'}," for cells in rows])
    return with_lines(
        table,
        [
            table.delimiter.join(
                cell_text(cells.get(name, ""), delimiter=table.delimiter) for name in table.columns
            )
            for cells in rows
        ],
    )


def with_lines(table: Table, texts: Iterable[str]) -> Table:
    """Return the table with rows appended as they stand, without line ends."""
    pieces = list(table.pieces)
    if pieces and not pieces[-1].endswith(("\n", "\r")):
        pieces[-1] += table.line_end
    pieces += [text + table.line_end for text in texts]
    return parse(table.encoding.encode("".join(pieces)), previous=table)


def with_columns(table: Table, names: Iterable[str]) -> Table:
    """Return the table with these columns added to the header; rows keep their bytes."""
    missing = [name for name in names if name not in table.columns]
    if not missing or table.headerless:
        return table
    pieces = list(table.pieces)
    header = pieces[table.header_place]
    body = header.rstrip("\r\n")
    pieces[table.header_place] = table.delimiter.join((body, *missing)) + header[len(body) :]
    return parse(table.encoding.encode("".join(pieces)))
