"""True masks as look-alikes of predictions: objects missed, moved, invented, too fat or too thin.

Every mask is changed, by one to three of ten operations whose ranges a severity scales; half of them stay
soft. What `corruption` does in 13 of 100 cases is a part of it.
"""

# ruff: noqa: N815 - arrays end in their axes, fields too
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pkgs.data.config import FalsifyConfig
from pkgs.data.items import IGNORE
from pkgs.data.transforms import instances as objects
from pkgs.data.transforms import matrices
from pkgs.data.transforms.config import CorruptionConfig
from pkgs.data.transforms.contract import Sides
from pkgs.data.transforms.erasing import draw_boxes, erase
from pkgs.data.transforms.sampling import resample
from pkgs.data.transforms.stream import Flags, Numbers, Stream
from pkgs.foundation.seeds import Purpose

PUBLISHED: Final = CorruptionConfig()
"""The ranges of the published operations at severity 1."""

WEIGHTS: Final = {
    "affine": 1.0, "crop": 1.0, "blur": 1.0, "erase": PUBLISHED.erase_p,
    "perspective": PUBLISHED.spatial.perspective_p, "flip": 2 * 0.03,
    "drop": 1.0, "shift": 1.0, "add": 1.0, "grow": 1.0,
}  # fmt: skip
"""How readily an operation is picked, published ones as published: a mirrored mask is no prediction."""

WITHOUT_RANGE: Final = ("drop", "flip")
"""Severity scales how readily these are picked: there is nothing else about them to scale."""

REFERENCE_SIDE_PX: Final = 224
KERNEL_PX: Final = PUBLISHED.blur_kernel_px


@dataclass(frozen=True, slots=True)
class FalsifyDraws:
    """What happens to each mask of a batch. 0 and False stand where an operation was not picked."""

    severity_B: Numbers
    drop_B: Flags
    pick_drop_B: Numbers
    pick_shift_B: Numbers
    shift_px_BD: NDArray[np.int64]
    centre_px_BD: Numbers
    radius_px_BD: Numbers
    """Of the added object."""
    grow_px_B: NDArray[np.int64]
    """Below 0: shrink."""
    matrix_BEE: Numbers
    boxes_BD2: NDArray[np.int64]
    blur_px_B: Numbers
    """Before a threshold."""
    soft_px_B: Numbers
    """Without one."""
    spare_centre_px_BD: Numbers
    spare_radius_px_BD: Numbers
    spare_grow_px_B: NDArray[np.int64]
    """What is done where all else has changed nothing."""


