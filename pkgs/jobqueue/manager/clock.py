"""The clocks of the manager, passed in so that every pause, timeout and hysteresis is tested without a sleep.

He clocks of the manager, passed in so that every pause, timeout and hysteresis is tested without a sleep.
"""

from __future__ import annotations

import time
from typing import Protocol, final


class Clock(Protocol):
    """Two times: one for people and files, one that nobody can set."""

    def unix_s(self) -> float:
        """Return the wall clock. It may jump, so nothing is ever decided by a difference of it alone."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary moment; stands still while the machine is suspended."""

    def since_boot_s(self) -> float:
        """Return seconds since boot, the scale of a process's start time."""


@final
class SystemClock:
    """The machine's own clocks."""

    def unix_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()

    def since_boot_s(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
