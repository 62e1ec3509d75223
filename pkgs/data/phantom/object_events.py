"""Label noise of known truth: what befalls the outlines of buildings before a tile is cut into patches.

Acts on the polygons of a tile, so that overlapping patches agree. Lengths in sides of a patch. No pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

import numpy as np
from pydantic import Field, model_validator

from pkgs.data.phantom.aerial_scene import Building, Scene, draw_building
from pkgs.data.phantom.outlines import Outline, moved, scaled, snapped, turned
from pkgs.foundation.config import Section
from pkgs.foundation.seeds import Purpose, derive

OPERATIONS: Final = ("rotate", "shift", "drop", "resize", "add")
TURN: Final = (math.radians(20), math.radians(90))
STEP: Final = (0.02, 0.08)
DILATE: Final = (1.2, 1.5)
SHRINK: Final = (0.55, 0.8)
NEARBY: Final = (0.15, 0.40)
"""Distance of a phantom's middle from its building's."""
CLEARANCE: Final = 0.01
"""Least distance between a phantom and a building."""
TRIES: Final = 40
DRAWS: Final = 5
"""Numbers that each building has, hit or not: other rates and shares leave the rest of the noise as it is."""


class Shares(Section):
    """How often each operation is what a hit does; they sum to 1."""

    rotate: float = Field(default=0.30, ge=0, le=1)
    """Turned by 20 to 90 degrees about its centre, either way."""
    shift: float = Field(default=0.25, ge=0, le=1)
    """Moved by .02 to .08 of a side, anywhere."""
    drop: float = Field(default=0.25, ge=0, le=1)
    """Not labelled."""
    resize: float = Field(default=0.10, ge=0, le=1)
    """Lengths times 1.2 to 1.5, or .55 to .8."""
    add: float = Field(default=0.10, ge=0, le=1)
    """A building that is not there, near this one, which stays."""

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = sum(getattr(self, name) for name in OPERATIONS)
        if abs(total - 1) > 1e-9:
            told = ", ".join(f"{name} {getattr(self, name):g}" for name in OPERATIONS)
            raise ValueError(f"the shares of the operations must sum to 1, got {total:g} ({told})")
        return self


class NoiseConfig(Section):
    """How wrong the labels are."""

    noise_rate: float = Field(default=0.35, ge=0, le=1)
    """Mean share of buildings that are hit; 0: clean labels. At .35 a cell that is not clean has a rate
    uniform in 0-1; lower means make the range end lower, higher ones make it begin higher."""

    clean_cells: float = Field(default=0.3, ge=0, lt=1)
    """Share of cells (one side of a patch wide) whose buildings are never hit."""

    shares: Shares = Shares()

    tile_shift: float = Field(default=0.0, ge=0, le=0.5)
    """All labels of all tiles are moved by this, in one direction that the seed draws: noise that is the same
    everywhere. In sides of a patch."""

    @model_validator(mode="after")
    def _rate_is_reached(self) -> Self:
        if self.noise_rate > 1 - self.clean_cells + 1e-9:
            raise ValueError(
                f"noise_rate {self.noise_rate:g} cannot be reached while clean_cells is "
                f"{self.clean_cells:g}; lower clean_cells to at most {1 - self.noise_rate:g}"
            )
        return self

    def rates(self) -> tuple[float, float]:
        """Return the range of the rate of a cell that is not clean."""
        mean = self.noise_rate / (1 - self.clean_cells)
        return max(0.0, 2 * mean - 1), min(1.0, 2 * mean)


@dataclass(frozen=True)
class Target:
    """A building, and the draws that decide about it."""

    building: Building
    clean: Outline
    draws: tuple[float, ...]
    """Whether, what, how much, which way, where to: five of [0, 1)."""
    phantom_seed: int


@dataclass(frozen=True)
class Event:
    """One hit. Outlines in pixels of the tile; one that is not there has no corners."""

    operation: str
    parameters: Mapping[str, float]
    clean: Outline
    noisy: Outline


@dataclass(frozen=True)
class Labels:
    """All outlines of a tile."""

    clean: list[Outline]
    noisy: list[Outline]
    events: list[Event] = field(default_factory=list)


def draw_labels(scene: Scene, config: NoiseConfig, *, seed: int, key: str, side_px: int) -> Labels:
    """Return clean and noisy outlines of `scene`, and what happened.

    Each cell of one patch side has a rate; a building is hit with the rate of the cell of its middle.

    Args:
        scene: The tile.
        config: How wrong.
        seed: Of the set.
        key: The tile's name: tiles have draws of their own.
        side_px: Side of a patch.
    """
    rng = np.random.default_rng(derive(seed, Purpose.DATA, key, "noise"))
    cells = math.ceil(scene.extent)
    is_clean = rng.uniform(size=(cells, cells)) < config.clean_cells
    low, high = config.rates()
    rates = np.where(is_clean, 0.0, low + (high - low) * rng.uniform(size=(cells, cells)))
    draws = rng.uniform(size=(len(scene.buildings), DRAWS))
    step = _common_step(config, seed=seed)
    labels = Labels([], [])
    for number, building in enumerate(scene.buildings):
        target = Target(
            building,
            clean=_outline(scene, building, side_px),
            draws=tuple(draws[number].tolist()),
            phantom_seed=derive(seed, Purpose.DATA, key, "phantom", number),
        )
        x, y = scene.pixels(np.array([[building.u, building.v]]), 1)[0]
        column, row = (min(max(int(place), 0), cells - 1) for place in (x, y))
        event = None
        if target.draws[0] < rates[row, column]:
            event = _hit(target, shares=config.shares, scene=scene, side_px=side_px)
        _note(labels, event, clean=target.clean, step=step, side_px=side_px)
    return labels


def _note(
    labels: Labels, event: Event | None, *, clean: Outline, step: tuple[float, float], side_px: int
) -> None:
    """Add what is labelled now; the shift of all labels comes last and is an event where nothing else was."""
    labels.clean.append(clean)
    by = (step[0] * side_px, step[1] * side_px)
    if event is None or event.operation == "add":
        kept = snapped(moved(clean, *by))
        labels.noisy.append(kept)
        if step != (0.0, 0.0):
            labels.events.append(Event("shift", {"dx": step[0], "dy": step[1], "all": 1}, clean, kept))
    if event is not None:
        noisy = snapped(moved(event.noisy, *by)) if len(event.noisy) else event.noisy
        labels.events.append(Event(event.operation, event.parameters, event.clean, noisy))
        if len(noisy):
            labels.noisy.append(noisy)


def _common_step(config: NoiseConfig, *, seed: int) -> tuple[float, float]:
    if config.tile_shift == 0:
        return 0.0, 0.0
    angle = np.random.default_rng(derive(seed, Purpose.DATA, "tile_shift")).uniform(0, 2 * math.pi)
    return config.tile_shift * math.cos(angle), config.tile_shift * math.sin(angle)


def _hit(target: Target, *, shares: Shares, scene: Scene, side_px: int) -> Event | None:
    """Return what a hit does to a building; None where a phantom finds no room."""
    clean, (_, which, amount, sign, place) = target.clean, target.draws
    operation = _chosen(which, shares)
    if operation == "add":
        return _phantom(target, scene, side_px=side_px)
    if operation == "drop":
        return Event("drop", {}, clean, np.empty((0, 2)))
    if operation == "rotate":
        angle = math.copysign(_between(TURN, amount), sign - 0.5)
        told, noisy = {"degrees": round(math.degrees(angle), 3)}, turned(clean, angle)
    elif operation == "resize":
        factor = _between(DILATE if sign < 0.5 else SHRINK, amount)
        told, noisy = {"factor": round(factor, 4)}, scaled(clean, factor)
    else:
        length, angle = _between(STEP, amount), 2 * math.pi * place
        dx, dy = length * math.cos(angle), length * math.sin(angle)
        told, noisy = {"dx": round(dx, 5), "dy": round(dy, 5)}, moved(clean, dx * side_px, dy * side_px)
    return Event(operation, told, clean, snapped(noisy))


def _phantom(target: Target, scene: Scene, *, side_px: int) -> Event | None:
    """Return a building that is not there, apart from all that are."""
    rng, building = np.random.default_rng(target.phantom_seed), target.building
    for _ in range(TRIES):
        distance, angle = rng.uniform(*NEARBY), rng.uniform(0, 2 * math.pi)
        u, v = building.u + distance * math.cos(angle), building.v + distance * math.sin(angle)
        phantom = replace(draw_building(rng), u=u, v=v)
        if _is_apart(phantom, scene.buildings):
            outline = _outline(scene, phantom, side_px)
            return Event("add", {"distance": round(distance, 5)}, np.empty((0, 2)), outline)
    return None


def _is_apart(phantom: Building, buildings: Sequence[Building]) -> bool:
    """Say whether the boxes in the frame of the tile, where all stand nearly upright, leave a gap."""
    corners = phantom.corners(grown=CLEARANCE)
    low, high = corners.min(axis=0), corners.max(axis=0)
    for other in buildings:
        theirs = other.corners()
        if bool((theirs.max(axis=0) > low).all() and (theirs.min(axis=0) < high).all()):
            return False
    return True


def _chosen(which: float, shares: Shares) -> str:
    total = 0.0
    for name in OPERATIONS:
        total += getattr(shares, name)
        if which < total:
            return name
    return OPERATIONS[-1]  # rounding of the sum


def _between(span: tuple[float, float], share: float) -> float:
    return span[0] + (span[1] - span[0]) * share


def _outline(scene: Scene, building: Building, side_px: int) -> Outline:
    return snapped(scene.pixels(building.corners(), side_px))
