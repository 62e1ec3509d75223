"""What an id or a condition may be called, and the id of a row that has none.

Ids become folders below `logs_and_checkpoints/`: what is refused here could leave it, hide in it, or
meet a name that the run folder needs for itself.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from pkgs.jobqueue.table.row_values import UnfitError

LONGEST_ID: Final = 200  # characters; file systems allow 255 bytes a name and 4096 a path
_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*(?:/[A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*)*")
RESERVED: Final = frozenset(
    (
        *("attempts", "checkpoints", "figures", "predictions"),
        *("config.yaml", "provenance.json", "progress.json", "train.csv", "val.csv", "test.csv"),
    )
)
"""Names that a run folder uses itself (foundation/run_folder.py)."""
_SEED_FOLDER: Final = re.compile(r"seed_[0-9]+")
_DEVICE: Final = r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.[^/]*)?"
_DEVICES: Final = re.compile(_DEVICE, re.IGNORECASE)
_ID_RULE: Final = "an id: letters, digits, `_`, `.` and `-`, with `/` between its parts"
_CONDITION_RULE: Final = "a condition: letters, digits, `_`, `.` and `-`"


_SPECIAL: Final = re.compile(
    rf"^queue(?:/|$)|(?:^|/)(?:{'|'.join(map(re.escape, sorted(RESERVED)))}|{_SEED_FOLDER.pattern}|"
    rf"{_DEVICE})(?:/|$)",
    re.IGNORECASE,
)
"""Finds whether `check_id` has to look closer; most ids are done with one search."""


def check_id(text: str) -> str:
    """Return `text` if it may be an id.

    Raises:
        UnfitError: With what is wrong and a way out.
    """
    if len(text) > LONGEST_ID:
        raise UnfitError(f"at most {LONGEST_ID} characters long (it has {len(text):,})", "Shorten it.")
    plain = _PLAIN.fullmatch(text)
    if plain and not _SPECIAL.search(text):
        return text
    parts = text.split("/")
    if not plain:
        _check_shape(text, parts)
    if parts[0].lower() == "queue":
        raise UnfitError("free: `queue` is the manager's own folder", "Choose another first part.")
    for part in parts:
        _check_reserved(part)
    return text


def _check_shape(text: str, parts: list[str]) -> None:
    if text.startswith("/"):
        raise UnfitError(f"{_ID_RULE}; absolute paths are refused", "Remove the leading `/`.")
    for part in parts:
        if not part:
            raise UnfitError(f"{_ID_RULE}; a part is empty", "Remove the extra `/`.")
        if part in (".", ".."):
            raise UnfitError(f"{_ID_RULE}; `{part}` would leave the run folder", "Name the job, not a path.")
        _check_part(part, _ID_RULE)


def _check_part(part: str, rule: str) -> None:
    if part[0] in ".-":
        raise UnfitError(
            f"{rule}; a part must not begin with `{part[0]}`", "Begin it with a letter or a digit."
        )
    if not _PART.fullmatch(part):
        cured = re.sub(r"[^A-Za-z0-9_.-]+", "_", part).strip("._-")
        hint = f"Write {cured[:60]!r}, for example." if cured else "Use plain letters and digits."
        raise UnfitError(rule, hint)
    if part.endswith("."):
        raise UnfitError(f"{rule}; a part must not end with a dot", "Remove the dot.")


def _check_reserved(part: str) -> None:
    lower = part.lower()
    if lower in RESERVED or _SEED_FOLDER.fullmatch(lower):
        raise UnfitError(f"free: every run folder has a `{lower}` of its own", "Choose another name.")
    if _DEVICES.fullmatch(part):
        raise UnfitError(
            "a name that every file system takes: Windows keeps it for a device", "Choose another."
        )


@lru_cache(maxsize=1024)
def conditions(text: str) -> tuple[str, ...]:
    """Return the names in a cell of the column `conditions`."""
    names = tuple(text.replace(",", " ").split())
    for name in names:
        if len(name) > LONGEST_ID:
            raise UnfitError(f"names of at most {LONGEST_ID} characters", "Shorten them.")
        if "/" in name:
            raise UnfitError(f"{_CONDITION_RULE}; `/` belongs to ids", "Write the name without a path.")
        if name in (".", ".."):
            raise UnfitError(f"{_CONDITION_RULE}; `{name}` would leave the run folder", "Name the condition.")
        _check_part(name, _CONDITION_RULE)
        _check_reserved(name)
    folded = [name.lower() for name in names]
    twice = next((name for name in names if folded.count(name.lower()) > 1), None) if len(names) > 1 else None
    if twice is not None:
        raise UnfitError(
            f"a list without repeats: {twice[:60]!r} stands in it twice (case is ignored)", "Remove one."
        )
    return names


def auto_id(command: str, taken: Callable[[str], bool], *, occurrence: int = 0) -> str:
    """Return the id of a row without one: a word of its command and six hexadecimal digits.

    Args:
        command: The row's command; the same command gives the same id.
        taken: Says which ids are in use by other rows; the next free one is returned.
        occurrence: How many rows with this very command stand above it.
    """
    slug = _slug(command)
    while True:
        digest = hashlib.sha256(f"{command}\0{occurrence}".encode()).hexdigest()[:6]
        name = f"{slug}-{digest}"
        if not taken(name):
            return name
        occurrence += 1


def _slug(command: str) -> str:
    """Return the program's name: the script or module behind `python`, else the first word."""
    head = command[:400]
    try:
        words = shlex.split(head)
    except ValueError:  # a quote that is closed beyond the part we look at, or never
        words = head.split()
    words = [word for word in words if not re.fullmatch(r"\w+=.*", word, re.DOTALL)] or ["job"]
    chosen = words[0]
    if re.match(r"(?:.*/)?python[0-9.]*$", chosen):
        rest = [word for word in words[1:] if not word.startswith("-")]
        chosen = rest[0] if rest else chosen
        chosen = chosen.rpartition(".")[2] if "-m" in words else chosen
    name = re.sub(r"\.(py|sh)$", "", chosen.rpartition("/")[2])
    name = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()[:24].strip("-")
    return name or "job"
