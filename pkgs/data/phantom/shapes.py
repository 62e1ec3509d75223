"""Bodies of a synthetic scene, bent capsules and round distractors, as signed distances.

No grey values here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import final

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Body:
    """A capsule along a slightly bent axis; without a straight part it is a disc. Lengths in pixels."""

    y: float
    x: float
    width: float
    straight: float
    """Length of the axis between the two round ends."""
    angle: float
    """Of the long axis against the x axis, radians."""
    bend: float
    """Curvature of the axis, 1 / pixels."""
    stripe_phase: float = 0.0

    def moved(self, dy: float, dx: float, *, turn: float, swell: float) -> Body:
        """Return the body after a drift, a turn (radians) and a change of width and length (factor)."""
        return replace(
            self,
            y=self.y + dy,
            x=self.x + dx,
            width=self.width * swell,
            straight=self.straight / swell,
            angle=self.angle + turn,
        )

    def along(self, shape: tuple[int, int]) -> tuple[Plane, Plane]:
        """Return each pixel's position along the axis and off it."""
        rows, columns = _pixels(shape)
        down, right = rows - self.y, columns - self.x
        along = right * math.cos(self.angle) + down * math.sin(self.angle)
        off = down * math.cos(self.angle) - right * math.sin(self.angle)
        return along, off - self.bend * along**2 / 2

    def distance(self, shape: tuple[int, int]) -> Plane:
        """Return each pixel's distance from the outline, negative inside."""
        along, off = self.along(shape)
        beyond = np.maximum(np.abs(along) - self.straight / 2, 0)
        return np.hypot(beyond, off) - self.width / 2


@final
class Ground:
    """What is taken on a canvas: each body with half the gap around it, remembered and not drawn again."""

    def __init__(self, shape: tuple[int, int], *, gap_px: float) -> None:
        self.shape = shape
        self.gap_px = gap_px
        self.bodies: list[Body] = []
        self._taken = np.zeros(shape, dtype=np.bool_)

    def place(self, candidate: Body) -> bool:
        """Take up `candidate` unless it comes closer than the gap to another body; say whether it did."""
        near = candidate.distance(self.shape) < self.gap_px / 2
        if bool((near & self._taken).any()):
            return False
        self.bodies.append(candidate)
        self._taken |= near
        return True


@lru_cache(maxsize=4)
def _pixels(shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    return rows, columns
