"""Parts of a split over a real cache of tiny images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import Tensor

from pkgs.data.cache.config import CacheConfig
from pkgs.data.cache.opening import open_cache
from pkgs.data.items import ArraySpec, Header, Item, Sample
from pkgs.data.samples import Part


@dataclass(frozen=True)
class Arrays:
    """A reader of images [1, H, W] and labels [H, W] in uint8 from .npz files."""

    name: ClassVar[str] = "arrays"
    version: ClassVar[int] = 1

    def samples(self, root: Path) -> list[Sample]:
        files = sorted(root.glob("*.npz"))
        return [Sample(f.stem.replace("__", "/"), f.stem.partition("__")[0], {"image": f}) for f in files]

    def header(self, sample: Sample) -> Header:
        item = self.read(sample)
        kinds = {"image": "image", "label": "label"}
        return Header({n: ArraySpec(kinds[n], a.dtype.name, a.shape) for n, a in item.items()})  # type: ignore[arg-type]

    def read(self, sample: Sample) -> Item:
        with np.load(sample.files["image"]) as file:
            return {"image": file["image"], "label": file["label"]}


def write_part(folder: Path, *, ids: list[str], images_NHW: Tensor, labels_NHW: Tensor) -> Part:
    """Write images and labels and return them as a part; a sample's source is its id up to the `/`."""
    root = folder / "arrays"
    root.mkdir()
    for id_, image, label in zip(ids, images_NHW.numpy(), labels_NHW.numpy(), strict=True):
        np.savez(root / f"{id_.replace('/', '__')}.npz", image=image[None], label=label)
    reader = Arrays()
    cache = open_cache(
        reader, reader.samples(root), root=root, config=CacheConfig(folder=str(folder / "cache"))
    )
    return Part(cache, np.arange(len(ids)))
