"""Large images as windows of the network's size, instead of shrunk ones. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np

from pkgs.data.items import Array, DataError, Header, Item, Reader, Sample
from pkgs.data.split import Entry


@final
@dataclass(frozen=True)
class Tiled:
    """A reader of windows of 2-D images: a sample's `place` is the number of its window.

    The windows cover the image in rows and columns, evenly spaced, so that neighbours may share a strip. An
    image no larger than a window stays whole, with the id it has; a window's id is `<id>/<row>_<column>`.
    """

    reader: Reader
    side_px: int

    @property
    def name(self) -> str:
        return f"tiled {self.reader.name}"

    @property
    def version(self) -> int:
        return self.reader.version

    def samples(self, root: Path) -> list[Sample]:
        """Return the windows of all images below `root`.

        Raises:
            DataError: If they cannot be read.
        """
        return [window for sample in self.reader.samples(root) for window in self.windows(sample)]

    def windows(self, sample: Sample) -> list[Sample]:
        """Return the windows of one image, from its header.

        Raises:
            DataError: If the header cannot be read, or the file holds several images.
        """
        if sample.place is not None:
            raise DataError(
                f"{sample.id}: its file holds several images, and data.fit is tile. Choose resize."
            )
        corners = corners_of(self._shape(sample), side_px=self.side_px)
        if len(corners) == 1:
            return [sample]
        return [
            replace(sample, id=f"{sample.id}/{row}_{column}", place=number)
            for number, (row, column) in enumerate(corners)
        ]

    def header(self, sample: Sample) -> Header:
        header = self.reader.header(_whole(sample))
        if sample.place is None:
            return header
        specs = header.arrays.items()
        cut = {
            name: replace(spec, shape=(*spec.shape[:-2], *(min(n, self.side_px) for n in spec.shape[-2:])))
            if len(spec.shape) > 1
            else spec
            for name, spec in specs
        }
        return replace(header, arrays=cut)

    def read(self, sample: Sample) -> Item:
        item = self.reader.read(_whole(sample))
        if sample.place is None:
            return item
        row, column = corners_of(item["image"].shape[-2:], side_px=self.side_px)[sample.place]
        rows, columns = slice(row, row + self.side_px), slice(column, column + self.side_px)
        return {name: _cut(array, rows, columns) for name, array in item.items()}

    def _shape(self, sample: Sample) -> tuple[int, ...]:
        return self.reader.header(sample).arrays["image"].shape[-2:]


def tile(
    samples: Sequence[Sample], entries: Sequence[Entry], *, reader: Tiled, tick: Callable[[], None]
) -> tuple[list[Sample], list[Entry]]:
    """Return windows instead of images, and of each the part that its image stands in.

    Args:
        samples: Images.
        entries: Of those that take part.
        reader: Cuts them.
        tick: Called after each header, for a heartbeat.

    Raises:
        DataError: If a header cannot be read.
    """
    entry_of = {entry.sample: entry for entry in entries}
    windows: list[Sample] = []
    told: list[Entry] = []
    for sample in samples:
        own = reader.windows(sample)
        windows += own
        entry = entry_of.get(sample.id)
        told += [replace(entry, sample=window.id) for window in own] if entry is not None else []
        tick()
    return windows, told


def corners_of(shape: Sequence[int], *, side_px: int) -> list[tuple[int, int]]:
    """Return first row and column of the windows that cover an image of this shape."""
    rows, columns = (_starts(length, side_px) for length in shape)
    return [(row, column) for row in rows for column in columns]


def _starts(length: int, side_px: int) -> list[int]:
    count = max(1, -(-length // side_px))
    return [round(k * (length - side_px) / (count - 1)) for k in range(count)] if count > 1 else [0]


def _whole(sample: Sample) -> Sample:
    """Return the image that a window is of."""
    if sample.place is None:
        return sample
    return replace(sample, id=sample.id.rpartition("/")[0], place=None)


def _cut(array: Array, rows: slice, columns: slice) -> Array:
    return np.ascontiguousarray(array[..., rows, columns]) if array.ndim > 1 else array
