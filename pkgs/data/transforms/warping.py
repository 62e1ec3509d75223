"""Resampling of 2-D batches on the CPU by compiled loops, rows shared out over torch's threads.

Places are float32: within 4e-5 of `grid_sample` in double precision (white noise of 224 x 224 pixels), labels
never mixed. A pixel depends on its sample alone, to the bit: not on the batch, nor on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from math import prod
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pkgs.data.transforms.plan import Numbers, Pairs, Plan, Sides
from pkgs.foundation.threads import share_out

Array = NDArray[Any]
Pair = tuple[Tensor, Tensor]
Rows = Callable[[int, int], None]
"""Fills the rows start .. stop - 1 of all samples, counted through."""

SHARE: Final = 2**17
"""Pixels per thread below which none is started: 0.2 ms, where handing work over takes 0.05 ms."""


def warp(linear: Pairs, labels: Pairs, *, plan: Plan) -> None:
    """Fill the targets. Linear ones interpolate between the 4 neighbours, labels take the nearest pixel."""
    sides: Sides = tuple((linear[0] if linear else labels[0])[0].shape[-2:])
    ways = _ways(plan, sides)
    fills = [
        _rows(*_images(pair, plan), *_labels(together, plan), ways, plan=plan, sides=sides)
        for pair, together in zip_longest(linear, labels)
    ]

    def fill(start: int, stop: int) -> None:
        for each in fills:
            each(start, stop)

    rows, columns = plan.size
    count = len(plan.which) * rows
    share_out(fill, count=count, threads=min(torch.get_num_threads(), max(1, count * columns // SHARE)))


def _ways(plan: Plan, sides: Sides) -> tuple[Array, ...]:
    """Return where pixels come from: matrices from index to place, offsets, who has them, which samples."""
    matrix_BEE = _to_pixels(sides) @ plan.matrix_BEE @ _from_index(plan.size)
    offsets = np.zeros((1, 2, 1, 1), np.float32) if plan.offsets_px is None else plan.offsets_px.numpy()
    return matrix_BEE, np.ascontiguousarray(offsets), plan.bent_B, plan.which


def _from_index(sides: Sides) -> Numbers:
    """Return the matrix from index (x, y, 1) to place in [-1, 1] from edge to edge."""
    rows, columns = sides
    return np.array([[2 / columns, 0, 1 / columns - 1], [0, 2 / rows, 1 / rows - 1], [0, 0, 1]])


def _to_pixels(sides: Sides) -> Numbers:
    """Return the matrix from place in [-1, 1] to place in pixels from the edge."""
    height, width = sides
    return np.array([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]])


def _images(pair: Pair | None, plan: Plan) -> tuple[Array, Array]:
    """Return images of at least 2 x 2 pixels and where the new ones go; without any, some of no channel."""
    if pair is None:
        return np.zeros((len(plan.matrix_BEE), 0, 2, 2), np.float32), np.zeros((1, 0, *plan.size), np.float32)
    source, target = pair
    values: Array = source.contiguous().numpy()
    thin = [(0, int(side < 2)) for side in values.shape[2:]]
    if min(values.shape[2:]) < 2:
        values = np.pad(values, [(0, 0), (0, 0), *thin], mode="edge")
    return values, target.numpy()


def _labels(pair: Pair | None, plan: Plan) -> tuple[Array, Array, Array]:
    """Return labels, where the new ones go, and the code outside; without labels, none.

    They come as codes of their width, one kernel for each: labels are moved, never counted with.
    """
    if pair is None:
        return np.zeros((0, 1), np.uint8), np.zeros((0, *plan.size), np.uint8), np.zeros((), np.uint8)
    source, target = pair
    codes, found = np.dtype(f"u{source.element_size()}"), target.numpy()
    outside = np.array(plan.outside_label, dtype=found.dtype).view(codes)
    return source.contiguous().numpy().view(codes).reshape(len(source), -1), found.view(codes), outside


def _rows(  # noqa: PLR0913, PLR0917 - what a kernel takes
    images: Array,
    new_images: Array,
    labels: Array,
    new_labels: Array,
    outside_label: Array,
    ways: tuple[Array, ...],
    *,
    plan: Plan,
    sides: Sides,
) -> Rows:
    from pkgs.data.transforms import plane_kernels  # noqa: PLC0415 - loads numba

    shape, planes = (*sides, images.shape[3]), images.reshape(*images.shape[:2], prod(images.shape[2:]))
    rules = plan.outside is None, np.float32(plan.outside or 0.0), outside_label[()]
    return lambda start, stop: plane_kernels.warp(
        planes, labels, shape, *ways, *rules, new_images, new_labels, start, stop
    )
