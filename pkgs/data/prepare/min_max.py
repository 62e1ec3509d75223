"""Each image on its own scale, from its darkest to its brightest value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from pkgs.data.items import Array, ArraySpec, Header, Item
from pkgs.data.prepare.planes import require_planes


@final
@dataclass(frozen=True)
class MinMax:
    """Scale `image` to [0, 1] over all its channels, float32; a constant image becomes 0.

        (x - min) / (max - min)

    Four times the memory of 8 bits: cache it only where the extremes must be those of the whole image, before
    random crops; else normalise on the device. Values that are not finite stay so.
    """

    def planned(self, header: Header) -> Header:
        require_planes(header, by="MinMax")
        return replace(header, arrays={name: _planned(name, spec) for name, spec in header.arrays.items()})

    def __call__(self, item: Item) -> Item:
        return {name: scaled(array) if name == "image" else array for name, array in item.items()}


def scaled(image: Array) -> Array:
    """Return `image` as float32 in [0, 1]."""
    floats = image.astype(np.float32)
    low, high = floats.min(), floats.max()
    if low == high:
        return np.zeros_like(floats)
    unit: Array = (floats - low) / (high - low)
    return unit


def _planned(name: str, spec: ArraySpec) -> ArraySpec:
    return replace(spec, dtype="float32") if name == "image" else spec
