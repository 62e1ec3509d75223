"""Resampling on an accelerator by `grid_sample`: one grid for all linear tensors, the same for all labels.

There a grid costs one kernel, and gathers are what the hardware is made for. On a CPU `warping` (2-D) and
`gathering` (3-D) do the same, faster.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pkgs.data.transforms.plan import Pairs, Plan, Sides


def sample_grid(linear: Pairs, labels: Pairs, *, plan: Plan) -> None:
    """Fill the targets, as `gathering.gather` does; labels pass as float32, exact from 0 to 2^24 - 2."""
    if not len(plan.which):
        return
    first = (linear[0] if linear else labels[0])[0]
    sides: Sides = tuple(first.shape[-len(plan.size) :])
    which = torch.from_numpy(plan.which).to(first.device)
    with torch.autocast(
        first.device.type, enabled=False
    ):  # places need float32: below it half a pixel is lost
        grid = _grid(plan, which, sides)
    for source, target in linear:
        shifted = source[which] - (plan.outside or 0.0)
        padding = "reflection" if plan.outside is None else "zeros"
        found = F.grid_sample(shifted, grid, mode="bilinear", padding_mode=padding, align_corners=False)
        target[which] = found + (plan.outside or 0.0)
    for source, target in labels:
        raised = source[which].unsqueeze(1).float() + 1
        found = F.grid_sample(raised, grid, mode="nearest", padding_mode="zeros", align_corners=False)[:, 0]
        target[which] = torch.where(found == 0, plan.outside_label, found - 1).to(source.dtype)


def _grid(plan: Plan, which: Tensor, sides: Sides) -> Tensor:
    """Return [b, *size, D] places in the source."""
    device, dimensions = which.device, len(sides)
    matrix = torch.from_numpy(plan.matrix_BEE[plan.which]).float().to(device)
    axes = [(2 * torch.arange(side, device=device) + 1) / side - 1 for side in plan.size]
    mesh = torch.meshgrid(*axes, indexing="ij")[::-1]
    place = torch.stack([*mesh, torch.ones_like(mesh[0])], dim=-1)
    moved = (place.view(1, -1, dimensions + 1) @ matrix.transpose(1, 2)).view(
        len(which), *plan.size, dimensions + 1
    )
    grid = moved[..., :-1] / moved[..., -1:]
    if plan.offsets_px is not None:
        scale = torch.from_numpy(2 / np.array(sides[::-1])).float().to(device)
        grid = grid + plan.offsets_px[which].movedim(1, -1) * scale
    return grid
