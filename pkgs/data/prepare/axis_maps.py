"""Linear maps along one array axis, as sparse matrices: how a grid is changed axis by axis.

Interpolation and blurring act on each axis alone, so a volume is three products instead of 64 reads per
voxel. Sparse products run in one thread and a fixed order: two processes that fill one cache write the same
bytes. Edges of voxels are aligned: output i lies at `(i + 0.5) * step - 0.5` of the input, in voxels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

NEGLIGIBLE: Final = 1e-7
"""Smaller weights are dropped: below a tenth of a thousandth of 1 HU in the range of CT."""


@lru_cache(maxsize=64)
def cubic(count: int, new_count: int, *, step: float) -> Any:  # noqa: ANN401 - a scipy sparse matrix
    """Return the map [new_count, count] of cubic spline interpolation, border `nearest`.

    Where the axis gets coarser (`step > 1`) the input is blurred first: a Gaussian, sigma = step / 2 voxels.

    Args:
        count: Voxels of the input.
        new_count: Voxels of the output.
        step: Voxels of the input per voxel of the output.
    """
    from scipy import ndimage, sparse  # noqa: PLC0415 - heavy

    impulses = np.eye(count)
    if step > 1:
        impulses = ndimage.gaussian_filter1d(impulses, 0.5 * step, axis=0, mode="nearest")
    weights = [
        ndimage.affine_transform(
            column, [step], offset=0.5 * step - 0.5, output_shape=(new_count,), order=3, mode="nearest"
        )
        for column in impulses.T
    ]
    dense = np.stack(weights, axis=1)
    dense[np.abs(dense) < NEGLIGIBLE] = 0
    return sparse.csr_matrix(dense / dense.sum(axis=1, keepdims=True), dtype=np.float32)


@lru_cache(maxsize=64)
def linear(count: int, new_count: int, *, step: float, offset: float | None = None) -> Any:  # noqa: ANN401
    """Return the map [new_count, count] of linear interpolation at `i * step + offset`, border `nearest`.

    The offset that aligns the edges is the default.
    """
    from scipy import sparse  # noqa: PLC0415 - heavy

    shift = 0.5 * step - 0.5 if offset is None else offset
    places = np.clip(np.arange(new_count) * step + shift, 0, count - 1)
    low = np.minimum(places.astype(np.int64), max(count - 2, 0))
    share = places - low
    rows, high = np.arange(new_count), np.minimum(low + 1, count - 1)
    cells = (np.concatenate([rows, rows]), np.concatenate([low, high]))
    shape = (new_count, count)
    return sparse.csr_matrix((np.concatenate([1 - share, share]), cells), shape=shape, dtype=np.float32)


def nearest(count: int, new_count: int, *, step: float) -> NDArray[np.int64]:
    """Return the input index that is nearest to each output voxel's centre; of two, the later one."""
    # The small number decides ties alike in all cases: spacings in headers are off by rounding.
    places = np.floor((np.arange(new_count) + 0.5) * step + 1e-6).astype(np.int64)
    clipped: NDArray[np.int64] = np.minimum(places, count - 1)
    return clipped


def along(volume: NDArray[Any], matrix: Any, *, axis: int) -> NDArray[np.float32]:  # noqa: ANN401
    """Return `volume` with `matrix` applied along `axis`, in float32."""
    front = np.ascontiguousarray(np.moveaxis(volume, axis, 0), dtype=np.float32)
    mapped = matrix @ front.reshape(front.shape[0], -1)
    return np.moveaxis(mapped.reshape(mapped.shape[0], *front.shape[1:]), 0, axis)
