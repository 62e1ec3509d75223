"""What a data set consists of: samples that readers find, arrays that they decode, and what each array means.

The contract between readers, cache, transforms and studies. Decodes nothing, loads no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Kind = Literal["image", "label", "soft", "weight", "vector"]
"""What an array means, and so how it may be changed.

`image` [C, *space] is interpolated linearly; `label` [*space] holds whole numbers and takes the nearest;
`soft` [K, *space] holds shares that sum to 1; `weight` [*space] is interpolated linearly; `vector` [K] has no
place in space: class numbers, or one entry per class of a multi-label task.
"""

IGNORE: Final = 255
"""Label of pixels that neither loss nor metric may see."""

UNKNOWN: Final = -1
"""Entry of a `vector` that nobody has judged; neither loss nor metric may see it."""

SHOWN: Final = 20
"""How many offending names an error lists."""

Array = NDArray[Any]
Item = Mapping[str, Array]
"""The decoded arrays of one sample by name, channels first, each in the dtype of its file."""


class DataError(ValueError):
    """Data that cannot be used; the message names file or folder, what was expected, and the remedy."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of a data set: where its arrays come from, and what it must not be parted from."""

    id: str
    """Unique within the set, with `/` between parts."""
    group: str
    """What no split may part: source, patient, volume, tile. The id where samples are independent."""
    files: Mapping[str, Path]
    """The file of each array by the array's name; several arrays may come from one file."""
    part: str = ""
    """`train`, `val` or `test` where the release itself says so, else empty."""
    vector: tuple[int, ...] = ()
    """Labels that stand in a table instead of a file of its own: one class, or one entry per class."""
    place: int | None = None
    """Index of the slice or frame inside the file, where a file holds several samples."""


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """Kind, dtype and shape of one array, known from a header before anything is decoded."""

    kind: Kind
    dtype: str
    """numpy's name, such as `uint8`."""
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return int(np.dtype(self.dtype).itemsize * np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a sample before it is decoded; lies in the index, never in a batch."""

    arrays: Mapping[str, ArraySpec]
    spacing_mm: tuple[float, ...] = ()
    """Distance between two voxels along each axis of space; empty where the format knows none."""
    affine: tuple[tuple[float, ...], ...] = field(default=())
    """Voxel index to millimetres, 4 x 4; empty where the format knows none."""


class Reader(Protocol):
    """One folder layout: which samples there are, and how they are decoded.

    An instance pickles small and keeps no open file: worker processes get a copy each. A frozen dataclass:
    its `repr` names every option (such as which masks are read) and enters the key of the cache.
    """

    @property
    def name(self) -> str:
        """The layout's name in `pkgs/data/catalog.py`; enters the key of the cache."""

    @property
    def version(self) -> int:
        """Raised whenever the decoded values change; enters the key of the cache."""

    def samples(self, root: Path) -> list[Sample]:
        """Return all samples below `root`, sorted by id. Decodes nothing.

        Raises:
            DataError: If the layout is not there, or files are without a partner (the first twenty are
            listed).
        """

    def header(self, sample: Sample) -> Header:
        """Return what the file headers say of the sample's arrays, as `read` will return them.

        Raises:
            DataError: If a header cannot be read or arrays do not belong together.
        """

    def read(self, sample: Sample) -> Item:
        """Return the decoded arrays of one sample.

        Raises:
            DataError: If a file is damaged, or of another type than the layout promises.
        """


class Preparation(Protocol):
    """A deterministic change of one item on the CPU: its result may be cached. Random ones are another type.

    A frozen dataclass or Section: its `repr` names every setting and enters the key of the cache.
    """

    def planned(self, header: Header) -> Header:
        """Return what `__call__` will return, from the header alone."""

    def __call__(self, item: Item) -> Item:
        """Return the changed arrays; the given ones stay as they are."""


def listed(names: Iterable[str]) -> str:
    """Return the first twenty names, and how many more there are."""
    every = list(names)
    rest = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + rest
