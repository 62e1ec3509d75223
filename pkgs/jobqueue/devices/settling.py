"""When a disturbed device is calm again: after several clean looks, far enough apart. No clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field

from pkgs.jobqueue.devices.usage import OurRun


@dataclass(frozen=True, slots=True)
class Patience:
    """When a disturbed device is calm again. Reasons: queue.md section 1, memory that is not yet released."""

    clean_looks: int = 3
    foreign_gap_s: float = 2.0
    """Between two looks that count after somebody else was there: the gaps between the epochs of a
    stranger."""
    own_gap_s: float = 0.5
    """Likewise after a run of ours, whose processes are known to be gone."""
    afterglow_s: float = 60.0
    """For so long, memory that nobody shows is put down to the run of ours that ended there."""
    tolerated_mib: int = 256
    """An idle card shows some memory without a process; a CUDA context takes more. Drivers before 510 count
    what they reserve for themselves, too, and may need a larger value."""
    busy_percent: int = 5
    """Utilisation from here on means that somebody computes, seen or not."""


@dataclass(slots=True)
class Past:
    """What the last looks at one device leave behind."""

    looks_needed: int = 0
    """0: calm. A device that was clean at its first look is usable at once."""
    gap_s: float = 0.0
    last_s: float = 0.0
    counted: int = 0
    lost: bool = False
    runs: tuple[OurRun, ...] = ()
    ended: str = ""
    ended_s: float = float("-inf")
    ended_pids: frozenset[int] = field(default_factory=frozenset)

    def disturb(self, patience: Patience, *, gap_s: float, at_s: float) -> None:
        self.looks_needed, self.gap_s, self.last_s, self.counted = patience.clean_looks, gap_s, at_s, 0

    def count(self, at_s: float) -> None:
        """Count a clean look, if it is a new one and far enough from the last."""
        gap_s = self.gap_s if self.counted else 0.0
        if not self.looks_needed or at_s <= self.last_s or at_s - self.last_s < gap_s:
            return
        self.counted, self.last_s = self.counted + 1, at_s
        if self.counted >= self.looks_needed:
            self.looks_needed = 0

    def left_s(self) -> float:
        return (self.looks_needed - self.counted) * self.gap_s
