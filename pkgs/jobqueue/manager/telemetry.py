"""What a running attempt uses: GPU utilisation, memory and power, memory and CPU time of its processes.

Also tells when an attempt last showed a sign of life, which the stall watchdog asks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from pkgs.foundation.progress import Progress, read_progress
from pkgs.foundation.run_folder import RunFolder
from pkgs.jobqueue.devices.inventory import DeviceReading

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
PAGE_MIB: Final = os.sysconf("SC_PAGE_SIZE") / 2**20
FAR_S: Final = 10 * 365 * 86_400.0
"""No training is expected to end later; such a number is a mistake of whoever wrote it."""
IDLE_CPU_SHARE: Final = 0.01
"""Of one core. Less than this is a process that waits, not one that works."""


TOTAL_RAM_BYTES: Final = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def read_oom_kills(events: Path = Path("/sys/fs/cgroup/memory.events")) -> int:
    """Return how many processes of our control group the kernel killed for want of memory."""
    try:
        words = events.read_text().split()
    except OSError:
        return 0
    return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0


def progress_told(run: RunFolder, *, now_unix_s: float) -> Progress | None:
    """Return what a running job says of itself, without numbers that are none: anybody may write the file."""
    told = read_progress(run)
    if told is None or told.steps <= 0:
        return None
    metrics = told.metrics if isinstance(told.metrics, dict) else {}
    return Progress(
        step=min(max(told.step, 0), told.steps),
        steps=told.steps,
        seconds_per_step=_number(told.seconds_per_step, within=FAR_S),
        eta_unix_s=_number(told.eta_unix_s, within=FAR_S, around=now_unix_s),
        metrics={
            str(name): value for name, value in metrics.items() if _number(value, within=1e9) is not None
        },
    )


def _number(value: object, *, within: float, around: float = 0.0) -> float | None:
    plain = isinstance(value, int | float) and not isinstance(value, bool) and abs(value - around) <= within
    return float(value) if plain and isinstance(value, int | float) else None  # NaN is within nothing


class Usage(NamedTuple):
    """One process in the process table."""

    parent: int
    cpu_ticks: int
    rss_mib: float


def read_usage(proc: Path = Path("/proc")) -> dict[int, Usage]:
    """Return every process of the machine by pid; those that end meanwhile are left out."""
    found: dict[int, Usage] = {}
    for name in os.listdir(proc):
        if not name.isdecimal():
            continue
        try:
            with open(f"{proc}/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        # Counted from the state: parent 1, utime 11, stime 12, their waited-for children 13 and 14, rss 21.
        ticks = sum(int(field) for field in fields[11:15])
        found[int(name)] = Usage(int(fields[1]), ticks, int(fields[21]) * PAGE_MIB)
    return found


def families(table: Mapping[int, Usage], roots: Iterable[int]) -> dict[int, frozenset[int]]:
    """Return for each root the pids of itself and all its descendants."""
    children: dict[int, list[int]] = {}
    for pid, usage in table.items():
        children.setdefault(usage.parent, []).append(pid)
    result = {}
    for root in roots:
        family, unseen = {root}, [root]
        while unseen:
            below = children.get(unseen.pop(), [])
            family.update(below)
            unseen.extend(below)
        result[root] = frozenset(family)
    return result


class Sample(NamedTuple):
    """One row of the table `telemetry`."""

    attempt: str
    at_unix_s: float
    util_percent: float | None
    memory_mib: float | None
    power_w: float | None
    rss_mib: float
    cpu_percent: float


@dataclass(slots=True)
class Meter:
    """Sums up one attempt, sample by sample."""

    attempt: str
    last_sign_s: float
    """Last output, heartbeat or work on a device or core, on the monotonic clock."""
    peak_gpu_mib: int | None = None
    energy_j: float | None = None
    _utils: list[float] = field(default_factory=list)
    _last: tuple[float, int] | None = None
    """Time and CPU ticks of the sample before."""
    _files: tuple[float, ...] = ()

    @property
    def mean_util_percent(self) -> float | None:
        return sum(self._utils) / len(self._utils) if self._utils else None

    def take(
        self,
        now_s: float,
        *,
        now_unix_s: float,
        family: frozenset[int],
        table: Mapping[int, Usage],
        devices: list[DeviceReading],
    ) -> Sample:
        """Return what the attempt uses now, and remember its peaks.

        Args:
            now_s: The moment of the sample on the monotonic clock.
            now_unix_s: The same on the wall clock, for the table.
            family: Pids of the attempt's shim and all below it.
            table: The process table, from `read_usage`.
            devices: Readings of the attempt's own devices.
        """
        alive = [table[pid] for pid in family if pid in table]
        ticks = sum(usage.cpu_ticks for usage in alive)
        before, self._last = self._last, (now_s, ticks)
        share = 0.0
        if before is not None and now_s > before[0]:
            share = max(0.0, (ticks - before[1]) / TICKS_PER_S / (now_s - before[0]))
            self._add_energy(devices, now_s - before[0])
        utils = [float(reading.util_percent) for reading in devices if reading.util_percent is not None]
        util = sum(utils) / len(utils) if utils else None
        if util is not None:
            self._utils.append(util)
        memory = self._memory_mib(devices, family)
        if share > IDLE_CPU_SHARE or (util is not None and util > 0):
            self.last_sign_s = now_s
        powers = [reading.power_w for reading in devices if reading.power_w is not None]
        rss = sum(usage.rss_mib for usage in alive)
        power = sum(powers) if powers else None
        return Sample(self.attempt, now_unix_s, util, memory, power, rss, 100 * share)

    def note_files(self, now_s: float, paths: Iterable[Path]) -> None:
        """Count a file that has changed since the last look (output, progress) as a sign of life."""
        stamps = tuple(_stamp(path) for path in paths)
        if stamps != self._files:
            self._files = stamps
            self.last_sign_s = now_s

    def _memory_mib(self, devices: list[DeviceReading], family: frozenset[int]) -> float | None:
        """Return the most memory that the family holds on one device; all of it where pids are not shown."""
        seen: list[int] = []
        for reading in devices:
            ours = [p.mib for p in reading.processes or () if p.pid in family and p.mib is not None]
            if ours:
                seen.append(sum(ours))
            elif reading.used_mib is not None and not reading.processes:
                seen.append(reading.used_mib)
        if not seen:
            return None
        self.peak_gpu_mib = max(self.peak_gpu_mib or 0, *seen)
        return max(seen)

    def _add_energy(self, devices: list[DeviceReading], seconds: float) -> None:
        powers = [reading.power_w for reading in devices if reading.power_w is not None]
        if powers:
            self.energy_j = (self.energy_j or 0.0) + sum(powers) * seconds


def _stamp(path: Path) -> float:
    try:
        facts = path.stat()
    except OSError:
        return 0.0
    return facts.st_mtime + facts.st_size
