"""Random changes of a training batch, on its device: one draw per sample, one interpolation for all of them.

Draws come from `draws` (seed, number of the draw), so neither batch size nor resume shifts them.
"""

# ruff: noqa: N815 - tensors end in their axes, fields too
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pkgs.data.config import AugmentConfig
from pkgs.data.draws import uniforms
from pkgs.data.items import IGNORE
from pkgs.data.samples import Batch
from pkgs.foundation.seeds import Purpose

ROTATION_DEG: Final = 180.0
SCALE: Final = (0.8, 1.2)
SHEAR_DEG: Final = 5.0
FLIP: Final = 0.5
CROP: Final = 0.13
CROP_AREA: Final = (0.8, 1.2)
CROP_ASPECT: Final = (3 / 4, 4 / 3)
BLUR_SIGMA_PX: Final = (0.3, 1.0)
BRIGHTNESS: Final = (0.87, 1.13)
CONTRAST: Final = (0.87, 1.13)

Plane = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Draws:
    """The resolved parameters of one batch; can be stored and replayed."""

    matrix_B33: Plane
    """From the place in the result to the place in the source, both in [-1, 1], x before y."""
    moved_B: NDArray[np.bool_]
    sigma_px_B: Plane
    brightness_B: Plane
    contrast_B: Plane
    recoloured_B: NDArray[np.bool_]


def draw(config: AugmentConfig, seed: int, *, first: int, batch: int) -> Draws:
    """Draw the changes for the draws `first` .. `first + batch - 1` of a run."""

    def between(name: str, limits: tuple[float, float]) -> Plane:
        low, high = limits
        return low + (high - low) * uniforms(seed, Purpose.AUGMENT, first=first, batch=batch, name=name)[:, 0]

    def chance(name: str, probability: float) -> NDArray[np.bool_]:
        return uniforms(seed, Purpose.AUGMENT, first=first, batch=batch, name=name)[:, 0] < probability

    affine = _affine(
        angle=np.radians(between("rotation", (-ROTATION_DEG, ROTATION_DEG))),
        scale=between("scale", SCALE),
        shear=np.radians(between("shear", (-SHEAR_DEG, SHEAR_DEG))),
        flip_x=chance("flip_x", FLIP),
        flip_y=chance("flip_y", FLIP),
    )
    crop = _crop(
        chosen=chance("crop", CROP),
        area=between("crop_area", CROP_AREA),
        aspect=np.exp(between("crop_aspect", (math.log(CROP_ASPECT[0]), math.log(CROP_ASPECT[1])))),
        place=np.stack([between("crop_x", (0, 1)), between("crop_y", (0, 1))], axis=1),
    )
    return Draws(
        matrix_B33=affine @ crop,
        moved_B=chance("spatial", config.spatial),
        sigma_px_B=between("sigma", BLUR_SIGMA_PX),
        brightness_B=between("brightness", BRIGHTNESS),
        contrast_B=between("contrast", CONTRAST),
        recoloured_B=chance("raw", config.raw),
    )


def augment(batch: Batch, draws: Draws) -> Batch:
    """Return the changed batch: spatial set on image and mask alike, then the raw set on the image.

    Images are interpolated linearly and reflected at the border; labels take the nearest pixel, and IGNORE
    outside of the source. Samples that drew no change are passed on to the bit.
    """
    image_B1HW, label_BHW = batch.image_B1HW.clone(), batch.label_BHW.clone()
    moved, recoloured = (
        torch.from_numpy(np.flatnonzero(chosen)) for chosen in (draws.moved_B, draws.recoloured_B)
    )
    if len(moved):
        matrix = torch.from_numpy(draws.matrix_B33).float()[moved]
        image_B1HW[moved], label_BHW[moved] = warp(image_B1HW[moved], label_BHW[moved], matrix_B33=matrix)
    if len(recoloured):
        sigma, brightness, contrast = (
            torch.from_numpy(values).float()[recoloured].to(image_B1HW.device)
            for values in (draws.sigma_px_B, draws.brightness_B, draws.contrast_B)
        )
        blurred = blur(image_B1HW[recoloured], sigma)
        image_B1HW[recoloured] = expose(blurred, brightness_B=brightness, contrast_B=contrast)
    return Batch(image_B1HW, label_BHW, batch.ids)


