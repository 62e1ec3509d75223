"""Balanced patches of volumes: which case, where and in which direction, as a function of seed and draw.

A draw picks a class by its ratio, a case that has it, a voxel of it, and an offset that keeps the voxel
inside the labelled area. Nothing is tried and rejected, so nothing can hang. Cuts nothing: see `cutting`.
"""

# ruff: noqa: N815 - arrays end in their axes, fields too
from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from pkgs.data.class_index import ClassIndex, Window
from pkgs.data.draws import uniforms
from pkgs.data.items import DataError
from pkgs.foundation.config import Section
from pkgs.foundation.seeds import Purpose

log = logging.getLogger(__name__)
Numbers = NDArray[np.int64]
WHOLE: Final = -1
"""`axis` of a patch that is a volume."""


class PatchConfig(Section):
    """Which patches a volume network trains on."""

    labelled: tuple[int, ...] = Field(min_length=2, max_length=3)
    """Sides of the labelled area in voxels: two for slices, three for volumes. Context comes on top."""

    place: Literal["entire-sample-area", "patch-center-voxel"] = "entire-sample-area"
    """The drawn voxel lies anywhere in the labelled area, or in its centre."""

    balance_ratios: tuple[float, ...] = ()
    """One weight per class, background first. Empty: 5,5 for two classes, 5,3,2 for three, else equal."""

    orientations: tuple[int, ...] = (0, 1, 2)
    """Array axes across which slices are cut, drawn evenly; of no meaning for volumes."""

    background_full_fraction: float = Field(default=0.0, ge=0, le=1)
    """Share of the background draws that hold no foreground at all; the others may lie anywhere."""

    @field_validator("place", mode="before")
    @classmethod
    def _dashes(cls, value: object) -> object:
        return value.replace("_", "-") if isinstance(value, str) else value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if min(self.labelled) < 1:
            raise ValueError(f"labelled {self.labelled}: expected sides of at least 1 voxel")
        axes = self.orientations
        if not axes or len(set(axes)) < len(axes) or not set(axes) <= {0, 1, 2}:
            raise ValueError(f"orientations {axes}: expected some of the array axes 0, 1, 2")
        return self

    @property
    def axes(self) -> tuple[int, ...]:
        """Directions that are drawn from: the orientations of slices, or `WHOLE`."""
        return self.orientations if len(self.labelled) == 2 else (WHOLE,)

    def window(self, axis: int) -> Window:
        """Return the labelled area in voxels of the volume: one thick across a slice."""
        sides = list(self.labelled)
        if axis != WHOLE:
            sides.insert(axis, 1)
        return sides[0], sides[1], sides[2]

    @property
    def pure_windows(self) -> tuple[Window, ...]:
        """What `build_index` must look for."""
        return tuple(self.window(a) for a in self.axes) if self.background_full_fraction > 0 else ()

    def ratios(self, classes: int) -> tuple[float, ...]:
        """Return one weight per class.

        Raises:
            ValueError: If there are not as many as classes, or nothing to draw.
        """
        usual = {2: (5.0, 5.0), 3: (5.0, 3.0, 2.0)}
        ratios = self.balance_ratios or usual.get(classes, (1.0,) * classes)
        if len(ratios) != classes or min(ratios) < 0 or sum(ratios) <= 0:
            raise ValueError(
                f"balance_ratios {list(ratios)}: expected {classes} weights of at least 0, one per class, "
                "and one of them above 0."
            )
        return ratios


@dataclass(frozen=True, slots=True)
class PatchKeys:
    """What a range of draws shall see, one entry per draw. Nothing is decoded for it."""

    case_B: Numbers
    """Position in the index, and so in the cache."""
    start_B3: Numbers
    """First voxel of the labelled area; may lie outside the volume where the area is larger or centred."""
    window_B3: Numbers
    """The labelled area in voxels."""
    axis_B: Numbers
    """Array axis across which the slice is cut, or `WHOLE`."""
    class_B: Numbers
    """The class that was drawn."""

    def __len__(self) -> int:
        return len(self.case_B)

    @property
    def centre_B3(self) -> Numbers:  # noqa: N802 - the letters are its axes
        return self.start_B3 + self.window_B3 // 2