@final
class Falsification:
    """Changes masks [B, H, W] with their numbered objects; a pure function of the draws and the sample."""

    def __init__(self, config: FalsifyConfig) -> None:
        self.config = config

    def draw(self, seed: int, purpose: Purpose, *, first: int, batch: int, sides: Sides) -> FalsifyDraws:
        """Return what happens to the draws `first` .. `first + batch - 1` for masks of these sides."""
        config, stream = self.config, Stream(seed, purpose, first, batch, "falsify.")
        severity = stream.log_between("severity", config.severity)
        chosen = self._chosen(stream, severity)
        side = min(sides)
        scale = (severity * side)[:, None]
        radius = config.radius[0] + (config.radius[1] - config.radius[0]) * stream.unit("radius", width=2)
        angle, length = 2 * np.pi * stream.unit("angle")[:, 0], np.sqrt(stream.unit("length")[:, 0])
        way = config.shift * scale * np.stack([np.sin(angle), np.cos(angle)], axis=1) * length[:, None]
        grow = stream.between("grow", config.grow_px) * severity * side / REFERENCE_SIDE_PX
        grow = np.maximum(1, np.rint(grow)) * np.where(stream.chance("shrink", 0.5), -1, 1)
        boxes = _scaled_boxes(stream, severity_B=severity, sides=sides)
        soft = stream.between("soft_sigma", config.soft_sigma_px)
        return FalsifyDraws(
            severity_B=severity,
            drop_B=chosen["drop"],
            pick_drop_B=stream.unit("pick_drop")[:, 0],
            pick_shift_B=stream.unit("pick_shift")[:, 0],
            shift_px_BD=np.where(chosen["shift"][:, None], _outwards(way), 0).astype(np.int64),
            centre_px_BD=stream.unit("centre", width=2) * np.array(sides),
            radius_px_BD=np.where(chosen["add"][:, None], np.maximum(1.0, radius * scale), 0.0),
            grow_px_B=np.where(chosen["grow"], grow, 0).astype(np.int64),
            matrix_BEE=self._moves(stream, chosen, severity, sides),
            boxes_BD2=np.where(chosen["erase"][:, None, None], boxes, 0),
            blur_px_B=np.where(chosen["blur"], severity * stream.between("blur", PUBLISHED.blur_sigma_px), 0),
            soft_px_B=np.where(stream.chance("soft", config.soft_p), soft, 0.0),
            spare_centre_px_BD=stream.unit("spare_centre", width=2) * np.array(sides),
            spare_radius_px_BD=np.maximum(1.0, radius * scale),
            spare_grow_px_B=np.where(stream.chance("spare", 0.5), -1, 1).astype(np.int64),
        )

    def __call__(self, label: Tensor, instances: Tensor, draws: FalsifyDraws) -> Tensor:
        """Return masks [B, H, W] float32 in [0, 1]; ignored pixels are 0.

        Args:
            label: 0, 1 and IGNORE, [B, H, W].
            instances: Numbered objects of the same pixels, int32, 0 outside.
            draws: Of `draw`, for this batch and these sides.
        """
        device = label.device
        truth, valid = label == 1, label != IGNORE
        changed = self._objects_changed(instances, draws)
        moved = resample({"mask": changed}, {"mask": "label"}, matrix_BEE=draws.matrix_BEE, outside_label=0)[
            "mask"
        ]
        hard = (moved > 0).byte()
        if draws.boxes_BD2.any():
            hard = erase(hard, draws.boxes_BD2, value=0)
        hard = _blurred(hard.float(), draws.blur_px_B)
        hard = objects.threshold(hard)
        same_B = ((hard == truth) | ~valid).flatten(1).all(dim=1).cpu().numpy()
        hard = _where(hard, same_B, lambda _, rows: _spare(instances[rows], draws, rows.cpu().numpy()))
        soft = _blurred(hard.float(), draws.soft_px_B)
        return torch.where(valid, soft, torch.zeros((), device=device))

    def _chosen(self, stream: Stream, severity_B: Numbers) -> dict[str, Flags]:
        """Pick operations by their weights, none twice: the smallest of exponential numbers of rate w.

        Source: Efraimidis and Spirakis 2006, weighted random sampling with a reservoir.
        """
        low, high = self.config.operations
        count_B = low + stream.whole("operations", high - low + 1)
        weights = np.tile(list(WEIGHTS.values()), (stream.batch, 1))
        weights[:, [name in WITHOUT_RANGE for name in WEIGHTS]] *= severity_B[:, None]
        keys = -np.log1p(-stream.unit("pick", width=len(WEIGHTS))) / weights
        rank = keys.argsort(axis=1).argsort(axis=1)
        return {name: rank[:, number] < count_B for number, name in enumerate(WEIGHTS)}

    def _moves(self, stream: Stream, chosen: dict[str, Flags], severity_B: Numbers, sides: Sides) -> Numbers:
        """Return affine, flip, crop and perspective as one matrix per sample, from result to source."""
        spatial, plane_B = PUBLISHED.spatial, np.zeros(stream.batch, dtype=np.int64)
        turn = matrices.rotation(
            np.radians(severity_B * stream.between("rotation", spatial.rotation_deg)), plane_B, dimensions=2
        )
        factor_B = 1 + severity_B * (stream.between("scale", spatial.scale) - 1)
        stretch = matrices.stretch(np.repeat(1 / factor_B[:, None], 2, axis=1))
        lean_rad = np.radians(severity_B * stream.between("shear", spatial.shear_deg))
        affine = matrices.rigid_in_pixels(
            turn @ stretch @ matrices.shear(lean_rad, plane_B, dimensions=2), sides
        )
        along_x = stream.chance("flip_x", 0.5)
        mirror = matrices.mirror(np.stack([along_x, ~along_x], axis=1))
        share_B = 1 - severity_B * (1 - spatial.crop_area[0]) * stream.unit("crop")[:, 0]
        fitting = -np.log(share_B) * (2 * stream.unit("aspect")[:, 0] - 1)  # so that both sides are below 1
        box = matrices.crop(
            share_B=share_B, aspect_B=np.exp(fitting), place_BD=stream.unit("crop_place", width=2)
        )
        corners = spatial.perspective * stream.unit("corners", width=8) * severity_B[:, None]
        aside = matrices.perspective(corners.reshape(-1, 4, 2))
        matrix = matrices.identity(stream.batch, 2)
        for name, move in (("affine", affine), ("flip", mirror), ("crop", box), ("perspective", aside)):
            matrix = matrix @ matrices.only_where(chosen[name], move)
        return matrix

    def _objects_changed(self, instances: Tensor, draws: FalsifyDraws) -> Tensor:
        """Return the map with one object dropped, one shifted, one added, and all grown, where picked."""

        def numbers(drawn: Numbers | NDArray[np.int64], rows: Tensor) -> Tensor:
            return torch.from_numpy(drawn[rows.cpu().numpy()])

        def drop(changed: Tensor, rows: Tensor) -> Tensor:
            return objects.drop(changed, numbers(draws.pick_drop_B, rows))

        def shift(changed: Tensor, rows: Tensor) -> Tensor:
            steps = numbers(draws.shift_px_BD, rows)
            return objects.shift(changed, numbers(draws.pick_shift_B, rows), shift_px_BD=steps)

        def add(changed: Tensor, rows: Tensor) -> Tensor:
            centre, radius = numbers(draws.centre_px_BD, rows), numbers(draws.radius_px_BD, rows)
            return objects.add(changed, centre_px_BD=centre, radius_px_BD=radius)

        def grow(changed: Tensor, rows: Tensor) -> Tensor:
            return objects.grow(changed, numbers(draws.grow_px_B, rows))

        changed = _where(instances, draws.drop_B, drop)
        changed = _where(changed, np.asarray(draws.shift_px_BD.any(axis=1)), shift)
        changed = _where(changed, np.asarray(draws.radius_px_BD.any(axis=1)), add)
        return _where(changed, draws.grow_px_B != 0, grow)


