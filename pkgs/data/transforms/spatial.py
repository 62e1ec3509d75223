"""Moves of a batch in space: all of a sample's moves are one matrix (and one coarse field), applied once."""

# ruff: noqa: N815 - arrays end in their axes, fields too
from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pkgs.data.transforms import matrices
from pkgs.data.transforms.config import SpatialConfig
from pkgs.data.transforms.contract import Kinds, Sides, Tensors
from pkgs.data.transforms.sampling import resample
from pkgs.data.transforms.stream import Numbers, Stream
from pkgs.foundation.seeds import Purpose


@dataclass(frozen=True, slots=True)
class SpatialDraws:
    """Where each sample of a batch is taken from."""

    matrix_BEE: Numbers
    """From the place in the result to the place in the source, see `matrices`."""
    field_BDP: Numbers
    """Displacement in pixels, x first, at the points of a coarse grid [B, D, points, ...]; [B, 0] if none."""

    @property
    def moved_B(self) -> NDArray[np.bool_]:  # noqa: N802 - its axis
        """Which samples move at all."""
        still = (self.matrix_BEE == np.eye(self.matrix_BEE.shape[-1])).all(axis=(1, 2))
        bent = self.field_BDP.reshape(len(still), -1).any(axis=1)
        return np.asarray(~still | bent)


@final
class Spatial:
    """Rotation, scale, shear, flips, quarter turns, shift, crop, perspective and elastic, as one resampling.

    Result to source: rotation, scale, shear, flips, quarter turn, shift, crop, perspective, in this order.
    """

    def __init__(self, config: SpatialConfig, kinds: Kinds, *, name: str = "") -> None:
        """Take `name` to tell apart two spatial transforms of one purpose."""
        self.config, self.kinds, self.name = config, dict(kinds), name

    def draw(self, seed: int, purpose: Purpose, *, first: int, batch: int, sides: Sides) -> SpatialDraws:
        """Return the moves of the draws `first` .. `first + batch - 1` for images of these sides.

        Raises:
            ValueError: If the settings ask for what these sides cannot have.
        """
        self._check(sides)
        stream, config = Stream(seed, purpose, first, batch, self.name), self.config
        plane_B = stream.whole("plane", len(matrices.PLANES[len(sides)]))
        matrix = self._affine(stream, plane_B, sides) @ self._mirror(stream, plane_B, len(sides))
        if config.shift != (0.0, 0.0):
            matrix = matrix @ self._shift(stream, len(sides))
        if config.crop_p:
            matrix = matrix @ self._crop(stream, len(sides))
        if config.perspective_p:
            corners = config.perspective * stream.unit("perspective_corners", width=8).reshape(batch, 4, 2)
            chosen = stream.chance("perspective", config.perspective_p)
            matrix = matrix @ matrices.only_where(chosen, matrices.perspective(corners))
        chosen = stream.chance("spatial", config.p)
        return SpatialDraws(matrices.only_where(chosen, matrix), self._field(stream, chosen, len(sides)))

    def __call__(self, batch: Tensors, draws: SpatialDraws) -> dict[str, Tensor]:
        """Return the moved batch; one grid for all tensors.

        Raises:
            ValueError: If the batch does not fit its kinds or the draws.
        """
        return resample(
            batch,
            self.kinds,
            matrix_BEE=draws.matrix_BEE,
            field_BDP=draws.field_BDP,
            size=self.config.size or None,
            outside=self.config.outside,
            outside_label=self.config.outside_label,
        )

    def _affine(self, stream: Stream, plane_B: NDArray[np.int64], sides: Sides) -> Numbers:
        config, dimensions = self.config, len(sides)
        if config.rotation_sd_deg:
            degrees = config.rotation_sd_deg * stream.normal("rotation")[:, 0]
        else:
            degrees = stream.between("rotation", config.rotation_deg)
        turn = matrices.rotation(np.radians(degrees), plane_B, dimensions=dimensions)
        scale_B = stream.between("scale", config.scale)
        stretch = matrices.stretch(np.repeat(1 / scale_B[:, None], dimensions, axis=1))  # result to source
        lean_rad = np.radians(stream.between("shear", config.shear_deg))
        lean = matrices.shear(lean_rad, plane_B, dimensions=dimensions)
        affine = matrices.rigid_in_pixels(turn @ stretch @ lean, sides)
        return matrices.only_where(stream.chance("affine", config.affine_p), affine)

    def _mirror(self, stream: Stream, plane_B: NDArray[np.int64], dimensions: int) -> Numbers:
        chances = self.config.flips
        chances = chances if isinstance(chances, tuple) else (chances,) * dimensions
        flips = [stream.chance(f"flip_{axis}", p) for axis, p in zip("xyz", chances, strict=False)]
        mirror = matrices.mirror(np.stack(flips, axis=1))
        if not self.config.quarter_turns:
            return mirror
        turns_B = stream.whole("quarter_turns", 4)
        return mirror @ matrices.quarter_turns(turns_B, plane_B, dimensions=dimensions)

    def _shift(self, stream: Stream, dimensions: int) -> Numbers:
        shifts = [stream.between(f"shift_{axis}", self.config.shift) for axis in "xyz"[:dimensions]]
        chosen = stream.chance("affine", self.config.affine_p)
        moves_BD = np.where(chosen[:, None], -2 * np.stack(shifts, axis=1), 0.0)  # -1 .. 1 is a whole side
        return matrices.stretch(np.ones_like(moves_BD), moves_BD)

    def _crop(self, stream: Stream, dimensions: int) -> Numbers:
        config = self.config
        box = matrices.crop(
            share_B=stream.between("crop_area", config.crop_area),
            aspect_B=stream.log_between("crop_aspect", config.crop_aspect),
            place_BD=np.stack([stream.unit(f"crop_{axis}")[:, 0] for axis in "xyz"[:dimensions]], axis=1),
        )
        return matrices.only_where(stream.chance("crop", config.crop_p), box)

    def _field(self, stream: Stream, chosen: NDArray[np.bool_], dimensions: int) -> Numbers:
        config = self.config
        if not config.elastic_p:
            return np.zeros((stream.batch, 0))
        shape = (dimensions, *(config.elastic_points,) * dimensions)
        waves = config.elastic_px * stream.normal("elastic_points", width=prod(shape))
        chosen = chosen & stream.chance("elastic", config.elastic_p)
        return np.where(chosen[:, None], waves, 0.0).reshape(stream.batch, *shape)

    def _check(self, sides: Sides) -> None:
        config, dimensions = self.config, len(sides)
        if config.perspective_p and dimensions != 2:
            raise ValueError(f"perspective needs 2-D images, got sides {sides}. Set perspective_p to 0.")
        if config.quarter_turns and len(set(sides)) > 1:
            raise ValueError(
                f"Quarter turns need equal sides, got {sides}. "
                "Crop to equal sides, or set quarter_turns to false."
            )
        if isinstance(config.flips, tuple) and len(config.flips) != dimensions:
            raise ValueError(
                f"flips has {len(config.flips)} chances for {dimensions} axes of space; "
                "give one number, or one per axis (x, y, z)."
            )
        if config.size and len(config.size) != dimensions:
            raise ValueError(
                f"size {config.size} has {len(config.size)} sides, the images have {dimensions}."
            )
