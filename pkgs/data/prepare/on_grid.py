"""A reader whose volumes lie on a chosen grid: its steps need the geometry, which items do not carry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final

from pkgs.data.items import Header, Item, Reader, Sample


class GridStep(Protocol):
    """A deterministic change of the grid. Unlike a Preparation it needs the header: an item has no affine.

    A frozen dataclass: its `repr` names every setting.
    """

    def planned(self, header: Header) -> Header:
        """Return the header of what `apply` returns."""

    def apply(self, item: Item, header: Header) -> Item:
        """Return the arrays on the new grid; `header` is the item's, before the change."""


@final
@dataclass(frozen=True)
class OnGrid:
    """`reader`, with each step done on every item: itself a Reader, so the cache keeps what comes out.

    Everything that does not need the geometry (merging classes, resizing planes) is a Preparation instead.
    """

    reader: Reader
    steps: tuple[GridStep, ...]

    @property
    def name(self) -> str:
        """Names the steps as well: another grid is another cache."""
        return " > ".join([self.reader.name, *map(repr, self.steps)])

    @property
    def version(self) -> int:
        return self.reader.version

    def samples(self, root: Path) -> list[Sample]:
        return self.reader.samples(root)

    def header(self, sample: Sample) -> Header:
        header = self.reader.header(sample)
        for step in self.steps:
            header = step.planned(header)
        return header

    def read(self, sample: Sample) -> Item:
        header, item = self.reader.header(sample), self.reader.read(sample)
        for step in self.steps:
            item, header = step.apply(item, header), step.planned(header)
        return item
