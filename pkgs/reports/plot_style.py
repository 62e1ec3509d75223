"""How all figures look, and how they become bytes: the same inputs give the same bytes.

Colours are those of Okabe and Ito, which people with any common colour blindness can tell apart.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
Dash = Literal["-", "--", ":", "-."]
DASHES: tuple[Dash, ...] = ("-", "--", ":", "-.")
"""The second seven conditions repeat the colours with another dash."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
PAGE_PX_PER_INCH = 92
"""An eleven-inch figure fills the page's column; its 9.5 pt are then 12 px."""
SYNTHETIC = "synthetic data"

STYLE = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same on every machine
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "svg.hashsalt": "reports",  # else the ids in an SVG are random
    "axes.unicode_minus": True,
}


@dataclass(frozen=True, slots=True)
class Look:
    """How one condition is drawn, the same in every figure."""

    colour: str
    dash: Dash
    marker: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished figure."""

    name: str
    caption: str
    png: bytes
    svg: bytes
    width_px: int
    """On the page, so that the text of all figures has the same size there."""


def looks(conditions: Sequence[str]) -> dict[str, Look]:
    """Return a look per condition, by position."""
    n = len(COLOURS)
    return {
        condition: Look(COLOURS[i % n], DASHES[i // n % len(DASHES)], MARKERS[i % n])
        for i, condition in enumerate(conditions)
    }


def styled(*, grid: bool = True) -> AbstractContextManager[None]:
    """Return the context to build and render a figure in; afterwards matplotlib's settings are as before."""
    settings: Any = STYLE | {"axes.grid": grid}  # matplotlib's stubs want every key as a literal
    return mpl.rc_context(settings)


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure that keeps its texts apart. Call inside `styled()`."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def finish(figure: Figure, name: str, caption: str, *, synthetic: bool) -> Drawing:
    """Render the figure as PNG and SVG, stamped when its data are synthetic."""
    if synthetic:
        figure.supxlabel(SYNTHETIC, x=0.995, ha="right", fontsize=8.5, color="#777777", style="italic")
    width_px = round(PAGE_PX_PER_INCH * figure.get_figwidth())
    return Drawing(name, caption, png=_render(figure, "png"), svg=_render(figure, "svg"), width_px=width_px)


def _render(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    nothing = {"png": {"Software": None}, "svg": {"Date": None}}
    figure.savefig(buffer, format=kind, metadata=nothing[kind])
    return buffer.getvalue()
