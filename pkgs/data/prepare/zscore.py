"""Intensities of MR: zero mean and unit spread within the body, per case."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from pkgs.data.items import Header, Item


@final
@dataclass(frozen=True)
class ZScore:
    """Map every `image` channel to (x - mean) / sd, both over its non-zero voxels; float32.

    It needs the whole case and is therefore cached; zeros are mapped like the rest, so the order of values
    stays. A channel without spread becomes 0. The mapped minimum is what patches are padded with.
    """

    def planned(self, header: Header) -> Header:
        arrays = {
            name: replace(spec, dtype="float32") if spec.kind == "image" else spec
            for name, spec in header.arrays.items()
        }
        return replace(header, arrays=arrays)

    def __call__(self, item: Item) -> Item:
        image = item["image"].astype(np.float32)
        for channel in image:
            inside = channel[channel != 0].astype(np.float64)
            spread = float(inside.std()) if inside.size else 0.0
            channel[...] = (channel - inside.mean()) / spread if spread > 0 else 0
        return {**item, "image": image}
