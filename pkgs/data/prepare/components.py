"""Masks of one class as numbered objects: what hangs together is one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.items import IGNORE, Array, DataError, Header, Item
from pkgs.data.prepare.object_numbers import DTYPE, INSTANCES
from pkgs.data.prepare.planes import require_planes


@final
@dataclass(frozen=True)
class Components:
    """Turn `label` of 0, 1 and IGNORE into `instances`: 0 outside, objects 1 .. n in reading order, uint16.

    Pixels that touch by an edge or a corner belong together (8-connected). All other arrays are left out.
    """

    def planned(self, header: Header) -> Header:
        require_planes(header, by="Components")
        return replace(header, arrays={INSTANCES: replace(header.arrays["label"], dtype=DTYPE.name)})

    def __call__(self, item: Item) -> Item:
        return {INSTANCES: connected(item["label"])}


def connected(label: Array) -> NDArray[np.uint16]:
    """Return the objects of a mask [H, W] as 1 .. n.

    Raises:
        DataError: If there are more than 65535.
    """
    from scipy import ndimage  # noqa: PLC0415 - only who counts objects of colour images

    numbers, count = ndimage.label((label > 0) & (label != IGNORE), structure=np.ones((3, 3)))
    if count > np.iinfo(DTYPE).max:
        raise DataError(f"{count} objects in one image; expected at most {np.iinfo(DTYPE).max}.")
    plain: NDArray[np.uint16] = numbers.astype(DTYPE)
    return plain