def warp(image_B1HW: Tensor, label_BHW: Tensor, *, matrix_B33: Tensor) -> tuple[Tensor, Tensor]:
    """Sample image and labels through one grid of the matrix (result to source, in [-1, 1])."""
    theta = matrix_B33[:, :2].to(image_B1HW.device)
    grid = F.affine_grid(theta, list(image_B1HW.shape), align_corners=False)
    image = F.grid_sample(image_B1HW, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    shifted = label_BHW.unsqueeze(1).float() + 1  # so that 0 can mean outside
    label = F.grid_sample(shifted, grid, mode="nearest", padding_mode="zeros", align_corners=False)[:, 0]
    return image, torch.where(label == 0, IGNORE, label - 1).byte()


def blur(image_B1HW: Tensor, sigma_px_B: Tensor) -> Tensor:
    """Smooth each image by its own Gaussian, cut to 3 x 3 pixels."""
    side = torch.exp(-0.5 / sigma_px_B**2)  # weight of a neighbour against the centre
    line_B3 = torch.stack([side, torch.ones_like(side), side], dim=1) / (1 + 2 * side)[:, None]
    kernel_B133 = (line_B3[:, :, None] * line_B3[:, None, :])[:, None]
    padded = F.pad(image_B1HW, (1, 1, 1, 1), mode="reflect").transpose(0, 1)
    return F.conv2d(padded, kernel_B133, groups=len(kernel_B133)).transpose(0, 1)


def expose(image_B1HW: Tensor, *, brightness_B: Tensor, contrast_B: Tensor) -> Tensor:
    """Scale all grey values, then their distances from the mean; clip to [0, 1]."""
    bright = image_B1HW * brightness_B[:, None, None, None]
    mean = bright.mean(dim=(1, 2, 3), keepdim=True)
    return ((bright - mean) * contrast_B[:, None, None, None] + mean).clamp(0, 1)


def _affine(
    *, angle: Plane, scale: Plane, shear: Plane, flip_x: NDArray[np.bool_], flip_y: NDArray[np.bool_]
) -> Plane:
    cos, sin, zero, one = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    turn = _matrices([cos, -sin, sin, cos])
    stretch = _matrices([1 / scale, zero, zero, 1 / scale])  # from result to source: the inverse
    lean = _matrices([one, np.tan(shear), zero, one])
    mirror = _matrices([np.where(flip_x, -1.0, 1.0), zero, zero, np.where(flip_y, -1.0, 1.0)])
    return turn @ stretch @ lean @ mirror


def _crop(*, chosen: NDArray[np.bool_], area: Plane, aspect: Plane, place: Plane) -> Plane:
    width, height = np.sqrt(area * aspect), np.sqrt(area / aspect)
    inside = chosen & (width <= 1) & (height <= 1)  # one that does not fit is the whole image
    width, height = np.where(inside, width, 1.0), np.where(inside, height, 1.0)
    crop = _matrices([width, np.zeros_like(width), np.zeros_like(width), height])
    crop[:, 0, 2] = (2 * place[:, 0] - 1) * (1 - width)
    crop[:, 1, 2] = (2 * place[:, 1] - 1) * (1 - height)
    return crop


def _matrices(entries: list[Plane]) -> Plane:
    full = np.zeros((len(entries[0]), 3, 3))
    full[:, 0, 0], full[:, 0, 1], full[:, 1, 0], full[:, 1, 1] = entries
    full[:, 2, 2] = 1
    return full
