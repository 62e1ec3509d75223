"""One cell's text to one value: seeds, sizes, durations, whole numbers, ids to wait for."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from pkgs.jobqueue.table.table import whole
from pkgs.jobqueue.vocabulary import Alone, GpuMemory, Learned, Share

MOST_SEEDS: Final = 10_000
LARGEST_SEED: Final = 2**63 - 1
_RANGE: Final = re.compile(r"([0-9]{1,19})(?:\.\.|-)([0-9]{1,19})")
_SEED: Final = re.compile(r"[0-9]{1,19}")
_MONTHS: Final = (
    "jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz]|ene|abr|ago|dic|janv|f[eé]v|avr|juin|juil|ao[uû]t|"
    "d[eé]c|gen|mag|giu|lug|set|ott"
)
_DATE: Final = re.compile(
    rf"(?:\d{{1,4}}[-./ ])?(?:{_MONTHS})[a-zé]*\.?(?:[-./ ]\d{{1,4}})?|"
    r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}(?:[ T]\d{1,2}:\d{2}(?::\d{2})?)?|\d{1,2}[./]\d{1,2}\.?",
    re.IGNORECASE,
)
_SIZE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([kmgt])(?:i?b)?", re.IGNORECASE)
_MIB_OF: Final = {"k": 1 / 1024, "m": 1.0, "g": 1024.0, "t": 1024.0 * 1024.0}
_SPAN: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([smhd])", re.IGNORECASE)
_SECONDS_OF: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LARGEST_MIB: Final = 64 * 1024 * 1024  # 64 TiB: larger is a slip of the unit
_LONGEST_S: Final = 10 * 365 * 86400.0


class UnfitError(ValueError):
    """A cell's value does not fit: what was expected, and what to do."""

    def __init__(self, expected: str, remedy: str) -> None:
        super().__init__(f"{expected}. {remedy}")
        self.expected = expected
        self.remedy = remedy


@lru_cache(maxsize=4096)
def seeds(text: str) -> tuple[int, ...]:
    """Return the seeds of `0..4`, `0-4`, `3 4 13`, in the order in which they stand.

    Raises:
        UnfitError: Also for what a spreadsheet makes of `1-4`: `04.Jan`, `Jan-04`, `2026-01-04`.
    """
    found: list[int] = []
    words = text.replace(",", " ").split()
    if _DATE.fullmatch(text) and whole(text) is None:
        raise _date()
    for word in words:
        span = _RANGE.fullmatch(word)
        if span:
            found += _range(int(span[1]), int(span[2]))
        elif _SEED.fullmatch(word):
            found.append(int(word))
        else:
            number = whole(word)
            if number is None or number < 0:
                raise _date() if _DATE.fullmatch(word) else _not_seeds()
            found.append(number)
        if len(found) > MOST_SEEDS:
            raise UnfitError(f"at most {MOST_SEEDS:,} seeds", "Split the job into several rows.")
    if found and max(found) > LARGEST_SEED:
        raise UnfitError("seeds below 2^63", "Take smaller ones.")
    if len(set(found)) < len(found):
        twice = next(seed for seed in found if found.count(seed) > 1)
        raise UnfitError(f"a list without repeats: seed {twice} stands in it twice", "Remove one.")
    return tuple(found)


def _range(first: int, last: int) -> range:
    if last < first:
        raise UnfitError("a range that runs upwards", f"Write {last}..{first}.")
    if last - first >= MOST_SEEDS:
        raise UnfitError(f"at most {MOST_SEEDS:,} seeds", "Split the job into several rows.")
    return range(first, last + 1)


def _date() -> UnfitError:
    return UnfitError(
        "a list of seeds; it looks like the date that a spreadsheet makes of `1-4`",
        "Write `1..4`, which no spreadsheet changes.",
    )


def _not_seeds() -> UnfitError:
    return UnfitError("empty or a list of seeds such as `0..4` or `3 4 13`", "Write whole numbers from 0.")


def number(text: str, *, least: int, most: int, default: int) -> int:
    """Return the whole number in `text`; `1.0` counts as 1 (pandas writes so), empty as the default."""
    if not text:
        return default
    value = whole(text)
    if value is None or not least <= value <= most:
        bound = f"a whole number from {least:,} to {most:,}"
        raise UnfitError(f"empty or {bound}", f"Write a number, or leave it empty for {default}.")
    return value


@lru_cache(maxsize=1024)
def gpu_memory(text: str) -> GpuMemory:
    """Return the meaning of `gpu_mem`: empty, `auto`, or a size (1G = 1024 MiB)."""
    if not text:
        return Alone()
    if text.lower() == "auto":
        return Learned()
    size = _SIZE.fullmatch(text)
    if size is None:
        plain = whole(text)
        hint = f"Write {plain}G, if gigabytes are meant." if plain is not None and 0 < plain <= 999 else ""
        raise UnfitError("empty, 'auto' or a size such as 14G", hint or "Write for example 14G or 14000M.")
    mib = round(float(size[1]) * _MIB_OF[size[2].lower()])
    if not 1 <= mib <= _LARGEST_MIB:
        raise UnfitError("a size between 1M and 64T", "Check the unit.")
    return Share(mib)


@lru_cache(maxsize=1024)
def duration_s(text: str) -> float | None:
    """Return the seconds of `90m`, `12h`, `3d`, `45s`, `1h30m`; None for an empty cell."""
    if not text:
        return None
    total, at = 0.0, 0
    for part in _SPAN.finditer(text):
        if text[at : part.start()].strip():
            break
        total += float(part[1]) * _SECONDS_OF[part[2].lower()]
        at = part.end()
    if text[at:].strip():
        raise UnfitError("empty or a duration such as 90m, 12h, 3d or 1h30m", _duration_hint(text))
    if not 0 < total <= _LONGEST_S:
        raise UnfitError("a duration above zero and below ten years", "Leave the cell empty for no limit.")
    return total


def _duration_hint(text: str) -> str:
    clock = re.fullmatch(r"([0-9]{1,4}):([0-9]{2})(?::00)?", text)
    if clock:
        return f"Write {clock[1]}h{clock[2]}m, if hours and minutes are meant."
    plain = whole(text)
    if plain is not None and plain > 0:
        return f"Add the unit: {plain}s, {plain}m, {plain}h or {plain}d."
    return "Write a number with s, m, h or d behind it."
