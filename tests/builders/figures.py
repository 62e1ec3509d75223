"""Keeps the figures that a drawing module finishes, so that tests can look at their lines, bars and texts."""

from __future__ import annotations

from types import ModuleType

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from pkgs.reports.plot_style import Drawing, finish


def keep_figures(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> dict[str, Figure]:
    """Return what `module` finishes from now on, by name; it is rendered all the same."""
    kept: dict[str, Figure] = {}

    def keeping(figure: Figure, name: str, caption: str, *, synthetic: bool) -> Drawing:
        kept[name] = figure
        return finish(figure, name, caption, synthetic=synthetic)

    monkeypatch.setattr(module, "finish", keeping)
    return kept


def titles(figure: Figure) -> list[str]:
    return [_title(axes) for axes in figure.axes if axes.get_visible()]


def panel(figure: Figure, title: str) -> Axes:
    """Return the axes whose title starts with `title`."""
    [axes] = [axes for axes in figure.axes if _title(axes).startswith(title)]
    return axes


def texts(axes: Axes) -> list[str]:
    return [
        artist.get_text() for artist in axes.get_children() if isinstance(artist, Text) and artist.get_text()
    ]


def _title(axes: Axes) -> str:
    return axes.get_title(loc="left")
