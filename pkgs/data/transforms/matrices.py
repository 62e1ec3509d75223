"""Matrices of a batch, from the place in the result to the place in the source. Pure; loads no torch.

Places lie in [-1, 1] from edge to edge along each axis, the last axis (x) first: what `grid_sample` with
`align_corners=False` expects. A matrix is [B, D + 1, D + 1]; its last row is (0, ..., 0, 1) unless it is a
perspective.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

PLANES: Final = {2: ((0, 1),), 3: ((0, 1), (0, 2), (1, 2))}
"""Pairs of axes that a rotation or shear may mix, by the number of dimensions."""


def identity(batch: int, dimensions: int) -> Numbers:
    full: Numbers = np.zeros((batch, dimensions + 1, dimensions + 1))
    full[:] = np.eye(dimensions + 1)
    return full


def in_plane(entries: Sequence[Numbers], plane_B: NDArray[np.int64], *, dimensions: int) -> Numbers:
    """Return matrices that mix two axes: rows (a, b) and (c, d) in the plane of each sample."""
    full = identity(len(plane_B), dimensions)
    axes = np.array(PLANES[dimensions])[plane_B]
    rows, (first, second) = np.arange(len(plane_B)), axes.T
    full[rows, first, first], full[rows, first, second] = entries[0], entries[1]
    full[rows, second, first], full[rows, second, second] = entries[2], entries[3]
    return full


def rotation(angle_rad_B: Numbers, plane_B: NDArray[np.int64], *, dimensions: int) -> Numbers:
    cos, sin = np.cos(angle_rad_B), np.sin(angle_rad_B)
    return in_plane([cos, -sin, sin, cos], plane_B, dimensions=dimensions)


def shear(angle_rad_B: Numbers, plane_B: NDArray[np.int64], *, dimensions: int) -> Numbers:
    """Lean the first axis of the plane along its second."""
    one, zero = np.ones_like(angle_rad_B), np.zeros_like(angle_rad_B)
    return in_plane([one, np.tan(angle_rad_B), zero, one], plane_B, dimensions=dimensions)


def quarter_turns(turns_B: NDArray[np.int64], plane_B: NDArray[np.int64], *, dimensions: int) -> Numbers:
    """Turn by whole multiples of 90 degrees; every entry is exactly -1, 0 or 1."""
    cos, sin = np.array([1.0, 0.0, -1.0, 0.0])[turns_B % 4], np.array([0.0, 1.0, 0.0, -1.0])[turns_B % 4]
    return in_plane([cos, -sin, sin, cos], plane_B, dimensions=dimensions)


def stretch(factors_BD: Numbers, shifts_BD: Numbers | None = None) -> Numbers:
    """Scale each axis of the result's places, then move them."""
    batch, dimensions = factors_BD.shape
    full = identity(batch, dimensions)
    axes = np.arange(dimensions)
    full[:, axes, axes] = factors_BD
    if shifts_BD is not None:
        full[:, :dimensions, dimensions] = shifts_BD
    return full


def mirror(flips_BD: Flags) -> Numbers:
    return stretch(np.where(flips_BD, -1.0, 1.0))


def crop(*, share_B: Numbers, aspect_B: Numbers, place_BD: Numbers) -> Numbers:
    """Cut out a box and enlarge it to the whole; one that does not fit is the whole image.

    Args:
        share_B: Of the area or volume; above 1 never fits.
        aspect_B: Width to height.
        place_BD: Where the box lies, 0 at the low and 1 at the high end of each axis.
    """
    dimensions = place_BD.shape[1]
    sides_BD = np.repeat(share_B[:, None] ** (1 / dimensions), dimensions, axis=1)
    sides_BD[:, 0] *= np.sqrt(aspect_B)
    sides_BD[:, 1] /= np.sqrt(aspect_B)
    sides_BD[np.any(sides_BD > 1, axis=1)] = 1.0
    return stretch(sides_BD, (2 * place_BD - 1) * (1 - sides_BD))


def perspective(moves_B42: Numbers) -> Numbers:
    """See the image as if from aside: its corners move inwards, the rest follows a homography.

    Args:
        moves_B42: How far each corner moves in x and y, as a share of the half side, in [0, 1); corners in
            the order (-1, -1), (1, -1), (1, 1), (-1, 1).
    """
    corners = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    moved = corners * (1 - moves_B42)
    batch, (x, y) = len(moved), (moved[..., 0], moved[..., 1])
    equations = np.zeros((batch, 8, 8))
    for row, target in enumerate((corners[:, 0], corners[:, 1])):  # moved corner to corner: result to source
        lines = equations[:, 4 * row : 4 * row + 4]
        lines[..., 3 * row], lines[..., 3 * row + 1], lines[..., 3 * row + 2] = x, y, 1
        lines[..., 6], lines[..., 7] = -x * target, -y * target
    right = np.concatenate([corners[:, 0], corners[:, 1]])
    solved = np.linalg.solve(equations, np.tile(right, (batch, 1))[..., None])[..., 0]
    full: Numbers = np.concatenate([solved, np.ones((batch, 1))], axis=1).reshape(batch, 3, 3)
    return full


def rigid_in_pixels(matrix_BEE: Numbers, sides: tuple[int, ...]) -> Numbers:
    """Return the matrices for sides of unequal length: angles stay angles. Equal sides change nothing."""
    sides_x_first = np.array([*reversed(sides), 1.0])
    ratio: Numbers = sides_x_first[None, :] / sides_x_first[:, None]
    return matrix_BEE * ratio


def only_where(chosen_B: Flags, matrix_BEE: Numbers) -> Numbers:
    """Return the matrix of chosen samples and the identity for the rest."""
    return np.where(chosen_B[:, None, None], matrix_BEE, np.eye(matrix_BEE.shape[-1]))


def signed_permutations(matrix_BEE: Numbers) -> Flags:
    """Return which matrices are flips, quarter turns, or nothing at all, exactly."""
    whole = ((matrix_BEE == 0) | (np.abs(matrix_BEE) == 1)).all(axis=(1, 2))
    if not whole.any():
        return np.asarray(whole)
    linear = np.abs(matrix_BEE[:, :-1, :-1])
    permutes = (linear.sum(axis=1) == 1).all(axis=1) & (linear.sum(axis=2) == 1).all(axis=1)
    still = (matrix_BEE[:, :-1, -1] == 0).all(axis=1) & (matrix_BEE[:, -1, :-1] == 0).all(axis=1)
    return np.asarray(whole & permutes & still & (matrix_BEE[:, -1, -1] == 1))
