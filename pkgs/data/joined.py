"""Several labelled sets as one, and colours that are matched as they are read. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from pkgs.data.items import DataError, Header, Item, Reader, Sample
from pkgs.data.prepare.colour_match import ColourMatch


@final
@dataclass(frozen=True)
class Member:
    """One of the sets."""

    prefix: str
    """Before ids and groups, with its `/`; empty for the first set."""
    reader: Reader
    root: Path
    match: ColourMatch | None = None

    def __repr__(self) -> str:
        """Name what decides about the values, not the folder: a moved set keeps its cache."""
        return f"Member({self.prefix!r}, {self.reader!r} version {self.reader.version}, {self.match!r})"

    def told(self, sample: Sample) -> Sample:
        """Return a sample of the set as the joined set knows it."""
        return replace(sample, id=self.prefix + sample.id, group=self.prefix + sample.group)

    def own(self, sample: Sample) -> Sample:
        """Return a sample of the joined set as the set itself knows it."""
        id_, group = sample.id.removeprefix(self.prefix), sample.group.removeprefix(self.prefix)
        return replace(sample, id=id_, group=group)


@final
@dataclass(frozen=True)
class Joined:
    """A reader of several sets: each sample is decoded by the reader of its own."""

    members: tuple[Member, ...]
    """The first has no prefix, and the others must not share one."""

    @property
    def name(self) -> str:
        return "joined"

    @property
    def version(self) -> int:
        return 1

    def samples(self, root: Path) -> list[Sample]:  # noqa: ARG002 - every member has a root of its own
        """Return the samples of all sets, one set after the other.

        Raises:
            DataError: If one of them cannot be read.
        """
        return [m.told(sample) for m in self.members for sample in m.reader.samples(m.root)]

    def header(self, sample: Sample) -> Header:
        member = self._of(sample)
        header = member.reader.header(member.own(sample))
        return header if member.match is None else member.match.planned(header)

    def read(self, sample: Sample) -> Item:
        member = self._of(sample)
        item = member.reader.read(member.own(sample))
        return item if member.match is None else member.match(item)

    def _of(self, sample: Sample) -> Member:
        others = (member for member in self.members[1:] if sample.id.startswith(member.prefix))
        return next(others, self.members[0])


def require_apart(members: Sequence[Member], first: Sequence[Sample]) -> None:
    """Refuse sets whose samples could be taken for each other's.

    Args:
        members: All.
        first: The samples of the first.

    Raises:
        DataError: If two further sets have one layout, or an id of the first begins like those of another.
    """
    prefixes = [member.prefix for member in members[1:]]
    for prefix in prefixes:
        if prefixes.count(prefix) > 1:
            raise DataError(
                f"data.also: two sets of the layout {prefix[:-1]!r}; their ids would begin alike. "
                "Give each layout once, or join the two folders."
            )
        mixed = next((sample.id for sample in first if sample.id.startswith(prefix)), None)
        if mixed is not None:
            raise DataError(
                f"{mixed}: begins like the ids of the further set {prefix[:-1]!r} (data.also). "
                "Rename the folder."
            )
