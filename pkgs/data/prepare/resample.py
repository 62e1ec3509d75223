"""Volumes on a grid of a wanted spacing, and probabilities back on the grid of the scan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.items import ArraySpec, DataError, Header, Item
from pkgs.data.prepare.axis_maps import along, cubic, linear, nearest
from pkgs.data.prepare.geometry import Matrix, matrix_of, rescaled, rows_of

SAME_MM: Final = 1e-3
"""Spacings closer than this are one spacing: headers round."""


@final
@dataclass(frozen=True)
class Resample:
    """Interpolate to `spacing_mm`; edges of voxels stay aligned and the new affine is exact.

    `image`: cubic spline in float32, border `nearest`, clipped to the input's range, rounded where the
    input was whole; blurred first by a Gaussian of sigma = 0.5 x new/old voxels on axes that get coarser,
    and only there. `label`: nearest. `soft` and `weight`: linear. New length: max(1, round(n x old/new)).
    An axis that has its spacing within 1e-3 mm is not touched.
    """

    spacing_mm: tuple[float, float, float] | None
    """Along the array axes (after Reorient: right-left, anterior-posterior, inferior-superior); None: as it
    is."""

    def __post_init__(self) -> None:
        if self.spacing_mm is not None and (len(self.spacing_mm) != 3 or min(self.spacing_mm) <= 0):
            raise ValueError(f"spacing_mm {self.spacing_mm}: expected three lengths above 0, in millimetres.")

    def planned(self, header: Header) -> Header:
        steps = self._steps(header)
        new = {n: replace(s, shape=_resized(s, steps)) for n, s in header.arrays.items()}
        spacing = tuple(old * step for old, step in zip(header.spacing_mm, steps, strict=True))
        return Header(new, spacing, rows_of(rescaled(matrix_of(header, purpose="Resample"), steps)))

    def apply(self, item: Item, header: Header) -> Item:
        steps, planned = self._steps(header), self.planned(header)
        return {
            name: _moved(array, header.arrays[name], planned.arrays[name], steps)
            for name, array in item.items()
        }

    def _steps(self, header: Header) -> tuple[float, ...]:
        """Return new over old spacing per axis; exactly 1 where nothing changes."""
        matrix_of(header, purpose="Resample")
        wanted = header.spacing_mm if self.spacing_mm is None else self.spacing_mm
        pairs = zip(wanted, header.spacing_mm, strict=True)
        return tuple(1.0 if abs(new - old) < SAME_MM else new / old for new, old in pairs)


def to_native(
    probabilities_CDHW: NDArray[np.float32], *, working: Header, native: Header
) -> NDArray[np.uint8]:
    """Return the class of every voxel of the scan: each probability linearly at its centre, then the largest.

    Args:
        probabilities_CDHW: On the working grid, at most 255 classes.
        working: The header after Reorient and Resample.
        native: The header of the file. The two grids may differ by permuted, flipped and scaled axes.

    Returns:
        uint8 [*space] in the axes of the file: write it with `formats.nifti.write_like`. Ties: the lower
        class.

    Raises:
        DataError: If one grid is turned against the other.
    """
    to_working = np.linalg.inv(matrix_of(working, purpose="to_native")) @ matrix_of(
        native, purpose="to_native"
    )
    space = next(iter(native.arrays.values())).shape[-3:]
    axes = _native_axes(to_working)
    best = np.full([space[axis] for axis in axes], -np.inf, np.float32)
    winner = np.zeros(best.shape, np.uint8)
    for number, probability in enumerate(probabilities_CDHW):
        moved = probability
        for place, axis in enumerate(axes):
            matrix = linear(
                probability.shape[place],
                space[axis],
                step=round(float(to_working[place, axis]), 12),
                offset=round(float(to_working[place, 3]), 9),
            )
            moved = along(moved, matrix, axis=place)
        larger = moved > best  # strictly: of equals the lower class stays
        winner[larger], best[larger] = number, moved[larger]
    return np.ascontiguousarray(winner.transpose(np.argsort(axes)))


def _native_axes(to_working: Matrix) -> tuple[int, int, int]:
    """Return the native axis that runs along each working axis."""
    linear_part = to_working[:3, :3]
    axes = tuple(int(axis) for axis in np.argmax(np.abs(linear_part), axis=1))
    alone = np.zeros((3, 3))
    alone[range(3), axes] = linear_part[range(3), axes]
    if len(set(axes)) < 3 or np.abs(linear_part - alone).max() > 1e-3:
        raise DataError(
            "The working grid is turned against the scan's; expected the grid that Reorient and "
            "Resample made of "
            "this very scan. Is the prediction of another case?"
        )
    return axes[0], axes[1], axes[2]


def _resized(spec: ArraySpec, steps: tuple[float, ...]) -> tuple[int, ...]:
    if spec.kind == "vector":
        return spec.shape
    space = (max(1, round(n / step)) for n, step in zip(spec.shape[-3:], steps, strict=True))
    return (*spec.shape[:-3], *space)


def _moved(
    array: NDArray[Any], spec: ArraySpec, planned: ArraySpec, steps: tuple[float, ...]
) -> NDArray[Any]:
    changed = [axis for axis in (-3, -2, -1) if steps[axis] != 1]
    if spec.kind == "vector" or not changed:
        return array
    moved = array
    for axis in changed:
        count, new_count, step = spec.shape[axis], planned.shape[axis], steps[axis]
        if spec.kind == "label":
            moved = np.take(moved, nearest(count, new_count, step=step), axis=axis)
            continue
        kernel = cubic if spec.kind == "image" else linear
        moved = along(moved, kernel(count, new_count, step=step), axis=axis)
    if spec.kind != "label":
        moved = np.clip(moved, array.min(), array.max())
    if array.dtype.kind != "f":
        moved = np.rint(moved)
    return np.ascontiguousarray(moved, dtype=array.dtype)
