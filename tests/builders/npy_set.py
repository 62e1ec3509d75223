"""A small data set of .npy files and its reader, for the cache: decodes are counted, readers can die.

Loads no torch: worker processes import it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pkgs.data.cache.stores import PackedStore
from pkgs.data.items import Array, ArraySpec, Header, Item, Preparation, Sample

SIDE = 24
KINDS: Mapping[str, Any] = {"image": "image", "label": "label", "weight": "weight"}


@dataclass(frozen=True)
class NpySet:
    """`<root>/<array>/<stem>.npy`; `name` and `version` are those of the key."""

    name: str = "npy_set"
    version: int = 1
    decodes: Path | None = field(default=None, repr=False)
    """Where each decoded id is written, by all processes."""
    die_at: str = field(default="", repr=False)
    """The id at which the process kills itself."""
    die_with: int = field(default=signal.SIGKILL, repr=False)

    def samples(self, root: Path) -> list[Sample]:
        names = sorted(folder.name for folder in root.iterdir() if folder.is_dir())
        stems = sorted(path.stem for path in (root / "image").glob("*.npy"))
        return [
            Sample(id=f"s/{stem}", group=f"g{number // 3}",
                   files={name: root / name / f"{stem}.npy" for name in names}, vector=(number % 2,))
            for number, stem in enumerate(stems)
        ]  # fmt: skip

    def header(self, sample: Sample) -> Header:
        arrays = {name: np.load(path, mmap_mode="r") for name, path in sample.files.items()}
        specs = {name: ArraySpec(KINDS[name], str(a.dtype), a.shape) for name, a in arrays.items()}
        specs["vector"] = ArraySpec("vector", "int64", (len(sample.vector),))
        return Header(specs, spacing_mm=(1.0, 0.5))

    def read(self, sample: Sample) -> Item:
        if sample.id == self.die_at:
            os.kill(os.getpid(), self.die_with)
        if self.decodes is not None:
            with self.decodes.open("a") as file:
                file.write(sample.id + "\n")
        item: dict[str, Array] = {name: np.load(path) for name, path in sample.files.items()}
        item["vector"] = np.array(sample.vector, dtype=np.int64)
        return item

    def decoded(self) -> list[str]:
        """Return the ids that were decoded, in this order."""
        assert self.decodes is not None
        return self.decodes.read_text().split() if self.decodes.exists() else []


@dataclass(frozen=True)
class Brighter(Preparation):
    """Adds to the image."""

    by: int = 1

    def planned(self, header: Header) -> Header:
        return header

    def __call__(self, item: Item) -> Item:
        return {**item, "image": item["image"] + np.asarray(self.by, item["image"].dtype)}


@dataclass(frozen=True)
class CutTo(Preparation):
    """Cuts image and label to one side: makes shapes equal."""

    side: int

    def planned(self, header: Header) -> Header:
        cut = {
            name: ArraySpec(spec.kind, spec.dtype, (*spec.shape[:-2], self.side, self.side))
            for name, spec in header.arrays.items()
            if spec.kind != "vector"
        }
        return Header({**header.arrays, **cut}, header.spacing_mm)

    def __call__(self, item: Item) -> Item:
        return {
            name: array if name == "vector" else array[..., : self.side, : self.side]
            for name, array in item.items()
        }


def write_npy_set(
    root: Path,
    *,
    count: int = 12,
    dtype: str = "uint8",
    channels: int = 1,
    side: int = SIDE,
    ragged: bool = False,
) -> Path:
    """Write `count` random images with labels; `ragged` ones differ in their shapes."""
    rng = np.random.default_rng(count)
    for name in ("image", "label"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        high = side + (number % 3 if ragged else 0)
        image = rng.integers(0, 200, (channels, high, side)).astype(dtype)
        np.save(root / "image" / f"{number:03d}.npy", image)
        np.save(root / "label" / f"{number:03d}.npy", rng.integers(0, 3, (high, side)).astype(np.uint8))
    return root


def direct(reader: NpySet, root: Path, preparations: tuple[Preparation, ...] = ()) -> list[dict[str, Array]]:
    """Return every item without any cache: the oracle."""
    items = []
    for sample in reader.samples(root):
        item = reader.read(sample)
        for preparation in preparations:
            item = preparation(item)
        items.append(dict(item))
    return items


def checksum(store: PackedStore) -> int:
    """Return the sum of all image values; runs in child processes, which need no torch for it."""
    return int(store.rows(np.arange(len(store.sources)))["image"].astype(np.int64).sum())
