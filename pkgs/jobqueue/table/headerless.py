"""A line of the older form of Jobs.csv: `command,status,` without a header, quotes or escapes."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pkgs.jobqueue.table.table_text import quick_cells, scan, value_of
from pkgs.jobqueue.vocabulary import JobStatus, Wish

STATUS_WORDS: Final = frozenset((*Wish, *JobStatus))


class HeaderlessRow(NamedTuple):
    """A line of the older form `command,status,`."""

    command: str
    status: str
    status_span: tuple[int, int]
    """Where the status word stands in the line; empty where a word would have to be put in."""
    sound: bool
    """False if no field is a status."""


def headerless_fields(raw: str) -> HeaderlessRow:
    """Read one line of the older form: the last field that is not blank is the status."""
    body = raw.rstrip("\r\n")
    spans = _field_spans(body)
    filled = [(a, b) for a, b in spans[1:] if body[a:b].strip()]
    if filled:
        a, b = filled[-1]
        word = value_of(body[a:b].strip()).strip()
        sound = word.lower() in STATUS_WORDS
        if sound or re.fullmatch(r"\w{1,15}", word):
            start = body.index(word, a)
            command = body[: a - 1] if spans[0][1] == -1 else value_of(body[: spans[0][1]])
            return HeaderlessRow(command.strip(), word, (start, start + len(word)), sound=sound)
    return HeaderlessRow(body.rstrip(" ,"), "", (len(body), len(body)), sound=False)


def _field_spans(body: str) -> list[tuple[int, int]]:
    """Return where the fields stand; a first field in quotes as a spreadsheet writes it ends at its quote.

    In all other lines quotes mean nothing, as ever in this form; the first span then ends at -1.
    """
    if body.startswith('"'):
        cells = quick_cells(body, ",")
        if cells is not None and len(cells) > 1 and cells[1].strip().lower() in STATUS_WORDS:
            return scan(body, start=0, delimiter=",", last="\n").spans
    spans, at = [(0, -1)], body.find(",")
    while at >= 0:
        following = body.find(",", at + 1)
        spans.append((at + 1, following if following >= 0 else len(body)))
        at = following
    return spans
