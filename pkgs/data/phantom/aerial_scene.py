"""What stands on one source tile seen from above: roads, buildings, bare lots and trees. No colours here.

Lengths are shares of the side of a patch, so that 64, 96, 128 and 256 px show the same tile; only masks and
images know pixels. The frame of the tile: origin in its middle, u along the main direction, v across.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pkgs.data.phantom.outlines import Outline

DENSITY: Final = (0.8, 5.0)
"""Buildings per area of one patch."""
LENGTH: Final = (0.10, 0.28)
SLENDER: Final = (0.5, 0.9)
"""Short side over long side."""
L_SHAPED: Final = 0.3
"""Share of buildings that are an L."""
SKEW: Final = math.radians(3)
"""How far a building may be off the main direction, or off its normal."""
GAP: Final = 0.025
"""Least distance between two buildings: more than the diagonal of a pixel at 64 px, so masks never touch."""
MARGIN: Final = 0.15
"""Buildings stand so far outside of the tile, too: its border cuts some."""
ROAD_WIDTH: Final = (0.07, 0.11)
LOTS: Final = (0.5, 1.0)
"""Distractors per building: bare ground of the shape and colours of a roof, without gable and shadow."""
TREES: Final = (3.0, 8.0)
"""Per area of one patch."""
TREE_RADIUS: Final = (0.025, 0.055)
AT_A_WALL: Final = 0.45
"""Share of trees that stand at a wall and cover a part of a roof."""
TRIES: Final = 40
CLUSTERED: Final = 1.6
"""How steeply building land turns into open land: empty patches come from it."""


@dataclass(frozen=True, slots=True)
class Building:
    """A rectangle, or an L: the same rectangle without one corner."""

    u: float
    v: float
    angle: float
    """Of the long side against the main direction, radians."""
    length: float
    width: float
    notch: tuple[float, float]
    """Length and width of the missing corner; (0, 0): a rectangle."""
    roof: int
    """Which of the colours."""
    height: float
    """Of the wall, as share of the longest shadow; a lot has 0."""

    def corners(self, *, grown: float = 0.0) -> Outline:
        """Return the corners (u, v) in the frame of the tile, `grown` further out on each side."""
        along, across = self.length / 2 + grown, self.width / 2 + grown
        if self.notch == (0.0, 0.0):
            local = [(-along, -across), (along, -across), (along, across), (-along, across)]
        else:
            a, b = along - self.notch[0], across - self.notch[1]
            local = [(-along, -across), (along, -across), (along, b), (a, b), (a, across), (-along, across)]
        return np.array([self.u, self.v]) + np.array(local) @ _turn(self.angle).T


@dataclass(frozen=True, slots=True)
class Tree:
    u: float
    v: float
    radius: float


@dataclass(frozen=True, slots=True)
class Scene:
    """One source tile."""

    extent: float
    """Side of the tile, in sides of a patch."""
    direction: float
    """Of the main direction against the rows, radians."""
    sun: float
    """Where shadows fall, radians in the picture."""
    roads: tuple[tuple[float, float], ...]
    """Middle (v) and width of each."""
    buildings: tuple[Building, ...]
    lots: tuple[Building, ...]
    trees: tuple[Tree, ...]

    def pixels(self, points: Outline, side_px: float) -> Outline:
        """Return corners in the frame as (x, y) in pixels."""
        return (points @ _turn(self.direction).T + self.extent / 2) * side_px


def draw_scene(rng: np.random.Generator, *, extent: float, density: float) -> Scene:
    """Draw a tile.

    Args:
        rng: Source of all draws.
        extent: Side of the tile, in sides of a patch.
        density: Buildings per area of one patch.
    """
    direction, sun = rng.uniform(0, math.pi), rng.uniform(0, 2 * math.pi)
    land = Land(rng, extent=extent, direction=direction)
    count = round(density * (extent + 2 * MARGIN) ** 2)
    buildings = [building for _ in range(count) if (building := land.build(draw_building(rng)))]
    lots = round(rng.uniform(*LOTS) * count)
    bare = [lot for _ in range(lots) if (lot := land.build(draw_building(rng, height=0.0)))]
    trees = _trees(rng, buildings, extent=extent)
    return Scene(extent, direction, sun, tuple(land.roads), tuple(buildings), tuple(bare), tuple(trees))


def draw_building(rng: np.random.Generator, *, height: float | None = None) -> Building:
    """Draw shape, direction and colour of a building in the middle of the tile."""
    length = rng.uniform(*LENGTH)
    width = length * rng.uniform(*SLENDER)
    cut = rng.uniform(0.35, 0.6, size=2)
    notch = (length * float(cut[0]), width * float(cut[1])) if rng.uniform() < L_SHAPED else (0.0, 0.0)
    angle = rng.integers(4) * math.pi / 2 + rng.uniform(-SKEW, SKEW)
    tall = rng.uniform(0.6, 1.0)
    roof = int(rng.integers(4))
    return Building(0.0, 0.0, angle, length, width, notch, roof, tall if height is None else height)


class Land:
    """What is taken on a tile. In the frame of the tile all is nearly upright: boxes suffice."""

    def __init__(self, rng: np.random.Generator, *, extent: float, direction: float) -> None:
        self._rng = rng
        self._reach = extent / 2 + MARGIN
        self._to_picture = _turn(direction)
        self._waves = rng.uniform(0.2, 0.45, size=3), rng.uniform(0, 2 * math.pi, size=3)
        self._boxes = np.empty((0, 4))
        half = extent / 2
        middles = rng.permutation(np.linspace(-0.7, 0.7, 3)) * half + rng.uniform(-0.25, 0.25, size=3) * half
        self.roads = [(float(v), float(rng.uniform(*ROAD_WIDTH))) for v in middles[: int(rng.integers(1, 4))]]

    def build(self, candidate: Building) -> Building | None:
        """Return `candidate` at a free place, or None where forty draws find no room."""
        for _ in range(TRIES):
            x, y = self._rng.uniform(-self._reach, self._reach, size=2)
            keep = self._rng.uniform()
            if keep > self._wanted(x, y):
                continue
            u, v = (np.array([x, y]) @ self._to_picture).tolist()
            placed = replace(candidate, u=u, v=v)
            if self._is_free(placed):
                return placed
        return None

    def _wanted(self, x: float, y: float) -> float:
        """Return how likely a place of the picture is built upon: smooth waves."""
        rates, phases = self._waves
        height = float(np.cos(2 * math.pi * rates * np.array([x, y, x + y]) + phases).mean())
        return min(max(0.5 - CLUSTERED * height, 0.0), 1.0)

    def _is_free(self, placed: Building) -> bool:
        corners = placed.corners(grown=GAP / 2)
        box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
        apart = (self._boxes[:, :2] >= box[2:]) | (self._boxes[:, 2:] <= box[:2])
        on_road = any(box[1] < v + width / 2 and box[3] > v - width / 2 for v, width in self.roads)
        if on_road or not bool(apart.any(axis=1).all()):
            return False
        self._boxes = np.vstack([self._boxes, box])
        return True


def _trees(rng: np.random.Generator, buildings: list[Building], *, extent: float) -> list[Tree]:
    trees = []
    for _ in range(round(rng.uniform(*TREES) * extent**2)):
        u, v = rng.uniform(-0.75, 0.75, size=2) * extent
        radius = rng.uniform(*TREE_RADIUS)
        at_wall, which, place = rng.uniform(), rng.integers(max(len(buildings), 1)), rng.uniform()
        if at_wall < AT_A_WALL and buildings:
            corners = buildings[which].corners()
            edge = int(place * 4)
            share = place * 4 - edge
            u, v = ((1 - share) * corners[edge] + share * corners[(edge + 1) % len(corners)]).tolist()
        trees.append(Tree(float(u), float(v), float(radius)))
    return trees


def _turn(angle: float) -> Outline:
    """Return the matrix that turns (x, y) from x to y."""
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
