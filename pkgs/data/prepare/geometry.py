"""Affines of volumes: which array axis is which direction of the body, and what a changed grid's affine is.

Pure functions of 4 x 4 matrices (voxel index to millimetres, right-anterior-superior). Touches no voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from pkgs.data.items import DataError, Header

Affine = tuple[tuple[float, ...], ...]
Matrix = NDArray[np.float64]


def matrix_of(header: Header, *, purpose: str) -> Matrix:
    """Return the header's affine as an array.

    Raises:
        DataError: If the header has none.
    """
    if len(header.affine) != 4:
        raise DataError(
            f"{purpose} needs to know where the voxels lie, but this layout knows no affine (shapes: "
            f"{', '.join(f'{name} {spec.shape}' for name, spec in header.arrays.items())}). "
            "Use it with volumes in NIfTI or DICOM, or leave it out."
        )
    return np.asarray(header.affine, dtype=np.float64)


def rows_of(matrix: Matrix) -> Affine:
    """Return an array as the nested tuples that a Header holds."""
    return tuple(tuple(float(value) for value in row) for row in matrix)


def canonical_axes(affine: Matrix) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Return which array axis runs most nearly right, anterior and superior, and which of them to flip.

    Of the six permutations the one with the largest sum of absolute direction cosines; the first of equals.
    """
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    best = max(permutations(range(3)), key=lambda axes: sum(abs(cosines[w, a]) for w, a in enumerate(axes)))
    flips = [bool(cosines[world, axis] < 0) for world, axis in enumerate(best)]
    return (best[0], best[1], best[2]), (flips[0], flips[1], flips[2])


def turned(affine: Matrix, shape: Sequence[int], *, axes: Sequence[int], flips: Sequence[bool]) -> Matrix:
    """Return the affine after the array axes were permuted to `axes` and then flipped where said."""
    new = np.eye(4)
    new[:3, :3] = affine[:3, list(axes)]
    new[:3, 3] = affine[:3, 3]
    for place, flip in enumerate(flips):
        if flip:
            new[:3, 3] += new[:3, place] * (shape[axes[place]] - 1)
            new[:3, place] *= -1
    return new


def rescaled(affine: Matrix, steps: Sequence[float]) -> Matrix:
    """Return the affine of a grid whose voxels are `steps` times as long; the first voxel's edges stay."""
    new = affine.copy()
    new[:3, :3] = affine[:3, :3] * np.asarray(steps)
    new[:3, 3] = affine[:3, 3] + affine[:3, :3] @ (0.5 * np.asarray(steps) - 0.5)
    return new
