"""Grey images of every depth as whole numbers of one depth, for sets that mix them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.items import Array, ArraySpec, DataError, Header, Item
from pkgs.data.prepare.planes import require_planes

Bits = Literal[8, 16]
DTYPES: Final[Mapping[int, np.dtype[Any]]] = {8: np.dtype(np.uint8), 16: np.dtype(np.uint16)}


@final
@dataclass(frozen=True)
class GreyCodes:
    """Bring `image` to whole numbers from 0 (black) to 2^bits - 1 (white); the other arrays pass.

    16 bits keep images of 8 and of 16 bits exactly (one code of 8 bits is 257 codes of 16), and floats within
    [0, 1] to 1/131070. 8 bits keep images of 8 bits exactly and all others to 1/510, in half the room.
    """

    bits: Bits = 16

    def planned(self, header: Header) -> Header:
        require_planes(header, by="GreyCodes")
        planned = {name: self._planned(name, spec) for name, spec in header.arrays.items()}
        return replace(header, arrays=planned)

    def __call__(self, item: Item) -> Item:
        return {name: self._changed(array) if name == "image" else array for name, array in item.items()}

    def _planned(self, name: str, spec: ArraySpec) -> ArraySpec:
        return replace(spec, dtype=DTYPES[self.bits].name) if name == "image" else spec

    def _changed(self, image: Array) -> Array:
        goal = DTYPES[self.bits]
        if image.dtype == goal:
            return image
        if image.dtype == np.uint8:
            return image.astype(np.uint16) * np.uint16(257)
        codes: Array = np.rint(shares(image) * (2**self.bits - 1)).astype(goal)
        return codes


def shares(image: Array) -> NDArray[np.float64]:
    """Return grey values as shares of white.

    Raises:
        DataError: If the type is not uint8, uint16 or float.
    """
    if image.dtype.kind == "f":
        return image.astype(np.float64)
    if image.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"GreyCodes: an image of type {image.dtype}; expected uint8, uint16, or float within [0, 1]."
        )
    whole: NDArray[np.float64] = image / np.float64(np.iinfo(image.dtype).max)
    return whole
