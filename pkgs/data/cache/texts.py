"""A column of texts as one block of bytes and its offsets: mapped from a file as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    def of(cls, texts: Sequence[str]) -> Self:
        """Pack the texts; names of files that are no UTF-8 survive."""
        whole = "".join(texts)
        if whole.isascii():  # the rule, and three times as fast
            block, lengths = whole.encode(), [len(text) for text in texts]
        else:
            raw = [text.encode("utf-8", "surrogateescape") for text in texts]
            block, lengths = b"".join(raw), [len(word) for word in raw]
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return cls(offsets, np.frombuffer(block, dtype=np.uint8))

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
