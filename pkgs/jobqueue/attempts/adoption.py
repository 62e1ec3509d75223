"""What became of an attempt, told from its files, its lock and the process table; never guessed.

Asked after a restart of the manager and for every attempt that ends. Starting and stopping: attempts.py.
"""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pkgs.foundation.files import read_json
from pkgs.jobqueue.attempts.processes import (
    Host,
    ProcessIdentity,
    carries_attempt,
    is_alive,
    processes_of_attempt,
    read_stat,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pkgs.foundation.run_folder import AttemptFolder

SHIM_START_S: Final = 2.0  # from the lock to shim.json; takes 10 ms on a machine at rest


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """exit.json: the true end, as the command's parent saw it."""

    attempt: str
    code: int | None
    signal: int | None
    start_unix_s: float
    end_unix_s: float
    duration_s: float
    """By a clock that nobody sets; end minus start may jump."""
    peak_rss_bytes: int
    """Of the largest process among the command and the children that it waited for."""
    cpu_s: float


@dataclass(frozen=True, slots=True)
class NeverStarted:
    """The command was not run: the manager ended before the spawn, or the shim before its first act."""


@dataclass(frozen=True, slots=True)
class Alive:
    """The shim lives, and so the command, or what it left, may live."""

    identity: ProcessIdentity


@dataclass(frozen=True, slots=True)
class Ended:
    """The command has ended."""

    record: ExitRecord
    lingering: ProcessIdentity | None = None
    """The shim while it still ends what the command left behind; it holds the leases."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The shim was killed, so nobody knows the end. `survivors` may still hold the device."""


@dataclass(frozen=True, slots=True)
class Rebooted:
    """The machine was started anew since; nothing of the attempt can live."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """The signs contradict each other. Hold the run and show the sentence; do not start it again."""

    why: str


Found = NeverStarted | Alive | Ended | Gone | Rebooted | Unclear


def find(folder: AttemptFolder, attempt: str, *, host: Host | None = None) -> Found:
    """Return the truth about an attempt, from its files, its lock and the process table; never a guess.

    Waits up to 2 s for a shim that holds the lock and has not yet said who it is.
    """
    host = host or Host()
    deadline_s = time.monotonic() + SHIM_START_S
    while True:
        record, shim = read_exit(folder, attempt), _living_shim(folder, attempt, host=host)
        if record is not None:
            return Ended(record, lingering=shim)
        if shim is not None:
            return Alive(shim)
        if not _lock_is_held(folder.launch):
            break
        if time.monotonic() > deadline_s:
            return Unclear(f"{folder.launch} is locked, yet no process says that it is the attempt's.")
        time.sleep(0.01)
    record = read_exit(folder, attempt)  # it may have ended between the two looks
    return Ended(record) if record is not None else _fate(folder, attempt, host=host)


def read_exit(folder: AttemptFolder, attempt: str) -> ExitRecord | None:
    """Return the end of this attempt; None when exit.json is missing, malformed or of another attempt."""
    raw = read_json(folder.exit)
    if not isinstance(raw, dict) or raw.get("attempt") != attempt:
        return None
    code, number = raw.get("code"), raw.get("signal")
    seconds = [raw.get(name) for name in ("start_unix_s", "end_unix_s", "duration_s", "cpu_s")]
    well_formed = (
        [_is_number(code, of=(int,)), _is_number(number, of=(int,))].count(True) == 1
        and (code is None or number is None)
        and all(_is_number(value, of=(int, float)) for value in seconds)
        and _is_number(raw.get("peak_rss_bytes"), of=(int,))
    )
    if not well_formed:
        return None
    return ExitRecord(**{name: raw[name] for name in ExitRecord.__dataclass_fields__})


def _living_shim(folder: AttemptFolder, attempt: str, *, host: Host) -> ProcessIdentity | None:
    """Return the shim that shim.json names, if that very process lives and is one of this attempt.

    A forged or stale file may name a living stranger: he does not carry the attempt's name.
    """
    raw = read_json(folder.shim)
    if not isinstance(raw, dict):
        return None
    boot_id, pid, start_ticks = raw.get("boot_id"), raw.get("pid"), raw.get("start_ticks")
    if not (isinstance(boot_id, str) and isinstance(pid, int) and isinstance(start_ticks, int)):
        return None
    identity = ProcessIdentity(boot_id, pid, start_ticks)
    stat = read_stat(pid)
    leads = stat is not None and stat.session == pid
    if leads and is_alive(identity, host=host) and carries_attempt(pid, attempt):
        return identity
    return None


def _lock_is_held(launch: Path) -> bool:
    """Return whether a shim holds the lock; asks by a shared lock, so that two may ask at once."""
    try:
        descriptor = os.open(launch, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _fate(folder: AttemptFolder, attempt: str, *, host: Host) -> Found:
    """Return what happened to an attempt that has no exit.json, no living shim and no lock."""
    boots = [raw["boot_id"] for path in (folder.launch, folder.shim) if "boot_id" in (raw := _object(path))]
    if boots and boots[0] != host.boot_id:
        return Rebooted()
    if folder.shim.exists():
        return Gone()
    strays = processes_of_attempt(attempt, host=host)
    if strays:
        pids = ", ".join(str(stray.pid) for stray in strays)
        return Unclear(f"Processes {pids} belong to this attempt, yet {folder.path} holds no shim.json.")
    return NeverStarted()


def _object(path: Path) -> dict[str, object]:
    raw = read_json(path)
    return raw if isinstance(raw, dict) else {}


def _is_number(value: object, *, of: tuple[type, ...]) -> bool:
    return isinstance(value, of) and not isinstance(value, bool)
