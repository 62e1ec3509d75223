"""One synthetic scene, seen in four consecutive slices that drift and deform slightly.

A trained network beats any threshold here: distractors are as dark as mitochondria, but round and without
stripes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pkgs.data.phantom.shapes import Body, Ground, Plane
from pkgs.data.phantom.style import Style

SLICES: Final = 4
EMPTY_EVERY: Final = 5
"""One scene in five holds no mitochondrion: 20 % of the patches."""
BORDER_LOSS: Final = 1.15
"""More are drawn than shall be seen: some drift out of the frame, some find no room."""
MARGIN: Final = 0.16
"""Border around the first slice, share of the side: room for the drift."""
GAP: Final = 0.03
"""Between two bodies, share of the canvas."""
STRIPE_PERIOD_FLOOR_PX: Final = 2.5
"""Below two pixels stripes alias into a flat grey; matters at 64 px only."""
TURN_PER_SLICE: Final = 0.12
"""How fast background fields change from slice to slice, radians in the plane of two fields."""


@dataclass(frozen=True, slots=True)
class Patch:
    """One slice: grey values in [0, 1] and instance numbers, 0 is background."""

    grey: Plane
    labels: NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that the four slices share. Lengths in pixels, positions on the canvas."""

    style: Style
    side: int
    canvas: tuple[int, int]
    mitochondria: list[Body]
    distractors: list[Body]
    vesicles: list[Body]
    coarse: tuple[Plane, Plane]
    fine: tuple[Plane, Plane]
    membranes: list[tuple[Plane, Plane]]
    drift: tuple[float, float]
    """Pixels per slice, down and right."""
    light_angle: float


def draw_scene(rng: np.random.Generator, style: Style, *, shape: tuple[int, int], empty: bool) -> Scene:
    """Draw what is in a scene whose slices have `shape` (rows, columns); the rows are the side."""
    side = shape[0]
    margin = math.ceil(MARGIN * side)
    canvas = (shape[0] + 2 * margin, shape[1] + 2 * margin)
    gap_px = GAP * canvas[0]
    ground, clear = Ground(canvas, gap_px=gap_px), Ground(canvas, gap_px=gap_px)
    mean = style.objects * BORDER_LOSS * EMPTY_EVERY / (EMPTY_EVERY - 1)
    count = 0 if empty else 1 + int(rng.poisson(mean - 1))
    for number in range(count):
        # the first lies well inside, so that it is seen in all four slices
        _try_to_place(ground, partial(_capsule, rng, style, shape=shape, inset=-0.01 if number else 0.22))
    mitochondria = list(ground.bodies)
    for _ in range(1 + int(rng.poisson(1.1 * style.objects))):
        _try_to_place(ground, partial(_disc, rng, (1.2 * style.width, 2.0 * style.width), shape=shape))
    for _ in range(int(rng.integers(4, 13))):
        _try_to_place(clear, partial(_disc, rng, (0.02, 0.035), shape=shape))
    speed, heading = rng.uniform(0.015, 0.04) * side, rng.uniform(0, 2 * math.pi)
    return Scene(
        style=style,
        side=side,
        canvas=canvas,
        mitochondria=mitochondria,
        distractors=ground.bodies[len(mitochondria) :],
        vesicles=clear.bodies,
        coarse=(_field(rng, canvas, 0.12 * side), _field(rng, canvas, 0.12 * side)),
        fine=(_field(rng, canvas, 0.03 * side), _field(rng, canvas, 0.03 * side)),
        membranes=[
            (_field(rng, canvas, scale * side), _field(rng, canvas, scale * side)) for scale in (0.10, 0.14)
        ],
        drift=(speed * math.sin(heading), speed * math.cos(heading)),
        light_angle=rng.uniform(0, 2 * math.pi),
    )


def _try_to_place(ground: Ground, draw: Callable[[], Body]) -> None:
    """Place one more body; where 40 draws find no room, the scene stays with fewer."""
    for _ in range(40):
        if ground.place(draw()):
            return


def _capsule(rng: np.random.Generator, style: Style, *, shape: tuple[int, int], inset: float) -> Body:
    y, x = _position(rng, shape, inset)
    width = style.width * shape[0] * rng.uniform(0.9, 1.1)
    return Body(
        y=y,
        x=x,
        width=width,
        straight=width * style.elongation * rng.uniform(0.85, 1.15),
        angle=rng.uniform(0, math.pi),
        bend=rng.uniform(-1, 1) / (3 * width),  # a bend radius of at least three widths
        stripe_phase=rng.uniform(0, 2 * math.pi),
    )


def _disc(rng: np.random.Generator, widths: tuple[float, float], *, shape: tuple[int, int]) -> Body:
    y, x = _position(rng, shape, -0.01)
    return Body(y=y, x=x, width=rng.uniform(*widths) * shape[0], straight=0.0, angle=0.0, bend=0.0)


