"""Images of 8 and of 16 bits on one scale, for sets that mix them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from pkgs.data.items import Array, ArraySpec, Header, Item
from pkgs.data.prepare.planes import require_planes


@final
@dataclass(frozen=True)
class UnitRange:
    """Scale `image` to [0, 1] by its type: uint8 / 255, uint16 / 65535, floats as they are; float32.

    For sets whose sources differ in depth, so that a batch has one type. Where all images have 8 bits, keep
    the codes and divide on the device.
    """

    def planned(self, header: Header) -> Header:
        require_planes(header, by="UnitRange")
        return replace(header, arrays={name: _planned(name, spec) for name, spec in header.arrays.items()})

    def __call__(self, item: Item) -> Item:
        return {name: _scaled(array) if name == "image" else array for name, array in item.items()}


def _scaled(image: Array) -> Array:
    floats = image.astype(np.float32)
    return floats if image.dtype.kind == "f" else floats / np.float32(np.iinfo(image.dtype).max)


def _planned(name: str, spec: ArraySpec) -> ArraySpec:
    return replace(spec, dtype="float32") if name == "image" else spec
