"""output.log for the eye: reading is bounded, what is not text is replaced, overwritten progress collapsed.

The file itself holds the job's raw bytes and is never changed. What they say of a failure is in causes.py.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOTE: Final = "[queue] "
"""Begins each line in output.log that the queue wrote, not the job."""

TAIL_BYTES: Final = 1 << 18
LINE_CHARACTERS: Final = 2000  # longer lines are cut for the eye; no message needs more
PIECE_BYTES: Final = 1 << 16  # bounds what is kept of a line that does not end
POLL_S: Final = 0.2

_ESCAPES: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor movements
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # window titles, links
    r"|\x1b[ -/]*[0-~]?"  # the rest, also one that was cut
)
# Control characters, and marks that turn the direction of a terminal's text around; not tab and backspace.
_UNSEEN: Final = re.compile(r"[\x00-\x07\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def tail(path: Path, max_bytes: int = TAIL_BYTES) -> bytes:
    """Return the last bytes of a file, at most `max_bytes`; empty when it is missing or unreadable.

    The first line may be cut, also inside a character; `readable` takes that in its stride.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - max_bytes))
            return file.read(max_bytes)
    except OSError:
        return b""


def readable(raw: bytes) -> list[str]:
    """Return the lines as a terminal would leave them on the screen, without colours.

    What was overwritten after a carriage return is left out, so that a million updates of a progress bar
    are one line. Bytes that are not UTF-8 become U+FFFD; lines are cut at 2000 characters, with a remark.
    """
    lines = raw.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [_one_line(line) for line in lines]


def follow(
    path: Path, *, ended: Callable[[], bool], from_start: bool = False, poll_s: float = POLL_S
) -> Iterator[str]:
    """Yield the readable lines of a growing file until `ended()` is true and all is read.

    Args:
        path: May not exist yet.
        ended: Asked whenever there is nothing more to read.
        from_start: Begin with the first byte, not with the last 256 KiB.
        poll_s: Pause between two looks.

    Memory stays flat: of a line without an end only its latest state is kept. A file that has become
    shorter is read again from its start.
    """
    place, pending = 0 if from_start else max(0, _size(path) - TAIL_BYTES), b""
    while True:
        over = ended()  # asked before reading, so that what came in between is still read
        piece = _read(path, place)
        if piece:
            place += len(piece)
            *whole, pending = (pending + piece).split(b"\n")
            yield from map(_one_line, whole)
            pending = _latest_state(pending)
        elif over:
            break
        else:
            if _size(path) < place:
                place, pending = 0, b""
            time.sleep(poll_s)
    if pending:
        yield _one_line(pending)


def _one_line(raw: bytes) -> str:
    """Decode one line, without its newline."""
    shown = _latest_state(raw.rstrip(b"\r"))
    text = _UNSEEN.sub("", _ESCAPES.sub("", shown.decode("utf-8", "replace")))
    text = _rubbed_out(text)
    if len(text) > LINE_CHARACTERS:
        return f"{text[:LINE_CHARACTERS]} ... (a longer line)"
    return text


def _latest_state(raw: bytes) -> bytes:
    """Return what stands after the last carriage return, or before it while nothing does; bounded."""
    ends_open = raw.rstrip(b"\r")
    state = ends_open[ends_open.rfind(b"\r") + 1 :][:PIECE_BYTES]
    return state + b"\r" * (ends_open != raw)


def _rubbed_out(text: str) -> str:
    """Apply backspaces, with which older progress bars overwrite themselves."""
    if "\b" not in text:
        return text
    kept: list[str] = []
    for character in text:
        if character != "\b":
            kept.append(character)
        elif kept:
            kept.pop()
    return "".join(kept)


def _read(path: Path, place: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(place)
            return file.read(PIECE_BYTES)
    except OSError:
        return b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
