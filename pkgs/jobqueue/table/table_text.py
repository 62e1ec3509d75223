"""The text of a table: bytes to text and back, records, cells and their quotes.

Here is what a spreadsheet or a hand may do to bytes; what the columns mean is table.py's business.
"""

from __future__ import annotations

import codecs
import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_QUOTED = re.compile(r'"[^"]*+(?:""[^"]*+)*+(?:"|\Z)')
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins like this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class TableError(ValueError):
    """The file as a whole cannot be read as a table: `line` (from 1), or None for the whole file."""

    def __init__(self, problem: str, *, line: int | None = None) -> None:
        super().__init__(problem if line is None else f"line {line}: {problem}")
        self.line = line
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Encoding:
    """How text became bytes: the codec, and the byte order mark in front (maybe empty)."""

    codec: str = "utf-8"
    mark: bytes = b""

    def encode(self, text: str) -> bytes:
        return self.mark + text.encode(self.codec)


UTF_8: Final = Encoding()


def decode(data: bytes) -> tuple[str, Encoding]:
    """Return the text and the way back to the same bytes.

    Raises:
        TableError: For bytes that no known encoding explains, and for NUL bytes; with the line.
    """
    mark, codec = next(((mark, codec) for mark, codec in _MARKS if data.startswith(mark)), (b"", "utf-8"))
    if codec == "utf-32":
        raise TableError("the file is UTF-32. Save it as UTF-8.")
    if not mark and len(data) > 1 and (data[1] == 0 or data[0] == 0):
        raise TableError("the file looks like UTF-16 without a byte order mark. Save it as UTF-8.", line=1)
    try:
        text = data[len(mark) :].decode(codec)
    except UnicodeDecodeError as error:
        raise _undecodable(data[len(mark) :], error) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise TableError("a NUL byte stands here. Remove it; no text file has one.", line=line)
    return text, Encoding(codec, mark)


def _undecodable(body: bytes, error: UnicodeDecodeError) -> TableError:
    line = body.count(b"\n", 0, error.start) + 1
    byte = body[error.start]
    return TableError(
        f"byte 0x{byte:02x} is not {error.encoding.upper()}. Save the file as UTF-8 "
        "(in Excel: 'CSV UTF-8', in LibreOffice: character set 'Unicode (UTF-8)').",
        line=line,
    )


def line_end_of(text: str) -> str:
    r"""Return the line end to use for new lines: that of the first line, "\n" for an empty text."""
    at = text.find("\n")
    if at < 0:
        return "\r" if "\r" in text else "\n"
    return "\r\n" if at and text[at - 1] == "\r" else "\n"


def physical_lines(text: str, line_end: str) -> list[str]:
    """Return the lines, each with its end. Only `line_end` counts, not the form feeds of a command."""
    last = line_end[-1]
    return re.findall(f"[^{last}]*{last}|[^{last}]+", text)


@dataclass(frozen=True, slots=True)
class Record:
    """One record: where its cells stand in the text, where it ends, and whether its quotes are sound."""

    spans: list[tuple[int, int]]
    end: int
    stray: bool = False
    """True if text follows a closing quote; the cell is then read as it stands."""


@lru_cache
def _stop(delimiter: str, last: str) -> re.Pattern[str]:
    return re.compile(f"[{re.escape(delimiter)}{last}]")


def scan(text: str, *, start: int, delimiter: str, last: str) -> Record:
    """Read the record that begins at `start`; `last` is the last character of a line end.

    Raises:
        TableError: If a quote is never closed, or closed only on a later line with text behind it
            (the record then cannot be told from its neighbours). Its line counts from `start`.
    """
    stop = _stop(delimiter, last)
    spans: list[tuple[int, int]] = []
    at, stray = start, False
    while True:
        after = _after_quotes(text, at, start=start, last=last)
        found = stop.search(text, after)
        end = found.start() if found else len(text)
        if after > at and text[after:end].strip(" \r"):
            stray = True
            if last in text[at:after]:
                raise TableError(
                    "a quote opens here, spans lines, and has text behind its closing quote. "
                    'Close the cell with one " before the delimiter; write "" for a quote inside it.',
                    line=text.count(last, start, at) + 1,
                )
        if found is None or found.group() == last:
            cell_end = end - 1 if end > at and text[end - 1] == "\r" and last == "\n" else end
            spans.append((at, cell_end))
            return Record(spans, end + 1 if found else end, stray)
        spans.append((at, end))
        at = end + 1


def _after_quotes(text: str, at: int, *, start: int, last: str) -> int:
    """Return the place behind the closing quote of the cell at `at`, or `at` if it is not quoted."""
    if not text.startswith('"', at):
        return at
    found = _QUOTED.match(text, at)
    assert found is not None
    end = found.end()
    body = end - at
    if body < 2 or text[end - 1] != '"' or text.count('"', at, end) % 2:
        raise TableError(
            'a cell opens with a quote that is never closed. Add the closing ", or remove the opening one.',
            line=text.count(last, start, at) + 1,
        )
    return end


def value_of(raw: str) -> str:
    """Return what a cell's text says: without its outer quotes, doubled quotes made single."""
    if not raw.startswith('"'):
        return raw
    found = _QUOTED.match(raw)
    assert found is not None
    return raw[1 : found.end() - 1].replace('""', '"') + raw[found.end() :].rstrip(" ")


def quick_cells(body: str, delimiter: str) -> list[str] | None:
    """Return the cells of one line with quotes in it, or None when only `scan` can tell.

    The csv module reads a plain line in a tenth of the time, and refuses all that is doubtful.
    """
    try:
        return next(csv.reader((body,), delimiter=delimiter, strict=True))
    except csv.Error:
        return None


def cell_text(value: str, *, delimiter: str, quoted: bool = False) -> str:
    """Return `value` as it stands in a file, in quotes where it needs them or where all are."""
    if quoted or _needs_quotes(value, delimiter):
        return '"' + value.replace('"', '""') + '"'
    return value


def _needs_quotes(value: str, delimiter: str) -> bool:
    return value != value.strip() or any(sign in value for sign in (delimiter, '"', "\n", "\r"))


def with_cells_replaced(raw: str, changes: dict[int, str], *, delimiter: str, last: str) -> str:
    """Return the record `raw` with the cells at these positions changed; all other characters stay."""
    spans = scan(raw, start=0, delimiter=delimiter, last=last).spans
    parts: list[str] = []
    done = 0
    for position, (start, end) in enumerate(spans):
        if position in changes:
            styled = raw.startswith('"', start) and not _needs_quotes(value_of(raw[start:end]), delimiter)
            text = cell_text(changes[position], delimiter=delimiter, quoted=styled)
            parts += (raw[done:start], text)
            done = end
    tail = spans[-1][1]
    parts.append(raw[done:tail])
    for position in range(len(spans), max(changes, default=-1) + 1):
        parts += (delimiter, cell_text(changes.get(position, ""), delimiter=delimiter))
    return "".join([*parts, raw[tail:]])
