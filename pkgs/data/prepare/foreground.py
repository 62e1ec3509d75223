"""Numbered objects or many classes as one: object or ground."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from pkgs.data.items import IGNORE, Array, ArraySpec, Header, Item
from pkgs.data.prepare.planes import is_label, require_planes

DTYPE: Final = "uint8"


@final
@dataclass(frozen=True)
class Foreground:
    """Turn each label into 0 and 1: `label > 0` is 1, ignored pixels stay ignored. The result is uint8.

    In a label of 8 bits 255 means ignored. A wider label holds numbered objects, nothing in it is ignored,
    and the 255th object is an object.
    """

    def planned(self, header: Header) -> Header:
        require_planes(header, by="Foreground")
        return replace(header, arrays={name: _planned(spec) for name, spec in header.arrays.items()})

    def __call__(self, item: Item) -> Item:
        return {name: _changed(array) if is_label(array) else array for name, array in item.items()}


def _planned(spec: ArraySpec) -> ArraySpec:
    return replace(spec, dtype=DTYPE) if spec.kind == "label" else spec


def _changed(label: Array) -> Array:
    inside = (label > 0).astype(np.uint8)
    if label.dtype.itemsize == 1:
        inside[label == IGNORE] = IGNORE
    return inside
