"""One data set in the colours of another, by mean and spread of each channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from pkgs.data.channel_statistics import Statistics
from pkgs.data.items import Array, DataError, Header, Item
from pkgs.data.prepare.planes import require_planes


@final
@dataclass(frozen=True)
class ColourMatch:
    """Move `image` to the colours of another set: per channel (x - mean) / std * target std + target mean.

    Computed in float64, rounded and clipped to uint8. A constant channel becomes the target's mean.

    Source: specs of the label-noise study; Reinhard et al. 2001, IEEE CG&A 21(5), equation 10, in RGB.
    """

    target: Statistics
    """Of the set whose colours are wanted, on 0-255."""

    own: Statistics | None = None
    """Of the set itself: every image is moved alike. None: each image is moved by its own statistics."""

    def planned(self, header: Header) -> Header:
        require_planes(header, by="ColourMatch")
        spec = header.arrays.get("image")
        if spec is None or spec.dtype != "uint8" or spec.shape[0] != len(self.target.mean):
            told = "none" if spec is None else f"{spec.dtype} with shape {spec.shape}"
            raise DataError(
                f"ColourMatch: the image is {told}; expected uint8 with {len(self.target.mean)} channels. "
                "Match colours before anything that changes the type."
            )
        return header

    def __call__(self, item: Item) -> Item:
        return {name: self._matched(array) if name == "image" else array for name, array in item.items()}

    def _matched(self, image: Array) -> Array:
        own = self.own or Statistics.of(image)
        mean, std = _column(own.mean), _column(own.std)
        spread = np.divide(_column(self.target.std), std, out=np.zeros_like(std), where=std > 0)
        moved = (image.astype(np.float64) - mean) * spread + _column(self.target.mean)
        return np.clip(np.rint(moved), 0, 255).astype(np.uint8)


def _column(values: tuple[float, ...]) -> Array:
    return np.array(values, np.float64)[:, None, None]
