"""Sums kept apart by source, patient, volume, class or region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar, final

from pkgs.training.metrics.sums import Sums, macro, merged

S = TypeVar("S", bound=Sums)
T = TypeVar("T", bound=Sums)


@final
@dataclass(frozen=True, slots=True)
class PerGroup(Sums, Generic[S]):
    """Sums by name. Merging adds what has the same name; the order of groups plays no part."""

    parts: Mapping[str, S]

    def __add__(self, other: PerGroup[S]) -> PerGroup[S]:
        both = dict(self.parts)
        for name, part in other.parts.items():
            both[name] = both[name] + part if name in both else part
        return PerGroup({name: both[name] for name in sorted(both)})

    def scores(self) -> dict[str, float]:
        """Return `<score>_<group>` of every group, and `<score>_macro`: the mean over groups."""
        every = {
            f"{score}_{name}": value
            for name, part in self.parts.items()
            for score, value in part.scores().items()
        }
        return every | {f"{score}_macro": value for score, value in self.macro().items()}

    def counts(self) -> dict[str, int]:
        return {f"{n}_{name}": k for name, part in self.parts.items() for n, k in part.counts().items()}

    def as_case(self) -> PerGroup[S]:
        """Return each group's sums taken for one case of that group (regions of one volume, say)."""
        return PerGroup({name: part.as_case() for name, part in self.parts.items()})

    def pooled(self) -> S:
        """Return the sums of all groups together."""
        return merged(self.parts.values())

    def cases(self) -> S:
        """Return the sums of all groups together, each group being one case: means over volumes, say."""
        return merged(part.as_case() for part in self.parts.values())

    def macro(self) -> dict[str, float]:
        """Return the mean of the groups' scores; what is not defined in a group is left out."""
        return macro(self.parts.values())

    def regrouped(self, groups: Mapping[str, str]) -> PerGroup[S]:
        """Return the sums by coarser groups: volumes by patient, say.

        Raises:
            ValueError: If a group has no coarser one.
        """
        strangers = sorted(set(self.parts) - set(groups))
        if strangers:
            raise ValueError(f"No coarser group is known of {', '.join(strangers[:20])}.")
        return collected((groups[name], part) for name, part in self.parts.items())


def collected(pairs: Iterable[tuple[str, T]]) -> PerGroup[T]:
    """Return the sums by group of (group, sums) pairs: `collected(zip(sources, parts, strict=True))`."""
    parts: dict[str, T] = {}
    for name, part in pairs:
        parts[name] = parts[name] + part if name in parts else part
    return PerGroup({name: parts[name] for name in sorted(parts)})
