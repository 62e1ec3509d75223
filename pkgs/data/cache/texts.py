"""A column of texts as one block of bytes and its offsets: mapped from a file as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, final, overload

import numpy as np
from numpy.typing import NDArray


@final
class Texts(Sequence[str]):
    """Texts by number. Forks share its pages; a list of str would be copied by its reference counts."""

    def __init__(self, offsets: NDArray[np.int64], block: NDArray[np.uint8]) -> None:
        self.offsets = offsets
        self.block = block

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Pack the texts; names of files that are no UTF-8 survive."""
        raw = [text.encode("utf-8", "surrogateescape") for text in texts]
        offsets = np.zeros(len(raw) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, raw), dtype=np.int64, count=len(raw)), out=offsets[1:])
        return cls(offsets, np.frombuffer(b"".join(raw), dtype=np.uint8))

    @classmethod
    def within(cls, arrays: Mapping[str, NDArray[Any]], name: str) -> Self:
        """Return the column that `arrays_as` has stored under `name`."""
        return cls(arrays[f"{name}.offsets"], arrays[f"{name}.block"])

    def arrays_as(self, name: str) -> dict[str, NDArray[Any]]:
        return {f"{name}.offsets": self.offsets, f"{name}.block": self.block}

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]  # raises IndexError, and counts from the end
        start, stop = int(self.offsets[place]), int(self.offsets[place + 1])
        return self.block[start:stop].tobytes().decode("utf-8", "surrogateescape")
