"""One resampling for a whole batch: every tensor by its kind, every sample by its own matrix.

image: linear. label: nearest. soft: linear, then shares sum to 1 again. weight: linear, 0 outside. Samples
that only flip, turn by quarters, or stay are moved by indexing, exact to the bit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pkgs.data.items import IGNORE
from pkgs.data.transforms.contract import Kinds, Sides, Tensors, sides_of
from pkgs.data.transforms.gathering import gather
from pkgs.data.transforms.grids import sample_grid
from pkgs.data.transforms.matrices import signed_permutations
from pkgs.data.transforms.orientation import reorient_some
from pkgs.data.transforms.plan import Plan
from pkgs.data.transforms.warping import warp


def resample(  # noqa: PLR0913 - all by name
    batch: Tensors,
    kinds: Kinds,
    *,
    matrix_BEE: NDArray[np.float64],
    field_BDP: NDArray[np.float64] | None = None,
    size: Sides | None = None,
    outside: float | None = None,
    outside_label: int = IGNORE,
) -> dict[str, Tensor]:
    """Return the batch seen through the matrices (and offsets), each pixel interpolated once.

    Args:
        batch: Tensors by name; those that `kinds` does not name, and vectors, pass as they are.
        kinds: What each tensor means, and so how it is interpolated.
        matrix_BEE: From the place in the result to the place in the source, see `matrices`.
        field_BDP: Further way in the source, in its pixels, at the points of a coarse grid from corner to
            corner, [B, D, points, ...], x first; linear in between.
        size: Sides of the result; None: those of the source.
        outside: Value of images outside of the source; None: they are reflected at the border.
        outside_label: Value of labels outside of the source.

    Raises:
        ValueError: If tensors do not fit their kinds, each other, or the matrices.
    """
    sides = sides_of(batch, kinds)
    spatial = {name: kind for name, kind in kinds.items() if kind != "vector"}
    _check(batch, spatial, matrix_BEE, sides, outside_label=outside_label)
    size = size or sides
    targets = {name: _target(batch[name], size) for name in spatial}
    bent: NDArray[np.bool_] = np.zeros(len(matrix_BEE), dtype=bool)
    if field_BDP is not None:
        bent = np.asarray(field_BDP.reshape(len(bent), -1).any(axis=1))
    exact = signed_permutations(matrix_BEE) & (size == sides) & ~bent
    with torch.no_grad():
        for name in spatial if exact.any() else ():
            reorient_some(batch[name], targets[name], matrix_BEE=matrix_BEE, which=np.flatnonzero(exact))
        moved = np.flatnonzero(~exact)
        if len(moved):
            device = targets[next(iter(targets))].device
            offsets = _dense(field_BDP, size, device) if field_BDP is not None and bent.any() else None
            plan = Plan(moved, matrix_BEE, size, offsets, bent, outside, outside_label)
            _interpolate(batch, spatial, targets, plan=plan)
    return {**batch, **targets}


def _interpolate(batch: Tensors, kinds: Kinds, targets: dict[str, Tensor], *, plan: Plan) -> None:
    """Fill the targets of the plan's samples; tensors with one rule for the outside share a pass."""
    device = next(iter(targets.values())).device
    on_cpu = warp if len(plan.size) == 2 else gather
    fill = on_cpu if device.type == "cpu" else sample_grid
    pairs = {name: (batch[name].detach(), targets[name]) for name in kinds}
    rules = {"image": plan.outside, "soft": None, "weight": 0.0}  # a mirrored share is still a share
    labels = [pairs[name] for name, kind in kinds.items() if kind == "label"]
    linear: dict[float | None, list[tuple[Tensor, Tensor]]] = {}
    for name, kind in kinds.items():
        if kind != "label":
            source, target = pairs[name]
            as_images = (source.unsqueeze(1), target.unsqueeze(1)) if kind == "weight" else (source, target)
            linear.setdefault(rules[kind], []).append(as_images)
    for outside, group in linear.items() or [(None, [])]:
        fill(group, labels, plan=replace(plan, outside=outside))
        labels = []  # they went with the first group
    for name, kind in kinds.items():
        if kind == "soft":  # rounding leaves their sums beside 1
            which = torch.from_numpy(plan.which).to(device)
            shares = targets[name][which]
            targets[name][which] = shares / shares.sum(dim=1, keepdim=True)


def _dense(field_BDP: NDArray[np.float64], size: Sides, device: torch.device) -> Tensor:
    """Return the coarse field at every pixel of the result."""
    mode = "bilinear" if len(size) == 2 else "trilinear"
    coarse = torch.from_numpy(field_BDP).float().to(device)
    return F.interpolate(coarse, size=size, mode=mode, align_corners=True)


def _target(source: Tensor, size: Sides) -> Tensor:
    return source.new_empty((*source.shape[: source.ndim - len(size)], *size))


def _check(
    batch: Tensors, kinds: Kinds, matrix_BEE: NDArray[np.float64], sides: Sides, *, outside_label: int
) -> None:
    count = len(batch[next(iter(kinds))])
    expected = (count, len(sides) + 1, len(sides) + 1)
    if matrix_BEE.shape != expected:
        raise ValueError(
            f"The draws are matrices of shape {matrix_BEE.shape}; this batch needs {expected}. "
            "Were they drawn for another batch size or number of dimensions?"
        )
    if len(sides) == 3 and (matrix_BEE[:, -1] != (0, 0, 0, 1)).any():
        raise ValueError("A perspective needs 2-D images: the last row of a matrix in 3-D is (0, 0, 0, 1).")
    for name, kind in kinds.items():
        if kind == "label" and not outside_label <= torch.iinfo(batch[name].dtype).max:
            raise ValueError(
                f"label {name!r} is {batch[name].dtype}, which cannot hold {outside_label}, the value "
                "outside of the source. Use uint8, or a wider type."
            )
