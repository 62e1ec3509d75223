"""What the queue remembers of jobs, runs, attempts and events.

Plain data: state.py stores it, manager.py changes it.
.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from pkgs.jobqueue.vocabulary import Cause, RunKey, Wish


@dataclass(frozen=True, slots=True)
class Waiting:
    """The run may start once its parents are done and its pause is over."""

    not_before_unix_s: float = 0.0
    """End of the pause before a retry; 0 when there was no attempt yet."""
    cause: Cause | None = None
    """Why the last attempt ended, if there was one."""
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Active:
    """An attempt is starting, running or being stopped; attempts holds its facts."""

    attempt: str


@dataclass(frozen=True, slots=True)
class Completed:
    """The command ended with code 0."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No further attempt will follow unless the user asks for one."""

    cause: Cause
    sentence: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Stopped because the user asked for it."""


RunState = Waiting | Active | Completed | Failed | Cancelled

FRESH: Final = Waiting()


@dataclass(frozen=True, slots=True)
class Run:
    """One (job, condition, seed) and how far it has come."""

    key: RunKey
    state: RunState = FRESH
    tries: int = 0
    """Attempts that counted since the run was last opened; compared with the column `retries`."""
    free_tries: int = 0
    """Attempts that ended by no fault of the job: a reboot, a full disk, a killed shim."""
    needs_mib: int | None = None
    """GPU memory that the next attempt must find, learned from an attempt that ran out; else None."""
    alone: bool = False
    """The next attempt gets its devices to itself, whatever `gpu_mem` says."""
    avoid: frozenset[str] = frozenset()
    """Devices on which an attempt failed by the card's fault."""


StopReason = Literal["cancel", "timeout", "stalled"]


class AttemptState(StrEnum):
    STARTING = "starting"
    """Written before the process is spawned; whether it lives is asked of its shim, not of this word."""
    ENDED = "ended"
    VOID = "void"
    """Written down but never spawned: the manager died between the two."""


@dataclass(slots=True)
class Attempt:
    """One process that tries to do a run. Changed by the manager alone; saved in the same transaction."""

    id: str
    key: RunKey
    number: int
    devices: tuple[str, ...]
    cpu_slots: int
    reserve_mib: int | None
    """GPU memory reserved on each device; None: the devices are the attempt's alone."""
    written_unix_s: float
    state: AttemptState = AttemptState.STARTING
    start_unix_s: float | None = None
    end_unix_s: float | None = None
    code: int | None = None
    signal: int | None = None
    cause: Cause | None = None
    stop_reason: StopReason | None = None
    stop_unix_s: float | None = None
    peak_rss_bytes: int | None = None
    cpu_s: float | None = None
    peak_gpu_mib: int | None = None
    mean_util_percent: float | None = None
    energy_j: float | None = None

    @property
    def holds(self) -> str:
        """What the attempt sits on, for people: its devices, or a CPU slot."""
        return ", ".join(self.devices) or "a CPU slot"


@dataclass(slots=True)
class JobRecord:
    """What must outlive the manager about a job beyond its row."""

    id: str
    wish: Wish = Wish.OPEN
    held_after_failures: bool = False
    failures_in_row: int = 0
    durations_s: list[float] = field(default_factory=list)
    """Of its last completed runs, newest last, at most fifty."""
    peak_gpu_mib: int | None = None
    """Most GPU memory that a completed run needed on one device."""
    digests: dict[str, str] = field(default_factory=dict)
    """Commit and files named in the command, as first seen."""
    note: str = ""
    """A sentence that stays in `message` until the user acts, such as a change of code between seeds."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the queue's diary."""

    at_unix_s: float
    kind: str
    text: str
    job: str = ""
    run: str = ""
    attempt: str = ""
