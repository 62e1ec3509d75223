"""Samples by name and what is said of them: median, range, percentile, ratio with its spread. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

COUNTS: Final = ("idle.rows", "idle.processes", "kill.")
"""Their ratio would say nothing."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A measure over its repeats."""

    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours over a peer: of the medians, and between the most and the least favourable pair of repeats."""

    value: float
    low: float
    high: float


@dataclass(slots=True)
class Figures:
    """All samples, named `<contestant>.<measure>`, and notes of what could not be measured and why."""

    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    notes: dict[str, str] = field(default_factory=dict)

    def add(self, contestant: str, measure: str, /, *values: float) -> None:
        self.samples[f"{contestant}.{measure}"].extend(values)

    def note(self, contestant: str, measure: str, /, *, why: str) -> None:
        """Say why a figure is missing or what is peculiar about it."""
        self.notes[f"{contestant}.{measure}"] = why

    def get(self, contestant: str, measure: str, /) -> Summary | None:
        values = self.samples.get(f"{contestant}.{measure}")
        return summarise(values) if values else None

    def why(self, contestant: str, measure: str, /) -> str | None:
        return self.notes.get(f"{contestant}.{measure}")

    def ratio(self, ours: str, peer: str, /, *, measure: str) -> Ratio | None:
        """Return ours over the peer, or None where one of them has no figure or the peer's is zero."""
        return ratio_of(self.get(ours, measure), self.get(peer, measure))

    def as_json(self, *, ours: str) -> dict[str, object]:
        """Return every figure by name; `--help` of the benchmark lists the forms of the names."""
        flat: dict[str, object] = {}
        for name, values in self.samples.items():
            whole = summarise(values)
            flat |= {f"{name}.median": whole.median, f"{name}.low": whole.low, f"{name}.high": whole.high}
            flat[f"{name}.count"] = whole.count
            peer, _, measure = name.partition(".")
            comparable = peer != ours and not measure.startswith(COUNTS)
            ratio = self.ratio(ours, peer, measure=measure) if comparable else None
            if ratio is not None:
                flat |= {f"ratio.{name}": ratio.value, f"ratio.{name}.low": ratio.low}
                flat[f"ratio.{name}.high"] = ratio.high
        return flat | {f"note.{name}": why for name, why in self.notes.items()}


def summarise(values: Sequence[float]) -> Summary:
    """Return median and range.

    Raises:
        ValueError: If there are no values.
    """
    if not values:
        raise ValueError("A summary needs at least one value, got none.")
    return Summary(median(values), min(values), max(values), len(values))


def ratio_of(ours: Summary | None, peer: Summary | None) -> Ratio | None:
    """Return ours over the peer's; None where it would mean nothing."""
    if ours is None or peer is None or peer.low <= 0:
        return None
    return Ratio(ours.median / peer.median, ours.low / peer.high, ours.high / peer.low)


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the nearest-rank percentile: a value that was really seen, never one between two.

    Raises:
        ValueError: If there are no values.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("A percentile needs at least one value, got none.")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def slot_gaps(starts: Iterable[float], ends: Iterable[float], *, slots: int) -> list[float]:
    """Return how long each slot that fell free stayed empty.

    With all slots taken and a full queue, the k-th end frees the slot that the (k + slots)-th start takes:

        gap_k = start[k + slots] - end[k],    both in order of time
    """
    later = sorted(starts)[slots:]
    return [start - end for start, end in zip(later, sorted(ends), strict=False)]
