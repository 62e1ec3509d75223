"""The colours of a synthetic aerial set: its palette, contrast and light. Sets differ in them on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Colour = tuple[float, float, float]
"""Red, green, blue in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Look:
    """What all tiles of a set have in common."""

    grass: Colour
    soil: Colour
    """The two ends of the ground's smooth variation."""
    road: Colour
    roofs: tuple[Colour, Colour, Colour, Colour]
    tree: Colour
    contrast: float
    """Factor about the middle grey."""
    brightness: float
    """Added to all channels."""


LOOKS: Final = {
    "datacentric": Look(
        grass=(0.19, 0.34, 0.22),
        soil=(0.38, 0.42, 0.33),
        road=(0.40, 0.42, 0.41),
        roofs=((0.47, 0.36, 0.30), (0.45, 0.46, 0.47), (0.53, 0.50, 0.42), (0.32, 0.35, 0.39)),
        tree=(0.11, 0.24, 0.12),
        contrast=1.3,
        brightness=0.0,
    ),
    "whu": Look(
        grass=(0.33, 0.40, 0.24),
        soil=(0.55, 0.49, 0.36),
        road=(0.50, 0.48, 0.46),
        roofs=((0.63, 0.43, 0.34), (0.57, 0.58, 0.58), (0.71, 0.65, 0.53), (0.41, 0.43, 0.47)),
        tree=(0.17, 0.28, 0.12),
        contrast=1.4,
        brightness=0.04,
    ),
    "alabama": Look(
        grass=(0.30, 0.33, 0.30),
        soil=(0.43, 0.40, 0.38),
        road=(0.45, 0.45, 0.46),
        roofs=((0.47, 0.39, 0.37), (0.50, 0.50, 0.52), (0.57, 0.55, 0.51), (0.35, 0.36, 0.39)),
        tree=(0.20, 0.25, 0.20),
        contrast=1.1,
        brightness=-0.02,
    ),
}
"""Green and even; bright, warm and hard; flat and hazy."""
