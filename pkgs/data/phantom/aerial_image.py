"""The picture of a source tile: ground, roads, bare lots, gable roofs with shadows, trees, optics and noise.

Drawn at twice the resolution and averaged, so that edges are smooth while masks stay hard. No labels here.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from pkgs.data.phantom.aerial_looks import Colour, Look
from pkgs.data.phantom.aerial_scene import Building, Scene, Tree
from pkgs.data.phantom.outlines import Mask, box_of, inside

Plane = NDArray[np.float32]
Picture = NDArray[np.float32]
"""[rows, columns, R G B]."""

FINER: Final = 2
"""Drawn pixels per pixel, along each axis."""
BLUR_PX: Final = 0.6
NOISE: Final = 0.02
SHADOW: Final = 0.04
"""Length of the longest, in sides of a patch."""
SHADE: Final = 0.6
"""How much light is left in a shadow."""
GABLE: Final = (0.06, 0.07)
"""Least difference of a roof's half from the roof's colour, and what the sun's direction adds."""
SPLINE_SPREAD: Final = 151 / 315
"""Standard deviation of a cubic B-spline surface over independent nodes of variance 1 (mean over places)."""


def draw_image(
    rng: np.random.Generator, scene: Scene, look: Look, *, side_px: int, tile_px: int
) -> NDArray[np.uint8]:
    """Return the tile as uint8 [rows, columns, 3] in the order R, G, B.

    Args:
        rng: Source of colours, textures and noise.
        scene: What is there.
        look: Of the set.
        side_px: Side of a patch.
        tile_px: Side of the tile, at most `extent` times as many.
    """
    whole = tile_px * FINER
    paint = Painter(scene, side_px * FINER, whole)
    picture = _ground(rng, scene, look, whole)
    lightness = rng.uniform(0.88, 1.12, size=len(scene.buildings) + len(scene.lots))
    for v, width in scene.roads:
        paint.road(picture, v=v, width=width, colour=look.road)
    for lot, light in zip(scene.lots, lightness[len(scene.buildings) :], strict=True):
        paint.lot(picture, lot, colour=look.roofs[lot.roof], light=light)
    picture *= np.where(paint.shadows(), SHADE, 1.0).astype(np.float32)[..., None]
    for building, light in zip(scene.buildings, lightness, strict=False):
        paint.roof(picture, building, colour=look.roofs[building.roof], light=light)
    leaves = _field(rng, scene.extent, 0.02, whole)
    for tree in scene.trees:
        paint.tree(picture, tree, colour=look.tree, leaves=leaves)
    return _exposed(rng, picture, look)


def _ground(rng: np.random.Generator, scene: Scene, look: Look, whole: int) -> Picture:
    mix = rng.uniform(0.3, 0.6) + 0.25 * _field(rng, scene.extent, 0.6, whole)
    mix = np.clip(mix + 0.12 * _field(rng, scene.extent, 0.12, whole), 0, 1)[..., None]
    grain = 1 + 0.10 * _field(rng, scene.extent, 0.025, whole)[..., None]
    grass, soil = (np.array(colour, np.float32) for colour in (look.grass, look.soil))
    ground: Picture = (grass + mix * (soil - grass)) * grain
    return ground