def _position(rng: np.random.Generator, shape: tuple[int, int], inset: float) -> tuple[float, float]:
    """Return a place on the canvas, `inset` (share of the side) inside the first slice."""
    margin = math.ceil(MARGIN * shape[0])
    y, x = (margin + rng.uniform(inset, 1 - inset) * length for length in shape)
    return y, x


def draw_slices(rng: np.random.Generator, scene: Scene) -> list[Patch]:
    """Render the four slices of a scene."""
    rates = rng.normal(0, (0.03, 0.02), size=(len(scene.mitochondria), 2))
    return [_render(rng, scene, number, rates) for number in range(SLICES)]


def _render(rng: np.random.Generator, scene: Scene, number: int, rates: Plane) -> Patch:
    style, canvas = scene.style, scene.canvas
    dy, dx = (-number * step for step in scene.drift)
    mitochondria = [
        body.moved(dy, dx, turn=number * turn, swell=math.exp(number * swell))
        for body, (turn, swell) in zip(scene.mitochondria, rates, strict=True)
    ]
    grey = _background(scene, number)
    for vesicle in scene.vesicles:
        distance = vesicle.moved(dy, dx, turn=0, swell=1).distance(canvas)
        grey += 0.04 * _inside(distance) - 0.8 * style.contrast * np.exp(-((distance / 0.7) ** 2))
    for body in scene.distractors:
        moved = body.moved(dy, dx, turn=0, swell=1)
        _paint(grey, style, moved.distance(canvas), stripes=0.4 * style.cristae_depth)
    labels = np.zeros(canvas, dtype=np.uint16)
    for instance, body in enumerate(mitochondria, start=1):
        distance = body.distance(canvas)
        period = max(style.cristae_period * scene.side, STRIPE_PERIOD_FLOOR_PX)
        wave = 0.5 + 0.5 * np.cos(2 * math.pi * body.along(canvas)[0] / period + body.stripe_phase)
        _paint(grey, style, distance, stripes=style.cristae_depth * wave)
        labels[(distance <= 0) & (labels == 0)] = instance
    margin = math.ceil(MARGIN * scene.side)
    cut = (slice(margin, canvas[0] - margin), slice(margin, canvas[1] - margin))
    return Patch(grey=_image(rng, scene, grey[cut]), labels=labels[cut])


def _background(scene: Scene, number: int) -> Plane:
    turn = number * TURN_PER_SLICE
    move = (round(-number * scene.drift[0]), round(-number * scene.drift[1]))

    def seen(pair: tuple[Plane, Plane]) -> Plane:
        return np.roll(math.cos(turn) * pair[0] + math.sin(turn) * pair[1], move, axis=(0, 1))

    style = scene.style
    grey = style.background + 0.025 * seen(scene.coarse) + 0.02 * seen(scene.fine)
    for pair in scene.membranes:
        field = seen(pair)
        slope = np.hypot(*np.gradient(field)) + 1e-3
        width = max(0.009 * scene.side, 0.7)
        grey -= 0.6 * style.contrast * np.exp(-((field / slope / width) ** 2))
    return grey


def _paint(grey: Plane, style: Style, distance: Plane, *, stripes: Plane | float) -> None:
    """Lay a dark body over `grey`: matrix, darker stripes, darkest outline."""
    cover = _inside(distance)
    body = style.background - style.contrast - np.where(distance < -0.8, stripes, 0.0)
    body = body - 0.85 * style.contrast * np.exp(-(((distance + 0.6) / 0.7) ** 2))
    grey *= 1 - cover
    grey += cover * body


def _image(rng: np.random.Generator, scene: Scene, grey: Plane) -> Plane:
    """Light, optics and noise, then brightness and contrast of this one exposure."""
    style = scene.style
    rows, columns = np.mgrid[-0.5 : 0.5 : grey.shape[0] * 1j, -0.5 : 0.5 : grey.shape[1] * 1j]
    light = style.illumination * (rows * math.sin(scene.light_angle) + columns * math.cos(scene.light_angle))
    seen = gaussian_filter(grey + light, style.blur_px) + rng.normal(0, style.noise, size=grey.shape)
    mean = seen.mean()
    exposed: Plane = (seen - mean) * rng.uniform(0.9, 1.1) + mean + rng.uniform(-0.08, 0.08)
    return np.clip(exposed, 0, 1)


def _inside(distance: Plane) -> Plane:
    inside: Plane = 1 / (1 + np.exp(np.clip(distance / 0.35, -40, 40)))
    return inside


def _field(rng: np.random.Generator, shape: tuple[int, int], scale_px: float) -> Plane:
    """Return smooth noise with mean 0 and standard deviation 1; wraps around, as np.roll needs."""
    field = gaussian_filter(rng.normal(size=shape), scale_px, mode="wrap")
    smooth: Plane = (field - field.mean()) / field.std()
    return smooth
