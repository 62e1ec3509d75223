"""Why a run or a job does not run now, as facts. why.py turns each into its sentence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pkgs.jobqueue.schedule.fanout import Problem
from pkgs.jobqueue.vocabulary import Cause

# -- the row ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """The user wrote `hold`."""

    job: str


@dataclass(frozen=True, slots=True)
class HeldAfterFailures:
    """The manager wrote `hold`: the job failed too often in a row."""

    job: str
    failures: int
    cause: Cause
    log: str
    """Path of the last attempt's output."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The row, or what it asks of the machine, is wrong."""

    problems: tuple[Problem, ...]
    line: int | None = None


@dataclass(frozen=True, slots=True)
class InDoubt:
    """An edit could be read in two ways; nothing is spent on it before the user says which."""

    write_instead: str
    """What the user should write, such as `write 'rerun' to run it again`."""


# -- how far it is ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Completed:
    """All is done."""

    job: str


@dataclass(frozen=True, slots=True)
class Failed:
    """No further attempt follows by itself."""

    job: str
    cause: Cause
    log: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The user stopped it."""

    job: str


@dataclass(frozen=True, slots=True)
class Running:
    """It runs."""

    where: str
    """The devices as people call them, or `a CPU slot`."""
    until_unix_s: float | None = None


@dataclass(frozen=True, slots=True)
class Starting:
    """Nothing stands in its way: the next turn starts it."""


# -- what it waits for -----------------------------------------------------------------------------------


class ParentState(StrEnum):
    """How a parent stands that is not completed; the worst first."""

    REMOVED = "removed"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    HELD = "held"
    WAITING = "waiting"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Parent:
    """A run, or a whole job, that must be completed first."""

    name: str
    """`ke/teacher:0`."""
    job: str
    state: ParentState
    until_unix_s: float | None = None
    """When a running one is expected to end."""
    line: int | None = None
    """Of a refused row."""


@dataclass(frozen=True, slots=True)
class WaitsForParents:
    """At least one parent is not completed."""

    parents: tuple[Parent, ...]


@dataclass(frozen=True, slots=True)
class RetryPause:
    """The last attempt failed by something that may pass."""

    cause: Cause
    until_unix_s: float


@dataclass(frozen=True, slots=True)
class DiskLow:
    """Nothing new starts on a full disk."""

    folder: str
    free_mib: int
    floor_mib: int


@dataclass(frozen=True, slots=True)
class Paused:
    """The queue starts nothing at all, for another reason."""

    why: str


@dataclass(frozen=True, slots=True)
class GpusUnknown:
    """NVML does not answer: nothing new starts on GPUs."""

    why: str


@dataclass(frozen=True, slots=True)
class NoManager:
    """Nobody works on the queue."""


# -- devices ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OurRuns:
    """Runs of this queue are on the device."""

    names: tuple[str, ...]
    until_unix_s: float | None = None


@dataclass(frozen=True, slots=True)
class Stranger:
    """A process that is not of this queue."""

    pid: int
    user: str = ""
    mib: int | None = None


@dataclass(frozen=True, slots=True)
class Lingering:
    """Memory in use without a visible process."""

    mib: int


@dataclass(frozen=True, slots=True)
class Leased:
    """Another queue on this machine has it."""

    holder: str


@dataclass(frozen=True, slots=True)
class Settling:
    """It became free a moment ago and is watched."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """It is not trusted, lost, or cannot be asked."""

    why: str


@dataclass(frozen=True, slots=True)
class Described:
    """The device watch has already put it into words."""

    words: str
    """`GPU 1 is used by process 123 (python of bob).` Only its first sentence is told."""


@dataclass(frozen=True, slots=True)
class Avoided:
    """The run failed there by the card's fault."""


@dataclass(frozen=True, slots=True)
class Free:
    """Nobody is on it."""


Holder = OurRuns | Stranger | Lingering | Leased | Settling | Quarantined | Described | Avoided | Free


@dataclass(frozen=True, slots=True)
class Device:
    """A device as people know it."""

    label: str
    """`GPU 0`."""
    holder: Holder
    free_mib: int = 0


@dataclass(frozen=True, slots=True)
class NoDevice:
    """Too few devices are free as a whole."""

    gpus: int
    free: int
    devices: tuple[Device, ...]
    """Those that are not free, in the order in which people count them."""


@dataclass(frozen=True, slots=True)
class NoMemory:
    """Too few devices have the room that it asks for."""

    gpus: int
    memory_mib: int
    free: int
    """Devices that have it."""
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True)
class NoSlot:
    """All CPU slots are in use."""

    slots: int
    until_unix_s: float | None = None


@dataclass(frozen=True, slots=True)
class Collecting:
    """It waited so long that devices are kept for it as they fall free."""

    devices: tuple[Device, ...]
    start_unix_s: float | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """There is room, but it is kept for a larger run that waited longer."""

    name: str
    start_unix_s: float | None = None


RowReason = Held | HeldAfterFailures | Refused | InDoubt
StageReason = Completed | Failed | Cancelled | Running | Starting
WaitReason = WaitsForParents | RetryPause | DiskLow | Paused | GpusUnknown | NoManager
RoomReason = NoDevice | NoMemory | NoSlot | Collecting | Kept
Reason = RowReason | StageReason | WaitReason | RoomReason
