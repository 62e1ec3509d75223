"""What a tracker is, and what it is told about a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from pkgs.foundation.files import write_whole

Outcome = Literal["finished", "stopped", "failed"]
"""How a run ended; one that was stopped goes on later."""


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """The run that is tracked."""

    name: str
    """As people know it: `ke/student_baseline/seed_0`."""
    folder: Path
    """Where trackers may write; it belongs to them and lasts over resumes."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Every setting, as plain numbers, text, lists and mappings."""
    first_step: int = 0
    """Steps that were done before, by an earlier attempt."""


class Tracker(Protocol):
    """Somebody who is told the numbers of a run. Its calls come one after the other, from one thread.

    It may raise and it may hang: `guard.Guard` stands between it and the run.
    """

    def start(self, run: TrackedRun) -> None:
        """Import what is needed, and open the run, or open it again after a resume."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Take values by name, such as `train/loss`. Steps may come again after a resume."""

    def finish(self, outcome: Outcome) -> None:
        """Write what is left and close the run."""


def lasting(path: Path, make: Callable[[], str]) -> tuple[str, bool]:
    """Return the name that `path` keeps over resumes, made at the first call, and whether it is new."""
    if path.exists():
        return path.read_text(encoding="utf-8").strip(), False
    name = make()
    write_whole(path, name + "\n")
    return name, True
