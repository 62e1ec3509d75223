"""What makes one synthetic source look unlike the next: a style, drawn once per source."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np


@dataclass(frozen=True, slots=True)
class Style:
    """Look of one source. Lengths are shares of the patch's side, grey values of the full range."""

    width: float
    """Width of a mitochondrion."""
    elongation: float
    """Straight part of its axis over its width."""
    contrast: float
    """How much darker the matrix is than the background."""
    cristae_depth: float
    cristae_period: float
    background: float
    noise: float
    blur_px: float
    illumination: float
    """Grey difference across the patch."""
    objects: float
    """Mean number of mitochondria per patch, empty patches counted."""


RANGES: Final[dict[str, tuple[float, float]]] = {
    "width": (0.055, 0.10),
    "elongation": (1.3, 3.2),
    "contrast": (0.10, 0.22),
    "cristae_depth": (0.05, 0.16),
    "cristae_period": (0.025, 0.045),
    "background": (0.5, 0.7),
    "noise": (0.02, 0.07),
    "blur_px": (0.3, 0.9),
    "illumination": (0.0, 0.10),
    "objects": (1.2, 4.0),
}
FLOORS: Final = {"illumination": 0.0, "objects": 1.0}
"""What a widened range may not go below."""


def draw_styles(rng: np.random.Generator, count: int, *, wider: float = 0.0) -> list[Style]:
    """Return `count` styles that cover each range evenly.

    Stratified: each parameter falls once into each of `count` equal parts of its range, so the share of
    foreground of the whole set hardly depends on the seed.

    Args:
        rng: Source of all draws.
        count: How many.
        wider: Share by which each range is longer than `RANGES`, half of it at either end.
    """
    columns: dict[str, list[float]] = {}
    for field in fields(Style):
        low, high = RANGES[field.name]
        margin = (high - low) * wider / 2
        low = max(low - margin, FLOORS.get(field.name, 0.0))
        places = (rng.permutation(count) + rng.uniform(size=count)) / count
        columns[field.name] = [float(low + (high + margin - low) * place) for place in places]
    return [Style(**{name: values[k] for name, values in columns.items()}) for k in range(count)]