def _spare(instances: Tensor, draws: FalsifyDraws, rows: NDArray[np.int64]) -> Tensor:
    """Return the masks grown or shrunk by a pixel, empty ones with an object: nothing else had an effect."""
    empty_B = ~(instances > 0).flatten(1).any(dim=1)
    added = objects.add(
        instances,
        centre_px_BD=torch.from_numpy(draws.spare_centre_px_BD[rows]),
        radius_px_BD=torch.from_numpy(draws.spare_radius_px_BD[rows]),
    )
    grown = objects.grow(instances, torch.from_numpy(draws.spare_grow_px_B[rows]))
    return (torch.where(empty_B[:, None, None], added, grown) > 0).byte()


def _where(tensor: Tensor, chosen_B: Flags, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return the tensor with the chosen samples changed; `change` gets them and their numbers."""
    which = np.flatnonzero(chosen_B)
    if not len(which):
        return tensor
    rows = torch.from_numpy(which).to(tensor.device)
    return tensor.index_copy(0, rows, change(tensor[rows], rows))


def _blurred(mask: Tensor, sigma_px_B: Numbers) -> Tensor:
    """Return the masks smoothed where sigma is above 0."""

    def smooth(chosen: Tensor, rows: Tensor) -> Tensor:
        sigma_B = torch.from_numpy(sigma_px_B[rows.cpu().numpy()]).float().to(mask.device)
        return objects.soften(chosen, sigma_B, kernel_px=KERNEL_PX)

    return _where(mask, sigma_px_B > 0, smooth)


def _outwards(way_BD: Numbers) -> Numbers:
    """Return whole pixels, at least one: an object that stays is no change."""
    steps = np.rint(way_BD)
    still = np.asarray(~steps.any(axis=1))
    longer = np.abs(way_BD) == np.abs(way_BD).max(axis=1, keepdims=True)
    return np.where(still[:, None] & longer, np.where(way_BD < 0, -1.0, 1.0), steps)


def _scaled_boxes(stream: Stream, *, severity_B: Numbers, sides: Sides) -> NDArray[np.int64]:
    """Return boxes of the published kind, their area times the severity."""
    area, aspect = PUBLISHED.erase_area, PUBLISHED.erase_aspect
    boxes = draw_boxes(stream, p=1.0, area=area, aspect=aspect, sides=sides)
    first, lengths = boxes[:, :, 0], boxes[:, :, 1] - boxes[:, :, 0]
    shorter = np.maximum(1, np.rint(lengths * np.sqrt(severity_B)[:, None])).astype(np.int64)
    return np.stack([first, first + shorter], axis=2)
