"""The report as a list of blocks, before anybody decides whether it becomes HTML or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pkgs.reports.plot_style import Drawing


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    quiet: bool = False
    """Small print: how to read what stands above."""
    strong: bool = False
    """The one sentence that a reader in a hurry should see."""


@dataclass(frozen=True, slots=True)
class Bullets:
    items: Sequence[str]
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as they are shown; the first `labels` columns are text, the others numbers."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    labels: int = 1
    caption: str = ""
    folded: bool = False
    """Shown on demand: for the metrics that are not endpoints."""
    name: str = ""
    """Where it is also written on its own: tables/<name>.md; empty: nowhere."""


@dataclass(frozen=True, slots=True)
class Figure:
    drawing: Drawing


Block = Heading | Text | Bullets | Table | Figure


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    title: str
    subtitle: str
    blocks: Sequence[Block]

    def figures(self) -> list[Drawing]:
        return [block.drawing for block in self.blocks if isinstance(block, Figure)]

    def named_tables(self) -> list[Table]:
        return [block for block in self.blocks if isinstance(block, Table) and block.name]
