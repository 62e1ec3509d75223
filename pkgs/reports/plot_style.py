"""How all figures look, and how they become bytes: the same inputs give the same bytes.

Colours are those of Okabe and Ito, which people with any common colour blindness can tell apart.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
Dash = Literal["-", "--", ":", "-."]
DASHES: tuple[Dash, ...] = ("-", "--", ":", "-.")
"""The second seven conditions repeat the colours with another dash."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
PAGE_PX_PER_INCH = 92
"""An eleven-inch figure fills the page's column; its 9.5 pt are then 12 px."""
FULL_WIDTH_IN = 11.9
"""1095 px: what a laptop of 1366 px shows at 100 % beside the page's margins."""
LEGEND_KEY_IN, LEGEND_CHARACTER_IN = 0.65, 0.075
"""Room of an entry's key with its gaps, and of a character of 9 pt."""
QUIET = "#666666"
"""Lines and texts that are no data: diagonals, references, numbers of images."""
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
    "figure.dpi": 150,
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
    return Figure(figsize=(width_in, height_in), layout="constrained")


def panels(figure: Figure, n: int, *, columns: int) -> list[Axes]:
    """Return `n` axes in lines of at most `columns`; places that stay empty are taken out."""
    across = min(columns, n)
    grid = list(figure.subplots(math.ceil(n / across), across, squeeze=False).flat)
    for axes in grid[n:]:
        axes.remove()
    return grid[:n]


def legend_above(figure: Figure, handles: Sequence[Artist]) -> None:
    """Put a legend above the panels, in as many columns as fit the figure's width."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    fitting = int(figure.get_figwidth() / (LEGEND_KEY_IN + LEGEND_CHARACTER_IN * longest))
    columns = max(1, min(len(handles), fitting))
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, fontsize=9)


def in_pages(names: Sequence[str], *, per_page: int) -> list[list[str]]:
    """Return the names in order on as few figures as hold at most `per_page` each, filled evenly."""
    if not names:
        return []
    size = math.ceil(len(names) / math.ceil(len(names) / per_page))
    return [list(names[start : start + size]) for start in range(0, len(names), size)]


def file_name(*parts: str) -> str:
    """Return a figure's name that no part can lead out of the report's folder."""
    return "_".join(re.sub(r"[^A-Za-z0-9_.-]", "-", part) for part in parts)


def finish(figure: Figure, name: str, caption: str, *, synthetic: bool) -> Drawing:
    """Render the figure as PNG and SVG, stamped when its data are synthetic."""
    if synthetic:
        figure.supxlabel(SYNTHETIC, x=0.995, ha="right", fontsize=8.5, color="#777777", style="italic")
    width_px = round(PAGE_PX_PER_INCH * figure.get_figwidth())
    png, svg = io.BytesIO(), io.BytesIO()
    # savefig would draw everything twice for each of the two, the first time for nothing
    FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})  # type: ignore[no-untyped-call]
    figure.set_layout_engine("none")  # everything has its place now
    FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return Drawing(name, caption, png=png.getvalue(), svg=svg.getvalue(), width_px=width_px)
