"""Tables of jobs for tests: files in every manner in which editors save them, and a manager's world.

A `Sheet` is what an editor holds in memory. It reads and writes on its own, not through the code under test.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

FULL = (
    "id", "status", "command", "seeds", "conditions", "after", "gpus", "gpu_mem", "priority", "retries",
    "timeout", "progress", "message", "rev",
)  # fmt: skip
NUMBERS = ("gpus", "priority", "retries", "rev")


def table_text(rows: Iterable[Sequence[str]], *, columns: Sequence[str] = FULL, delimiter: str = ",") -> str:
    """Return a CSV text with a header; rows may be shorter than it."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()


def many_rows(count: int, *, quoted: bool = False) -> bytes:
    """Return a table with all columns and `count` plain rows."""
    lines = [",".join(FULL)]
    for number in range(count):
        cells = [
            f"ke/job_{number}", "open", f"python -m pkgs.student --config configs/ke/{number}.yaml", "0..4",
            "", "", "1", "14G", "0", "1", "12h", "0 of 5", "waits for a device", "3",
        ]  # fmt: skip
        lines.append(",".join(f'"{cell}"' if quoted else cell for cell in cells))
    return ("\n".join(lines) + "\n").encode()


@dataclass
class SheetRow:
    """A line of a sheet: a comment, or cells by column name."""

    raw: str
    cells: dict[str, str] | None
    touched: bool = False


@dataclass
class Sheet:
    """A file as an editor holds it."""

    columns: list[str]
    rows: list[SheetRow]
    delimiter: str = ","
    line_end: str = "\n"
    mark: bytes = b""
    header: str = ""
    header_at: int = 0
    loaded: dict[int, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, data: bytes) -> Sheet:
        mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
        text = data[len(mark) :].decode()
        line_end = "\r\n" if "\r\n" in text else "\n"
        lines = [line.rstrip("\r\n") for line in text.split("\n")]
        if lines and not lines[-1]:
            lines.pop()
        at = next(
            number for number, line in enumerate(lines) if (line and line[0] not in '#"') or "command" in line
        )
        delimiter = ";" if lines[at].count(";") > lines[at].count(",") else ","
        columns = next(csv.reader([lines[at]], delimiter=delimiter))
        rows = []
        for number, line in enumerate(lines):
            if number == at:
                continue
            if not line.strip(f'{delimiter} "') or line.lstrip('"').startswith("#"):
                rows.append(SheetRow(line, None))
                continue
            cells = next(csv.reader([line], delimiter=delimiter))
            cells += [""] * (len(columns) - len(cells))
            rows.append(SheetRow(line, dict(zip(columns, cells, strict=False))))
        sheet = cls(columns, rows, delimiter, line_end, mark, lines[at], at)
        sheet.note_saved()
        return sheet

    def note_saved(self) -> None:
        """Remember the cells as they are: later changes are measured against them."""
        self.loaded = {id(row): dict(row.cells) for row in self.rows if row.cells is not None}

    def jobs(self) -> list[SheetRow]:
        return [row for row in self.rows if row.cells is not None]

    def change(self, row: SheetRow, *, column: str, value: str) -> None:
        assert row.cells is not None
        row.cells[column] = value
        row.touched = True

    def insert(self, place: int, cells: dict[str, str]) -> None:
        row = SheetRow("", dict.fromkeys(self.columns, "") | cells, touched=True)
        self.rows.insert(place, row)

    def _line(self, cells: Iterable[str], quoting: Literal[0, 1]) -> str:
        out = io.StringIO()
        csv.writer(out, delimiter=self.delimiter, lineterminator="", quoting=quoting).writerow(cells)
        return out.getvalue()

    def text_bytes(self) -> bytes:
        """Return the file as a text editor saves it: untouched lines as they were."""
        lines = [
            row.raw if row.cells is None or not row.touched
            else self._line([row.cells.get(name, "") for name in self.columns], csv.QUOTE_MINIMAL)
            for row in self.rows
        ]  # fmt: skip
        first_job = next((place for place, row in enumerate(self.rows) if row.cells is not None), len(lines))
        lines.insert(min(self.header_at, first_job), self.header)
        return self.mark + (self.line_end.join(lines) + self.line_end).encode()

    def pandas_bytes(self, *, quote_all: bool, floats: bool) -> bytes:
        """Return the file as a round trip through pandas leaves it: no comments, other quotes, 1.0 for 1."""
        other = Sheet(self.columns, [])
        quoting: Literal[0, 1] = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
        lines = [other._line(self.columns, quoting)]
        for row in self.jobs():
            assert row.cells is not None
            cells = dict(row.cells)
            for name in NUMBERS:
                if floats and cells.get(name, "").isdecimal():
                    cells[name] += ".0"
            lines.append(other._line([cells.get(name, "") for name in self.columns], quoting))
        return ("\n".join(lines) + "\n").encode()

    def office_bytes(self) -> bytes:
        """Return the file as LibreOffice saves it: `;`, CRLF, a byte order mark, quotes around texts."""
        other = Sheet(self.columns, [], delimiter=";")
        lines = [other._line(self.columns, csv.QUOTE_ALL)]
        for row in self.rows:
            if row.cells is None:
                lines.append(
                    other._line([row.raw.strip('";,'), *[""] * (len(self.columns) - 1)], csv.QUOTE_ALL)
                )
            else:
                lines.append(other._line([row.cells.get(name, "") for name in self.columns], csv.QUOTE_ALL))
        return b"\xef\xbb\xbf" + ("\r\n".join(lines) + "\r\n").encode()


def save_by_rename(path: Path, data: bytes) -> None:
    """Save as `sed -i` and many editors do: a new file takes the old one's name."""
    draft = path.with_name("4913.tmp")
    draft.write_bytes(data)
    draft.replace(path)


def save_in_place(path: Path, data: bytes) -> None:
    """Save as nano does: truncate, then write."""
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CREAT)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
