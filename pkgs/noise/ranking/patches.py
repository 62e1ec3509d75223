"""The patches that are ranked: who they are, in which fold they stand, and their labels and images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pkgs.data.catalog import READERS, channels_of
from pkgs.data.config import DataConfig
from pkgs.data.folds import read_folds
from pkgs.data.formats.grey_image import digest_image
from pkgs.data.formats.rgb_image import digest_rgb
from pkgs.data.items import DataError, Item, Reader, Sample, listed
from pkgs.data.prepare.foreground import Foreground
from pkgs.data.split import require_samples, split_file
from pkgs.data.unchanged import refuse_changed
from pkgs.foundation.registry import choose

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Patches:
    """All patches of a set, sorted by id."""

    reader: Reader
    samples: tuple[Sample, ...]
    folds: tuple[int, ...]
    side_px: int
    split: str
    """Name of the file of folds."""

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def ids(self) -> list[str]:
        return [sample.id for sample in self.samples]

    @property
    def groups(self) -> list[str]:
        return [sample.group for sample in self.samples]

    @property
    def names(self) -> list[str]:
        """File name of each image; where two are equal, the id with its ending."""
        files = [sample.files["image"] for sample in self.samples]
        often = Counter(file.name for file in files)
        return [
            file.name if often[file.name] == 1 else f"{sample.id.replace('/', '__')}{file.suffix}"
            for file, sample in zip(files, self.samples, strict=True)
        ]

    def item(self, place: int) -> Item:
        """Return image and label of one patch at the size of the predictions; the label is 0 and 1.

        Raises:
            DataError: If a file is damaged, or the mask ignores pixels.
        """
        from pkgs.data.prepare.resize import Resize  # noqa: PLC0415 - torch

        sample = self.samples[place]
        item = Resize((self.side_px, self.side_px))(Foreground()(self.reader.read(sample)))
        if item["label"].max(initial=0) > 1:
            raise DataError(
                f"{sample.files['label']}: ignores pixels (255). A ranking compares whole masks; give those "
                "pixels a class."
            )
        return item


class GivenLabels:
    """The labels of all patches in memory, a bit per pixel."""

    def __init__(self, patches: Patches, *, tick: Callable[[], None]) -> None:
        self.side_px = patches.side_px
        self._bits_NB = np.zeros((len(patches), -(-(self.side_px**2) // 8)), np.uint8)
        for place in range(len(patches)):
            self._bits_NB[place] = np.packbits(patches.item(place)["label"])
            tick()

    def at(self, places: Places) -> NDArray[np.uint8]:
        """Return labels [len(places), H, W] of 0 and 1."""
        flat = np.unpackbits(self._bits_NB[places], axis=1, count=self.side_px**2)
        return flat.reshape(-1, self.side_px, self.side_px)


def find_patches(config: DataConfig, *, tick: Callable[[], None] = lambda: None) -> Patches:
    """Return the patches and their folds. Writes nothing into the data set.

    Raises:
        DataError: If data or folds are missing or do not fit, or an image has changed since.
    """
    reader = choose("layout", READERS, config.layout)()
    samples = reader.samples(Path(config.root))
    path = split_file(Path(config.root), config.split)
    if not path.exists():
        raise DataError(
            f"{path}: is missing. The runs that judge folds write it; train them first, "
            "with the same data.split."
        )
    entries = read_folds(path)
    require_samples(path, entries, samples=samples)
    _require_whole_groups(path, {entry.sample: entry.split for entry in entries}, samples=samples)
    digests = {entry.sample: entry.digest for entry in entries}
    if all(digests.values()):
        digest = digest_image if channels_of(config.layout) == 1 else digest_rgb
        refuse_changed(samples, digests=digests, config=config, digest=digest, tick=tick)
    fold_of = {entry.sample: int(entry.split) for entry in entries}
    folds = tuple(fold_of[sample.id] for sample in samples)
    return Patches(reader, tuple(samples), folds, config.size_px, path.name)


def chunks(count: int, *, side_px: int, chunk_px: int) -> list[Places]:
    """Return the places 0 ... count - 1 in pieces of at most `chunk_px` pixels, at least one patch each."""
    size = max(1, chunk_px // side_px**2)
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]


def _require_whole_groups(path: Path, fold_of: dict[str, str], *, samples: Sequence[Sample]) -> None:
    folds: dict[str, set[str]] = {}
    for sample in samples:
        folds.setdefault(sample.group, set()).add(fold_of[sample.id])
    torn = sorted(group for group, seen in folds.items() if len(seen) > 1)
    if torn:
        raise DataError(
            f"{path}: stands {listed(torn)} in several folds, so that a network sees a tile that it judges. "
            "Remove the file and train again, or mend it."
        )