@dataclass(frozen=True)
class PatchSampler:
    """Keys of patches as a pure function of `(seed, range of draws)`.

    Raises:
        DataError: If a class with a ratio above 0 is in no case, or pure background is wanted and nowhere.
        ValueError: If the ratios do not fit the classes.
    """

    index: ClassIndex
    config: PatchConfig
    seed: int
    cases: tuple[int, ...]
    """Positions in the index of the cases that may be drawn: those of the part that trains."""

    def __post_init__(self) -> None:
        if not self.cases:
            raise DataError(f"{self.index.folder}: no case to draw patches from. Is the training part empty?")
        ratios = self.config.ratios(len(self.index.classes))
        for number, (name, ratio) in enumerate(zip(self.index.classes, ratios, strict=True)):
            if ratio > 0 and not len(self._eligible[number]):
                raise DataError(
                    f"{self.index.folder}: class {number} ({name}) is in none of the {len(self.cases)} cases "
                    f"and its ratio is {ratio:g}. Set it to 0, or train on cases that have the class."
                )
        for axis in self.config.axes if self.config.background_full_fraction > 0 and ratios[0] > 0 else ():
            if not len(self._eligible[self.index.pure_slot(self.config.window(axis))]):
                raise DataError(
                    f"{self.index.folder}: no case has {self.config.window(axis)} voxels of pure background. "
                    "Use smaller patches, or background_full_fraction 0."
                )

    @cached_property
    def _eligible(self) -> list[Numbers]:
        """Per slot the cases that have it; background, wherever it is, every case has."""
        cases = np.array(self.cases, dtype=np.int64)
        have = self.index.stored[cases] > 0
        have[:, 0] = True
        return [cases[have[:, slot]] for slot in range(have.shape[1])]

    @cached_property
    def _bounds(self) -> NDArray[np.float64]:
        """Upper end of each class in [0, 1); a class of ratio 0 has no width."""
        ratios = np.array(self.config.ratios(len(self.index.classes)))
        bounds: NDArray[np.float64] = np.cumsum(ratios) / ratios.sum()
        bounds[np.flatnonzero(ratios)[-1] :] = 1.0  # rounding must not leave a gap at the end
        return bounds

    def keys(self, draws: range) -> PatchKeys:
        """Return what the draws see; a sub-range gives the same keys as the whole."""
        drawn = np.searchsorted(self._bounds, self._uniform(draws, "class")[:, 0], side="right")
        turn = _pick(self._uniform(draws, "orientation")[:, 0], len(self.config.axes))
        windows = np.array([self.config.window(axis) for axis in self.config.axes], dtype=np.int64)
        slot = self._slots(draws, drawn, turn)
        case = self._cases(draws, slot)
        start = self._starts(draws, case, slot, windows[turn])
        axis = np.array(self.config.axes, dtype=np.int64)[turn]
        return PatchKeys(case, start, windows[turn], axis, drawn.astype(np.int64))

    def log_rates(self) -> None:
        """Log how often each class is drawn, and from how much."""
        ratios, chosen = self.config.ratios(len(self.index.classes)), np.array(self.cases)
        for number, name in enumerate(self.index.classes):
            log.info(
                "patches class=%d_%s rate=%.4f cases=%d/%d voxels=%d stored=%d",
                number,
                name,
                ratios[number] / sum(ratios),
                int((self.index.counts[chosen, number] > 0).sum()),
                len(self.cases),
                int(self.index.counts[chosen, number].sum()),
                int(self.index.stored[chosen, number].sum()),
            )

    def _uniform(self, draws: range, name: str, *, width: int = 1) -> NDArray[np.float64]:
        assert draws.step == 1
        return uniforms(
            self.seed, Purpose.CROP, first=draws.start, batch=len(draws), name=f"patch {name}", width=width
        )

    def _slots(self, draws: range, drawn: Numbers, turn: Numbers) -> Numbers:
        fraction = self.config.background_full_fraction
        if fraction == 0:
            return drawn
        pure = np.array([self.index.pure_slot(self.config.window(axis)) for axis in self.config.axes])
        wanted = (drawn == 0) & (self._uniform(draws, "pure")[:, 0] < fraction)
        slots: Numbers = np.where(wanted, pure[turn], drawn)
        return slots

    def _cases(self, draws: range, slot: Numbers) -> Numbers:
        numbers, case = self._uniform(draws, "case")[:, 0], np.zeros(len(draws), np.int64)
        for one in np.unique(slot):
            rows = slot == one
            case[rows] = self._eligible[one][_pick(numbers[rows], len(self._eligible[one]))]
        return case

    def _starts(self, draws: range, case: Numbers, slot: Numbers, window: Numbers) -> Numbers:
        shape = self.index.shapes[case]
        place, offset = self._uniform(draws, "place", width=3), self._uniform(draws, "offset", width=3)
        low, high = np.minimum(shape - window, 0), np.maximum(shape - window, 0)  # both included
        start: Numbers = low + _pick(place, high - low + 1)
        if self.config.place == "patch-center-voxel":
            start = _pick(place, shape) - window // 2
        listed = np.flatnonzero(slot)  # slot 0 is background anywhere
        if len(listed):
            voxel = self._voxels(case[listed], slot[listed], place[listed, 0])
            bounds = (low[listed], high[listed])
            start[listed] = self._around(voxel, slot[listed], window[listed], bounds, offset[listed])
        return start

    def _voxels(self, case: Numbers, slot: Numbers, uniform: NDArray[np.float64]) -> Numbers:
        number = _pick(uniform, self.index.stored[case, slot])
        return self.index.coordinates(case, slot=slot, number=number)

    def _around(
        self,
        voxel: Numbers,
        slot: Numbers,
        window: Numbers,
        bounds: tuple[Numbers, Numbers],
        offset: NDArray[np.float64],
    ) -> Numbers:
        """Return starts of areas that hold the voxel; a pure position is a start already."""
        low, high = bounds
        near, far = np.maximum(low, voxel - window + 1), np.minimum(high, voxel)
        start = near + _pick(offset, far - near + 1)
        if self.config.place == "patch-center-voxel":
            start = voxel - window // 2
        # Along an axis shorter than the window a pure area may lie anywhere: it holds the whole axis.
        pure = np.where(low < 0, low + _pick(offset, high - low + 1), voxel)
        is_class = (slot < len(self.index.classes))[:, None]
        chosen: Numbers = np.where(is_class, start, pure)
        return chosen


def positions_of(index: ClassIndex, *, ids: Sequence[str]) -> tuple[int, ...]:
    """Return the positions of the cases in the index.

    Raises:
        DataError: Names those that are not in it.
    """
    places = {name: place for place, name in enumerate(index.cases)}
    absent = [name for name in ids if name not in places]
    if absent:
        raise DataError(f"{index.folder}: has no case {', '.join(absent[:20])}. Build the index anew.")
    return tuple(places[name] for name in ids)


def _pick(uniform: NDArray[np.float64], count: int | Numbers) -> Numbers:
    """Return whole numbers from 0 to count - 1, each as likely as the others."""
    numbers: Numbers = np.minimum(np.floor(uniform * count), np.asarray(count) - 1).astype(np.int64)
    return numbers
