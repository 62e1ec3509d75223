"""From a row's cells to a Job, or to all that is wrong with it, each fault with its cure.

Only what one row alone can tell: whether `after` names a job that exists is fanout.py's question, whether
two rows share an id is row_ids.py's.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, TypeVar

from pkgs.jobqueue.table.headerless import STATUS_WORDS
from pkgs.jobqueue.table.placeholders import placeholders
from pkgs.jobqueue.table.row_names import check_id, conditions
from pkgs.jobqueue.table.row_values import UnfitError, duration_s, gpu_memory, number, seeds
from pkgs.jobqueue.table.table import Cells
from pkgs.jobqueue.vocabulary import After, Job

SHOWN: Final = 80  # characters of a value in a message
LONGEST_COMMAND: Final = 100_000  # bytes; Linux takes 131,071 for one argument
_USUAL: Final = {
    word: status
    for status, words in {
        "completed": "done finished ok success complete ended",
        "open": "pending todo queued waiting new ready run start",
        "cancel": "stop kill abort terminate",
        "cancelled": "canceled",
        "hold": "pause paused held skip wait later",
        "rerun": "again retry restart redo",
        "failed": "error crashed",
    }.items()
    for word in words.split()
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CellError:
    """One fault of one cell: where, what stands there, what was expected, what to do."""

    line: int
    column: str
    value: str
    expected: str
    remedy: str
    file: str = "Jobs.csv"

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}, {self.in_row()}"

    def in_row(self) -> str:
        """Return the sentence for the row's own `message`, which needs no line number."""
        return f"column '{self.column}': {show(self.value)} is not {self.expected}. {self.remedy}"


def show(value: str) -> str:
    """Return `value` in quotes for a message: cut where long, invisible characters made visible."""
    cut = value if len(value) <= SHOWN else value[:SHOWN]
    text = cut if cut.isascii() and cut.isprintable() else "".join(map(_visible, cut))
    tail = "" if len(value) <= SHOWN else f"... ({len(value):,} characters)"
    return f"'{text}{tail}'"


def _visible(sign: str) -> str:
    if unicodedata.category(sign)[0] in "CZ" and sign != " ":
        return sign.encode("unicode_escape").decode()
    return sign


def read_row(cells: Cells, *, line: int, file: str = "Jobs.csv") -> Job | list[CellError]:
    """Return the row's job, or every fault of the row at once.

    Args:
        cells: The row in one spelling, its id filled in.
        line: Where it stands, from 1, for the messages.
        file: The file's name, for the messages.
    """
    errors: list[CellError] = []

    def take(column: str, reader: Callable[[str], T], default: T) -> T:
        text: str = getattr(cells, column)
        try:
            return reader(text)
        except UnfitError as fault:
            errors.append(CellError(line, column, text, fault.expected, fault.remedy, file))
            return default

    take("id", check_id, "")
    if cells.status and cells.status not in STATUS_WORDS:
        take("status", _refuse_status, None)
    command = take("command", _command, "")
    many = take("seeds", seeds, _NO_SEEDS) if cells.seeds else ()
    names = take("conditions", conditions, _NO_NAMES) if cells.conditions else ()
    if "{" in command:
        named = placeholders(command)
        for column, missing in (("seed", not cells.seeds), ("condition", not cells.conditions)):
            if missing and column in named:
                errors.append(_unfilled(cells, column, line=line, file=file))
    job = Job(
        id=cells.id,
        command=command,
        seeds=many,
        conditions=names,
        after=take("after", _after, ()) if cells.after else (),
        gpus=1 if cells.gpus in ("", "1") else take("gpus", _gpus, 1),
        gpu_mem=take("gpu_mem", gpu_memory, _ALONE),
        priority=take("priority", _priority, 0) if cells.priority else 0,
        retries=take("retries", _retries, 1) if cells.retries else 1,
        timeout_s=take("timeout", duration_s, None) if cells.timeout else None,
    )
    return errors or job


_ALONE: Final = gpu_memory("")
_NO_SEEDS: Final[tuple[int, ...]] = ()
_NO_NAMES: Final[tuple[str, ...]] = ()


def _unfilled(cells: Cells, name: str, *, line: int, file: str) -> CellError:
    return CellError(
        line, "command", cells.command, f"complete: {{{name}}} stands in it, but the row has no {name}s",
        f"Fill the column '{name}s', or take {{{name}}} out.", file,
    )  # fmt: skip


def _refuse_status(word: str) -> None:
    near = _USUAL.get(word) or next(iter(get_close_matches(word[:40], STATUS_WORDS, n=1)), None)
    hint = f"Did you mean `{near}`?" if near else "Write `open` to run the job."
    raise UnfitError("open, hold, cancel, rerun or completed", hint)


def _command(text: str) -> str:
    if not text:
        raise UnfitError("a command", "Write what bash shall run.")
    size = len(text.encode()) if len(text) <= LONGEST_COMMAND else len(text)
    if size > LONGEST_COMMAND:
        raise UnfitError(f"at most {LONGEST_COMMAND:,} bytes long (it has {size:,})", "Put it into a script.")
    if text[0] == "=":
        raise UnfitError("a command; `=` begins a spreadsheet's formula", "Write the command itself.")
    if text[0] == "#" and "\n" not in text:
        raise UnfitError(
            "a command; all of it is a comment for bash", "Remove the `#`, or set the status to hold."
        )
    if not (text.isascii() and text.isprintable()):
        _refuse_invisible(text)
    return text


def _refuse_invisible(text: str) -> None:
    """Raise for characters that a reader cannot see and that change what bash does."""
    for sign in text:
        kind = unicodedata.category(sign)
        if (kind == "Cc" and sign not in "\t\n") or (
            kind in ("Cf", "Zl", "Zp") and sign not in "\u200c\u200d"
        ):
            name = unicodedata.name(sign, "a control character")
            raise UnfitError(
                f"plain text: it holds U+{ord(sign):04X} ({name})", "Remove it; it cannot be seen."
            )


def _after(text: str) -> tuple[After, ...]:
    found: list[After] = []
    for word in text.replace(",", " ").split():
        name, colon, suffix = word.partition(":")
        if colon and suffix.lower() not in ("all", "ended"):
            raise UnfitError(
                f"a list of ids; behind `:` only `all` or `ended` may stand, not {show(suffix)}",
                "Write `id`, `id:all` or `id:ended`.",
            )
        try:
            check_id(name)
        except UnfitError as fault:
            raise UnfitError(f"a list of ids: {show(name)} is not {fault.expected}", fault.remedy) from None
        found.append(After(name, bool(colon), suffix.lower() == "ended"))
    if len({entry.job for entry in found}) < len(found):
        raise UnfitError("a list without repeats: an id stands in it twice", "Remove one.")
    return tuple(found)


def _gpus(text: str) -> int:
    return number(text, least=0, most=1024, default=1)


def _priority(text: str) -> int:
    return number(text, least=-1_000_000_000, most=1_000_000_000, default=0)


def _retries(text: str) -> int:
    return number(text, least=0, most=1000, default=1)
