"""An attempt that the manager watches over, from its start (or adoption) to the end of its shim."""

from __future__ import annotations

from dataclasses import dataclass

from pkgs.foundation.run_folder import AttemptFolder
from pkgs.jobqueue.attempts.processes import ProcessIdentity
from pkgs.jobqueue.manager.telemetry import Meter
from pkgs.jobqueue.state.records import Attempt


@dataclass(slots=True)
class Live:
    """What only the running manager knows of an attempt; everything durable is in `attempt`."""

    attempt: Attempt
    folder: AttemptFolder
    meter: Meter
    identity: ProcessIdentity | None = None
    """The shim; None when it is gone and only what it left behind is being ended."""
    pidfd: int | None = None
    since_s: float = 0.0
    """On the monotonic clock, moved back by what an adopted attempt had run before."""
    look: bool = False
    """Its pidfd has become readable: the end is to be taken in."""
    ended: bool = False
    """exit.json was taken in; the shim still ends what the command left, and holds the devices."""
    oom_kills_before: int = 0
    """The control group's count of processes killed for want of memory, when the attempt started."""
    quiet_until_s: float = 0.0
    """Not looked at before then, on the monotonic clock."""
    asked_s: float | None = None
    """When SIGTERM was sent, on the monotonic clock."""

    def elapsed_s(self, monotonic_s: float) -> float:
        return monotonic_s - self.since_s