class Painter:
    """Paints what stands in a scene; lengths in drawn pixels."""

    def __init__(self, scene: Scene, side: int, whole: int) -> None:
        self.scene = scene
        self.side = side
        self.shape = (whole, whole)

    def road(self, picture: Picture, *, v: float, width: float, colour: Colour) -> None:
        reach = self.scene.extent
        ends = np.array([(-reach, -1), (reach, -1), (reach, 1), (-reach, 1)]) * (1, width / 2) + (0, v)
        box, held = self._held(ends)
        picture[box][held] = 0.25 * picture[box][held] + 0.75 * np.array(colour, np.float32)

    def lot(self, picture: Picture, lot: Building, *, colour: Colour, light: float) -> None:
        box, held = self._held(lot.corners())
        bare = np.array(colour, np.float32) * np.float32(light)
        picture[box][held] = 0.2 * picture[box][held] + 0.8 * bare

    def shadows(self) -> Mask:
        """Return where the sun does not reach the ground."""
        dark = np.zeros(self.shape, np.bool_)
        for building in self.scene.buildings:
            corners = self.scene.pixels(building.corners(), self.side)
            reach = SHADOW * self.side * building.height
            for step in np.arange(1, math.ceil(reach) + 1) * (reach / math.ceil(reach)):
                cast = corners + step * np.array([math.cos(self.scene.sun), math.sin(self.scene.sun)])
                box = box_of(cast, self.shape)
                dark[box] |= inside(cast, box)
        return dark

    def roof(self, picture: Picture, building: Building, *, colour: Colour, light: float) -> None:
        """Paint the two halves of each wing in two tones, the brighter one where the sun stands."""
        box, held = self._held(building.corners())
        along, across = self._local(building, box)
        tone = np.where(across > 0, self._tone(building, 0.5), self._tone(building, -0.5))
        if building.notch != (0.0, 0.0):
            edge = building.width / 2 - building.notch[1]
            main = (edge - building.width / 2) / 2
            tone = np.where(across > main, self._tone(building, 0.5), self._tone(building, -0.5))
            wing = np.where(
                along > -building.notch[0] / 2, self._tone(building, 0.0), self._tone(building, 1.0)
            )
            tone = np.where(across > edge, wing, tone)
        tiles = np.array(colour, np.float32) * np.float32(light)
        picture[box][held] = tone[held][:, None].astype(np.float32) * tiles

    def tree(self, picture: Picture, tree: Tree, *, colour: Colour, leaves: Plane) -> None:
        (x, y), radius = (
            self.scene.pixels(np.array([[tree.u, tree.v]]), self.side)[0],
            tree.radius * self.side,
        )
        fall = np.array([math.cos(self.scene.sun), math.sin(self.scene.sun)]) * 0.5 * radius
        frame = np.array([(x - 2 * radius, y - 2 * radius), (x + 2 * radius, y + 2 * radius)])
        box = box_of(frame, self.shape)
        rows, columns = (np.arange(part.start, part.stop) + 0.5 for part in box)
        if not (len(rows) and len(columns)):
            return
        rim = radius * (1 + 0.15 * leaves[box])
        held = np.hypot(rows[:, None] - y, columns[None, :] - x) < rim
        dark = np.hypot(rows[:, None] - y - fall[1], columns[None, :] - x - fall[0]) < rim
        picture[box][dark & ~held] *= 0.65
        bright = 1 - 0.25 * ((rows[:, None] - y) * fall[1] + (columns[None, :] - x) * fall[0]) / radius**2
        crown = (bright * (1 + 0.18 * leaves[box])).astype(np.float32)[..., None]
        picture[box][held] = (crown * np.array(colour, np.float32))[held]

    def _held(self, corners: NDArray[np.float64]) -> tuple[tuple[slice, slice], Mask]:
        outline = self.scene.pixels(corners, self.side)
        box = box_of(outline, self.shape)
        return box, inside(outline, box)

    def _local(
        self, building: Building, box: tuple[slice, slice]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return each pixel's place along and across the long side, from the middle of the building."""
        x, y = self.scene.pixels(np.array([[building.u, building.v]]), self.side)[0]
        rows, columns = (np.arange(part.start, part.stop) + 0.5 for part in box)
        down, right = (rows[:, None] - y) / self.side, (columns[None, :] - x) / self.side
        angle = self.scene.direction + building.angle
        return (
            right * math.cos(angle) + down * math.sin(angle),
            down * math.cos(angle) - right * math.sin(angle),
        )

    def _tone(self, building: Building, half_turns: float) -> float:
        """Return the light on a slope that faces `half_turns` x 180 degrees from the long side."""
        facing = self.scene.direction + building.angle + half_turns * math.pi
        lit = -math.cos(facing - self.scene.sun)
        return 1 + math.copysign(GABLE[0], lit) + GABLE[1] * lit


def _field(rng: np.random.Generator, extent: float, spacing: float, pixels: int) -> Plane:
    """Return a smooth surface [pixels, pixels] of mean 0 and standard deviation 1: the same at any size.

    A cubic B-spline over random nodes `spacing` apart. Four weighted sums per axis instead of a matrix
    product, whose last bits depend on the number of threads.
    """
    count = math.ceil(extent / spacing) + 4
    surface: NDArray[np.floating] = rng.normal(0, 1 / SPLINE_SPREAD, size=(count, count))
    at = (np.arange(pixels) + 0.5) * (extent / spacing / pixels)
    first = at.astype(np.int64)
    t = at - first
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for _ in range(2):
        parts = [surface[first + tap] * (weight / 6)[:, None] for tap, weight in enumerate(weights)]
        surface = (parts[0] + parts[1] + (parts[2] + parts[3])).T
    return np.ascontiguousarray(surface, dtype=np.float32)


def _exposed(rng: np.random.Generator, picture: Picture, look: Look) -> NDArray[np.uint8]:
    """Light and haze, optics, noise, eight bits."""
    rows, columns = picture.shape[0] // FINER, picture.shape[1] // FINER
    seen = picture.reshape(rows, FINER, columns, FINER, 3).mean(axis=(1, 3))
    seen = (seen - 0.4) * look.contrast + 0.4 + look.brightness
    for axis in (0, 1):
        seen = gaussian_filter1d(seen, BLUR_PX, axis=axis)
    seen = seen + rng.normal(0, NOISE, size=seen.shape)
    codes: NDArray[np.uint8] = np.round(np.clip(seen, 0, 1) * 255).astype(np.uint8)
    return codes
