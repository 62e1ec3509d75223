"""Boxes that are overwritten, one per sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pkgs.data.transforms.config import Range
from pkgs.data.transforms.contract import Sides
from pkgs.data.transforms.stream import Stream


def draw_boxes(stream: Stream, *, p: float, area: Range, aspect: Range, sides: Sides) -> NDArray[np.int64]:
    """Return boxes [B, D, 2]: first and one past the last pixel along each axis, in the order of `sides`.

    Without a box, both are 0. A side that would be longer than the image is cut to it.
    """
    dimensions, batch = len(sides), stream.batch
    shares = np.repeat(stream.between("erase_area", area)[:, None] ** (1 / dimensions), dimensions, axis=1)
    root = np.sqrt(stream.log_between("erase_aspect", aspect))
    shares[:, -1] *= root
    shares[:, -2] /= root
    lengths = np.clip(np.rint(shares * sides), 1, sides)
    places = stream.unit("erase_place", width=dimensions)
    first = np.floor(places * (np.array(sides) - lengths + 1))
    boxes = np.stack([first, first + lengths], axis=2).astype(np.int64)
    chosen = stream.chance("erase", p)
    return np.where(chosen[:, None, None], boxes, np.zeros((batch, 1, 1), dtype=np.int64))


def erase(tensor: Tensor, boxes_BD2: NDArray[np.int64], *, value: float) -> Tensor:
    """Return a copy of [B, ..., *space] in which each sample's box holds the value."""
    erased = tensor.clone()
    for sample, box in enumerate(boxes_BD2.tolist()):
        part = erased[sample]
        for axis, (low, high) in enumerate(box):
            part = part.narrow(axis - len(box), low, high - low)
        part.fill_(value)
    return erased
