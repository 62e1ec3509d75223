"""What a device source saw at one moment: plain facts, no judgement (watch.py judges).

A value that could not be had is None; nobody may read it as zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["none", "nvml", "simulated", "unknown"]


@dataclass(frozen=True, slots=True)
class DeviceProcess:
    """One process that a card shows."""

    pid: int
    mib: int | None = None
    """Device memory of this process; None when the driver does not say."""
    words: str = ""
    """Who it is, for people: `python of anna`."""


@dataclass(frozen=True, slots=True)
class DeviceReading:
    """One device that runs can be given: a whole card, or one MIG slice of a card."""

    uuid: str
    """The key everywhere."""
    index: str
    """For people only: `2` in PCI order, `2:0` for the first slice of card 2. Shifts when a card drops
    out."""
    name: str = ""
    total_mib: int | None = None
    used_mib: int | None = None
    """In use by programs; without `reserved_mib` where the driver tells the two apart."""
    reserved_mib: int = 0
    """What the driver and firmware keep for themselves: part of the total, never to be had."""
    util_percent: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    energy_j: float | None = None
    """Drawn since the driver was loaded; the difference of two readings is a run's energy. None for
    slices."""
    processes: tuple[DeviceProcess, ...] | None = ()
    """None when they could not be listed. An empty list alone does not prove that nobody is there."""
    fault: str | None = None
    """Why this device alone could not be asked, in one sentence; its values are then the last known."""
    lost: bool = False
    """True when the fault needs a reset or a technician: fallen off the bus, vanished, reset required."""
    parent: str | None = None
    """UUID of the card that a MIG slice is part of."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """All devices at one moment."""

    readings: tuple[DeviceReading, ...] = ()
    problem: str | None = None
    """Why the machine's GPUs as a whole could not be asked, in one sentence; `readings` are then the last
    known."""
    kind: Kind = "none"
    """`none`: a machine without GPUs. `unknown`: there is a GPU, but nothing was ever learned about it."""
    taken_s: float | None = None
    """When the readings were complete, on the source's clock (monotonic); None: when they are looked at."""


class DeviceSource(Protocol):
    """Where readings come from."""

    def read(self) -> Inventory:
        """Return a fresh inventory, or after the source's deadline the last one with its `problem`."""

    def newest(self) -> Inventory:
        """Return the newest inventory without waiting, and see to it that a fresher one is on its way."""

    def close(self) -> None:
        """Let go of the driver; never waits."""


def gib(mib: int) -> str:
    """Return a size for people, `11.2 GiB`."""
    return f"{mib / 1024:.1f} GiB"
