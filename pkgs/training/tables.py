"""Append-only CSV files of a run: one header, whole lines, never rewritten."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, final

Cell = float | int | str | None
CLOCK: Final = ("time_unix_s", "attempt", "step", "epoch", "lr", "samples_per_s")
"""First columns of every table of a run."""


def render(columns: Sequence[str], rows: Iterable[Mapping[str, Cell]], *, header: bool = True) -> str:
    """Return rows as CSV; missing columns stay empty, numbers get nine digits.

    Raises:
        ValueError: If a row has an unknown column.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows({name: _text(name, cell) for name, cell in row.items()} for row in rows)
    return text.getvalue()


def _text(name: str, cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.3f}" if name == "time_unix_s" else f"{cell:.9g}"
    return "" if cell is None else str(cell)


@final
class Table:
    """A CSV file with fixed columns to which rows are appended in one write each.

    After a resume steps appear again, with their attempt; readers keep the last. A line that a crash cut off
    is closed before the next one is written.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = tuple(columns)

    def append(self, *rows: Mapping[str, Cell]) -> None:
        """Append rows; missing columns stay empty.

        Raises:
            ValueError: If a row has an unknown column, or the file on disk another header.
        """
        start = self._start()
        text = render(self.columns, rows, header=start is None)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, ((start or "") + text).encode())
        finally:
            os.close(descriptor)

    def rows(self) -> list[dict[str, str]]:
        """Return the rows on disk, none when there is no file."""
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8", newline="") as file:
            return [row for row in csv.DictReader(file) if None not in row.values()]

    def _start(self) -> str | None:
        """Return what must go before new rows; None when there is no header yet."""
        if not self.path.exists() or not (text := self.path.read_text(encoding="utf-8")):
            return None
        header = text.splitlines()[0]
        if header != ",".join(self.columns):
            raise ValueError(
                f"{self.path}: header {header!r}; expected {','.join(self.columns)!r}. Move it away."
            )
        return "" if text.endswith("\n") else "\n"
