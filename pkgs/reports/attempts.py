"""What the attempts of a run say: how the last one ended, and what all of them cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pkgs.foundation import exit_codes
from pkgs.foundation.files import read_json
from pkgs.foundation.run_folder import RunFolder

SIGNAL_NAMES = {2: "SIGINT", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM", 24: "SIGXCPU"}


class State(StrEnum):
    """How far a run came."""

    COMPLETED = "completed"
    FAILED = "failed"
    DIVERGED = "diverged"
    """The loss became NaN."""
    STOPPED = "stopped"
    """By a signal, after saving a checkpoint: to be resumed."""
    UNFINISHED = "unfinished"
    """Running, waiting for its next attempt, or lost: its newest attempt has no exit.json."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What all attempts of a run took together; NaN where nobody measured it."""

    attempts: int = 0
    without_end: int = 0
    """Attempts without exit.json: their share is missing in the sums."""
    start_unix_s: float = math.nan
    end_unix_s: float = math.nan
    wall_s: float = math.nan
    cpu_s: float = math.nan
    peak_rss_mib: float = math.nan
    energy_j: float = math.nan


@dataclass(frozen=True, slots=True)
class Ending:
    """How the newest attempt ended."""

    state: State
    sentence: str
    """For instance `exit code 1`; empty for a completed run."""


def read_usage(folder: RunFolder) -> Usage:
    """Add up what the attempts of `folder` left."""
    exits = _exits(folder)
    ended = [content for content in exits.values() if content is not None]
    return Usage(
        attempts=len(exits),
        without_end=len(exits) - len(ended),
        start_unix_s=min(_column(ended, "start_unix_s"), default=math.nan),
        end_unix_s=max(_column(ended, "end_unix_s"), default=math.nan),
        wall_s=_total(_column(ended, "duration_s")),
        cpu_s=_total(_column(ended, "cpu_s")),
        peak_rss_mib=max(_column(ended, "peak_rss_bytes"), default=math.nan) / 2**20,
        energy_j=_total(_column(_usages(folder), "energy_j")),
    )


def read_ending(folder: RunFolder) -> Ending | None:
    """Return how the newest attempt ended; None when there are no attempts (the run was started by hand)."""
    exits = _exits(folder)
    if not exits:
        return None
    newest = max(exits)
    content = exits[newest]
    if content is None:
        return Ending(State.UNFINISHED, f"attempt {newest} has no exit.json: running, or lost")
    return _ending(content)


def _ending(content: Mapping[str, object]) -> Ending:
    code, signal = content.get("code"), content.get("signal")
    if isinstance(signal, int) and not isinstance(code, int):
        return Ending(State.FAILED, f"killed by {SIGNAL_NAMES.get(signal, f'signal {signal}')}")
    match code:
        case exit_codes.OK:
            return Ending(State.COMPLETED, "")
        case exit_codes.NAN:
            return Ending(State.DIVERGED, f"the loss became NaN (exit code {code})")
        case exit_codes.STOPPED | exit_codes.INTERRUPTED:
            return Ending(State.STOPPED, f"stopped (exit code {code}), to be resumed")
        case int():
            return Ending(State.FAILED, f"exit code {code}")
        case _:
            return Ending(State.FAILED, "its exit.json holds neither a code nor a signal")


def _exits(folder: RunFolder) -> dict[int, dict[str, object] | None]:
    exits: dict[int, dict[str, object] | None] = {}
    for number in range(1, folder.newest_attempt() + 1):
        attempt = folder.attempt(number)
        if attempt.path.is_dir():
            content = read_json(attempt.exit)
            exits[number] = content if isinstance(content, dict) else None
    return exits


def _usages(folder: RunFolder) -> list[dict[str, object]]:
    """Return what the queue measured on the attempts' devices; nothing where there was none to measure."""
    found = (read_json(folder.attempt(number).usage) for number in range(1, folder.newest_attempt() + 1))
    return [content for content in found if isinstance(content, dict)]


def _column(contents: list[dict[str, object]], name: str) -> list[float]:
    values = [content.get(name) for content in contents]
    return [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]


def _total(values: list[float]) -> float:
    return math.fsum(values) if values else math.nan
