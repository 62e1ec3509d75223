"""Putting headings above what there is to show, and nothing above nothing."""

from __future__ import annotations

from collections.abc import Sequence

from pkgs.reports.document import Block, Figure, Heading, Text
from pkgs.reports.plot_style import Drawing


def pictures(heading: str, drawings: Sequence[Drawing | None]) -> list[Block]:
    """Return the figures below a heading, or a sentence that there are none yet."""
    figures = [Figure(drawing) for drawing in drawings if drawing is not None]
    return [Heading(heading), *figures] if figures else [Heading(heading), Text("Nothing was saved yet.")]


def titled(heading: str, blocks: Sequence[Block]) -> list[Block]:
    return [Heading(heading), *blocks] if blocks else []
