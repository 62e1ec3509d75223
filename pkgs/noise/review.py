"""What a person said of patches: `review.csv`, written by the gallery, read by the next ranking."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, final, get_args

from pkgs.data.items import DataError, listed

Word = Literal["keep", "fix", "drop"]
"""`keep`: the label is right. `fix`: the corrected label is. `drop`: neither, leave the patch out."""
WORDS: Final[tuple[Word, ...]] = get_args(Word)
COLUMNS: Final = ("imageid", "mark", "note")


@final
@dataclass(frozen=True, slots=True)
class Mark:
    """What was said of one patch."""

    word: Word
    note: str = ""


def read_review(path: Path, *, known: Collection[str] | None = None) -> dict[str, Mark]:
    """Return the marks by imageid, in the file's order.

    Args:
        path: CSV with the header `imageid,mark,note`.
        known: All imageids of the ranking; without it names are not checked.

    Raises:
        DataError: If the file is missing or no such table; all bad lines are told at once: unknown names,
        other marks, patches marked twice.
    """
    rows = _rows(path)
    complaints: list[str] = []
    marks: dict[str, Mark] = {}
    for line, (imageid, word, note) in rows:
        if word not in WORDS:
            complaints.append(f"line {line}: {word!r} is not keep, fix or drop")
        elif imageid in marks:
            complaints.append(f"line {line}: {imageid!r} is marked a second time")
        elif known is not None and imageid not in known:
            complaints.append(f"line {line}: {imageid!r} is not in this ranking")
        else:
            marks[imageid] = Mark(word, note)
    if complaints:
        raise DataError(
            f"{path}: {listed(complaints)}. Correct or remove these lines; the gallery of this ranking "
            "exports a fitting file."
        )
    return marks


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")  # spreadsheets put a byte order mark in front
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: cannot be read as a review ({error}). Export it from the gallery."
        ) from None
    lines = csv.reader(io.StringIO(text, newline=""))
    head = next(lines, [])
    if [name.strip() for name in head] != list(COLUMNS):
        raise DataError(f"{path}: the header is {','.join(head)!r}; expected {','.join(COLUMNS)!r}.")
    rows = [(lines.line_num, cells) for cells in lines if cells]
    odd = [str(line) for line, cells in rows if len(cells) != len(COLUMNS)]
    if odd:
        raise DataError(f"{path}: lines {listed(odd)} have not three cells; expected {','.join(COLUMNS)}.")
    return rows
