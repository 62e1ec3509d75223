"""Corruption of instance maps [B, *space]: 0 is background, every other number an object. Pure, batched.

A binary mask is an instance map with one object. IGNORE would count as an object: set it to 0 before.
Combine these with `Spatial` on kind `label` (outside_label 0), `erase`, and `soften` with `threshold`.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from pkgs.data.transforms.smoothing import gaussian_blur

MOST: Final = 65535
"""Highest number of an object; `prepare.object_numbers` numbers those of every release anew."""


def picked(instances: Tensor, pick_B: Tensor) -> Tensor:
    """Return the pixels of one object per sample, bool; none where a sample has no object.

    Args:
        instances: Whole numbers, [B, *space], at most 65535.
        pick_B: In [0, 1): 0 picks the object with the lowest number, just below 1 the one with the highest.

    Raises:
        ValueError: If numbers are so large that a table of them would fill the memory.
    """
    _check(instances)
    flat = instances.flatten(1).long()
    highest = int(flat.amax()) if flat.numel() else 0
    if highest > MOST:
        raise ValueError(f"An object has the number {highest}; expected at most {MOST}. Number them anew.")
    present = torch.zeros(len(flat), highest + 1, dtype=torch.long, device=flat.device)
    present.scatter_(1, flat, 1)[:, 0] = 0
    rank = present.cumsum(dim=1)
    count_B = rank[:, -1]
    wanted_B = torch.minimum((pick_B.to(flat.device) * count_B).long() + 1, count_B)
    number_B = (present * (rank == wanted_B[:, None])).argmax(dim=1)  # 0 where no object is
    number = number_B.view(-1, *(1 for _ in instances.shape[1:]))
    return (instances == number) & (number > 0)


def drop(instances: Tensor, pick_B: Tensor) -> Tensor:
    """Return the map without the picked object of each sample: a false negative."""
    return instances.masked_fill(picked(instances, pick_B), 0)


def shift(instances: Tensor, pick_B: Tensor, *, shift_px_BD: Tensor) -> Tensor:
    """Return the map with the picked object moved by whole pixels, over whatever lies there.

    Args:
        instances: As in `picked`.
        pick_B: As in `picked`.
        shift_px_BD: Along each axis of space, in their order. What leaves the image is lost.
    """
    chosen = picked(instances, pick_B)
    number = torch.where(chosen, instances, 0).flatten(1).amax(dim=1)
    moved = chosen
    for axis, steps_B in enumerate(shift_px_BD.to(instances.device).T, start=1):
        moved = _along(moved, steps_B, axis=axis)
    kept = instances.masked_fill(chosen, 0)
    return torch.where(moved, number.view(-1, *(1 for _ in instances.shape[1:])), kept)


def _along(mask: Tensor, steps_B: Tensor, *, axis: int) -> Tensor:
    """Move each sample by its own steps along one axis; what comes in is False."""
    side = mask.shape[axis]
    source = torch.arange(side, device=mask.device)[None] - steps_B[:, None]
    inside = (source >= 0) & (source < side)
    form = [len(mask), *(side if number == axis else 1 for number in range(1, mask.ndim))]
    taken = mask.gather(axis, source.clamp(0, side - 1).view(form).expand(mask.shape))
    return taken & inside.view(form)


def add(instances: Tensor, *, centre_px_BD: Tensor, radius_px_BD: Tensor) -> Tensor:
    """Return the map with one more object per sample, an ellipse in the background: a false positive.

    Args:
        instances: As in `picked`.
        centre_px_BD: Index of the centre along each axis of space; may be fractional.
        radius_px_BD: Half axes; 0 adds nothing.

    Raises:
        ValueError: If the type cannot hold one more number.
    """
    _check(instances)
    axes = [torch.arange(side, device=instances.device) for side in instances.shape[1:]]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).float()
    shape = (len(instances), *(1 for _ in axes), len(axes))
    radius = radius_px_BD.to(place).view(shape).clamp_min(1e-9)
    distance = (place - centre_px_BD.to(place).view(shape)) / radius
    exists = (radius_px_BD > 0).all(dim=1).to(place.device).view(shape[:-1])
    inside = (distance.square().sum(dim=-1) <= 1) & exists & (instances == 0)
    number = instances.flatten(1).amax(dim=1).long() + 1
    if int(number.max()) > torch.iinfo(instances.dtype).max:
        raise ValueError(
            f"{instances.dtype} cannot hold one more object than {int(number.max()) - 1}; use int32."
        )
    return torch.where(inside, number.to(instances.dtype).view(shape[:-1]), instances)


def grow(instances: Tensor, radius_px_B: Tensor) -> Tensor:
    """Return the map with objects dilated (radius > 0) or eroded (radius < 0) by whole pixels, square window.

    Objects grow into the background only, and shrink where they touch it or another object; the border of the
    image is no edge.
    """
    _check(instances)
    pool = F.max_pool2d if instances.ndim == 3 else F.max_pool3d
    grown = instances.unsqueeze(1).float()
    radius = radius_px_B.to(grown.device).view(-1, *(1 for _ in grown.shape[1:]))
    for step in range(int(radius_px_B.abs().max()) if len(radius_px_B) else 0):
        highest, lowest = pool(grown, 3, 1, 1), -pool(-grown, 3, 1, 1)
        wider = torch.where(grown == 0, highest, grown)
        narrower = torch.where(highest == lowest, grown, 0.0)
        grown = torch.where(radius > step, wider, torch.where(radius < -step, narrower, grown))
    return grown.squeeze(1).to(instances.dtype)


def soften(mask: Tensor, sigma_px_B: Tensor, *, kernel_px: int) -> Tensor:
    """Return the mask [B, *space] as shares in [0, 1], smoothed by a Gaussian each; sigma 0 keeps it."""
    shares = mask.unsqueeze(1).float()
    smooth = gaussian_blur(shares, sigma_px_B.clamp_min(1e-3), kernel_px=kernel_px)
    keep = (sigma_px_B == 0).to(shares.device).view(-1, *(1 for _ in shares.shape[1:]))
    return torch.where(keep, shares, smooth.clamp(0, 1)).squeeze(1)  # rounding leaves 1 + 1e-7


def threshold(shares: Tensor, *, at: float = 0.5) -> Tensor:
    """Return 1 where the share is above `at`, else 0; uint8."""
    return (shares > at).byte()


def _check(instances: Tensor) -> None:
    if instances.is_floating_point() or instances.ndim not in (3, 4):
        raise ValueError(
            f"An instance map is whole numbers [batch, (depth,) height, width], got {instances.dtype} "
            f"of shape {tuple(instances.shape)}. Threshold shares first."
        )
