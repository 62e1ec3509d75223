"""Two contestants measured alternately in one run, and the ratio between them with its spread. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure of ours beside a peer, one figure per repeat."""

    name: str
    """Key in `--json`."""
    ours: tuple[float, ...]
    peer: tuple[float, ...]
    """Empty where the peer is not installed; `note` says so."""
    unit: str
    higher_is_better: bool
    target: float
    """The speed-up to reach."""
    peer_name: str
    note: str = ""

    def speed_ups(self) -> tuple[float, ...]:
        """Return how many times ours is better, repeat by repeat; 1 is equal, more is better."""
        pairs = zip(self.ours, self.peer, strict=bool(self.peer))
        return tuple(ours / peer if self.higher_is_better else peer / ours for ours, peer in pairs)

    def speed_up(self) -> float | None:
        """Return the median over the repeats, None where there is no peer."""
        values = self.speed_ups()
        return median(values) if values else None
