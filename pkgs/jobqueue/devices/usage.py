"""Whose memory is it? Splits what a card reports between our runs, strangers, and nobody visible. Pure.

A reservation counts from the moment a run is placed; once the card shows the run, the larger of declared and
seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pkgs.jobqueue.devices.inventory import DeviceProcess, DeviceReading


@dataclass(frozen=True, slots=True)
class OurRun:
    """An attempt of this queue that holds a device."""

    name: str
    """For people: `ke/teacher:0`."""
    pids: frozenset[int] = frozenset()
    """Everything in the attempt's session and below; empty while it starts."""
    reserved_mib: int | None = None
    """Declared or learned; None: it has the device to itself."""
    until: str = ""
    """When it should end, for people: `until about 03:40`; empty when nothing is known."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How a card's memory is divided."""

    strangers: tuple[DeviceProcess, ...]
    strangers_mib: int
    nobody_mib: int
    """In use, but by no visible process; 0 up to the tolerance."""
    free_mib: int
    """Left when every reservation is taken up in full, >= 0."""


def divide(
    reading: DeviceReading, runs: Sequence[OurRun], *, tolerated_mib: int, lists_work: bool
) -> Usage | None:
    """Return who has the card's memory; None when the card does not say how much is in use.

    Args:
        reading: The card.
        runs: Ours that hold it.
        tolerated_mib: An idle card shows this much without a process.
        lists_work: Whether process lists have ever shown a process of ours. In a container they may never do
            so; then memory beside running runs of ours is taken for theirs.
    """
    if reading.total_mib is None or reading.used_mib is None:
        return None
    processes = reading.processes or ()
    ours = frozenset().union(*(run.pids for run in runs))
    strangers = tuple(process for process in processes if process.pid not in ours)
    trusted = lists_work and reading.processes is not None
    rest_mib = max(0, reading.used_mib - sum(process.mib or 0 for process in processes))
    committed_mib, takes_rest = _committed(runs, processes, trusted=trusted)
    strangers_mib = _size(strangers)
    nobody_mib = 0
    if takes_rest is not None:
        committed_mib += max(takes_rest, rest_mib)
    elif any(process.mib is None for process in strangers):
        strangers_mib += rest_mib
    else:
        nobody_mib = rest_mib
    free_mib = reading.total_mib - reading.reserved_mib - committed_mib - strangers_mib - nobody_mib
    return Usage(
        strangers=strangers,
        strangers_mib=strangers_mib,
        nobody_mib=nobody_mib if nobody_mib > tolerated_mib else 0,
        free_mib=max(0, free_mib),
    )


def _committed(
    runs: Sequence[OurRun], processes: Sequence[DeviceProcess], *, trusted: bool
) -> tuple[int, int | None]:
    """Return what runs with a known size need, and what those need who may own the memory that nobody shows.

    The second is None when there is no such run.
    """
    known_mib, hidden_mib, hidden = 0, 0, False
    for run in runs:
        mine = [process for process in processes if process.pid in run.pids]
        declared_mib = run.reserved_mib or 0
        if any(process.mib is None for process in mine) or (not mine and not trusted):
            hidden, hidden_mib = True, hidden_mib + max(declared_mib, _size(mine))
        else:
            known_mib += max(declared_mib, _size(mine))
    return known_mib, hidden_mib if hidden else None


def _size(processes: Iterable[DeviceProcess]) -> int:
    return sum(process.mib or 0 for process in processes)
