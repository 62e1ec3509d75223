"""The words that all parts of the queue share: a run's name, a parsed job, wishes, causes of failure.

Not here: how a row is read (rows.py), how a run lives (state.py), how devices are chosen (plan.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class RunKey(NamedTuple):
    """Names a run: one (job, condition, seed). A job without seeds or conditions has None there."""

    job: str
    condition: str | None = None
    seed: int | None = None

    def __str__(self) -> str:
        """Return `job[:seed[:condition]]`, the spelling that `logs` and messages use."""
        if self.condition is not None:
            return f"{self.job}:{'' if self.seed is None else self.seed}:{self.condition}"
        return self.job if self.seed is None else f"{self.job}:{self.seed}"


class After(NamedTuple):
    """One id of the column `after`."""

    job: str
    all_runs: bool = False
    """True for `id:all`: wait for every run of that job, not only for the matching one."""
    end_is_enough: bool = False
    """True for `id:ended`: every run of that job must have ended, however; it need not be completed."""

    def __str__(self) -> str:
        if self.end_is_enough:
            return f"{self.job}:ended"
        return f"{self.job}:all" if self.all_runs else self.job


@dataclass(frozen=True, slots=True)
class Alone:
    """`gpu_mem` is empty: the run has its devices to itself."""


@dataclass(frozen=True, slots=True)
class Share:
    """`gpu_mem` is a size: the run may share a device that has this much room."""

    mib: int


@dataclass(frozen=True, slots=True)
class Learned:
    """`gpu_mem` is `auto`: alone until earlier seeds have shown a peak, then a share of that size."""


GpuMemory = Alone | Share | Learned


class Wish(StrEnum):
    """What the user asked for a job, in the spelling of the column `status`."""

    OPEN = "open"
    HOLD = "hold"
    CANCEL = "cancel"
    RERUN = "rerun"
    COMPLETED = "completed"


class JobStatus(StrEnum):
    """What the manager writes into the column `status`."""

    OPEN = "open"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    HOLD = "hold"
    CANCEL = "cancel"


class Cause(StrEnum):
    """Why an attempt did not succeed; decides what follows (design.md section 7)."""

    GPU_OUT_OF_MEMORY = "GPU out of memory"
    HOST_OUT_OF_MEMORY = "host out of memory"
    KILLED = "killed from outside"
    REBOOTED = "machine rebooted"
    LOST = "lost by the manager"
    GPU_LOST = "GPU lost or CUDA error"
    DISK_FULL = "disk full"
    TIMEOUT = "timeout"
    STALLED = "no progress"
    NAN = "loss became NaN"
    BAD_INPUT = "bad config or missing file"
    EXCEPTION = "error in the code"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Job:
    """A row of Jobs.csv whose every cell is valid. Built by rows.py, nowhere else."""

    id: str
    command: str
    seeds: tuple[int, ...] = ()
    conditions: tuple[str, ...] = ()
    after: tuple[After, ...] = ()
    gpus: int = 1
    gpu_mem: GpuMemory = Alone()
    priority: int = 0
    retries: int = 1
    timeout_s: float | None = None

    @property
    def study(self) -> str:
        """The id up to the last `/`; empty when there is none."""
        return self.id.rpartition("/")[0]

    def runs(self) -> list[RunKey]:
        """Return the job's runs, all conditions of a seed before the next seed."""
        return [
            RunKey(self.id, condition, seed)
            for seed in (self.seeds or (None,))
            for condition in (self.conditions or (None,))
        ]
