"""Numbered objects alone, numbered anew: what object counts and falsified masks need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.items import IGNORE, Array, DataError, Header, Item
from pkgs.data.prepare.planes import require_planes

DTYPE: Final = np.dtype(np.uint16)
INSTANCES: Final = "instances"
"""Name of the array in items and batches."""


@final
@dataclass(frozen=True)
class ObjectNumbers:
    """Turn `label` into `instances`: 0 outside, objects 1 .. n in the order of their numbers, uint16.

    All other arrays are left out. In a label of 8 bits 255 means ignored, which is no object; a label of two
    values is one object. Half the room of the stored int32, whatever numbers a release uses.
    """

    def planned(self, header: Header) -> Header:
        require_planes(header, by="ObjectNumbers")
        return replace(header, arrays={INSTANCES: replace(header.arrays["label"], dtype=DTYPE.name)})

    def __call__(self, item: Item) -> Item:
        return {INSTANCES: numbered(item["label"])}


def numbered(label: Array) -> NDArray[np.uint16]:
    """Return the objects of a label [H, W] as 1 .. n.

    Raises:
        DataError: If there are more than 65535.
    """
    outside = label <= 0
    if label.dtype.itemsize == 1:
        outside |= label == IGNORE
    known = np.unique(label[~outside])
    if len(known) > np.iinfo(DTYPE).max:
        raise DataError(f"{len(known)} objects in one image; expected at most {np.iinfo(DTYPE).max}.")
    numbers = np.searchsorted(known, label) + 1
    numbers[outside] = 0
    return numbers.astype(DTYPE)
