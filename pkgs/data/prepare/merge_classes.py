"""Labels of the source merged into the classes of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.items import IGNORE, DataError, Header, Item

OLD_WHOLE_KIDNEY: Final = 3
"""In the old strings (`0,3`) this number stands for kidney and tumour together, labels 1 and 2."""


@final
@dataclass(frozen=True)
class MergeClasses:
    """Replace each source label by the position of its class; 255 stays ignored."""

    classes: tuple[tuple[str, tuple[int, ...]], ...]
    """Name and source labels of each class, in order: `(("background", (0,)), ("kidney_tumour", (1, 2)))`."""

    unlisted: Literal["error", "background"] = "error"
    """What becomes of a source label that is in no class; background is class 0."""

    def __post_init__(self) -> None:
        labels = [label for _, sources in self.classes for label in sources]
        names = [name for name, _ in self.classes]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if (
            len(self.classes) < 2
            or not all(sources for _, sources in self.classes)
            or len(set(names)) < len(names)
        ):
            raise ValueError(
                f"classes {self.classes}: expected two or more, each with a name and source labels."
            )
        if twice:
            raise ValueError(
                f"classes: the source labels {twice} stand in several entries; keep each in one."
            )
        if min(labels) < 0 or max(labels) >= IGNORE:
            raise ValueError(f"classes: source labels {sorted(labels)}; expected 0 to {IGNORE - 1}.")

    @classmethod
    def of(
        cls,
        entries: Sequence[Mapping[str, Sequence[int]]],
        *,
        unlisted: Literal["error", "background"] = "error",
    ) -> MergeClasses:
        """Build it from a configuration's list: `[{background: [0]}, {kidney_tumour: [1, 2]}]`."""
        pairs = [(name, tuple(labels)) for entry in entries for name, labels in entry.items()]
        return cls(tuple(pairs), unlisted)

    @classmethod
    def of_old_string(cls, text: str) -> MergeClasses:
        """Build it from `0,1,2` or `0,3` (kidney and tumour as one), as earlier KiTS19 users write it."""
        names: dict[int, tuple[str, tuple[int, ...]]]
        names = {0: ("background", (0,)), 1: ("kidney", (1,)), 2: ("tumour", (2,))}
        names[OLD_WHOLE_KIDNEY] = ("kidney_tumour", (1, 2))
        try:
            chosen = tuple(names[int(word)] for word in text.split(","))
        except (ValueError, KeyError):
            raise ValueError(f"classes {text!r}: expected numbers of 0 to 3, such as 0,1,2 or 0,3.") from None
        return cls(chosen, "background")

    @property
    def names(self) -> tuple[str, ...]:
        """Position and name, as files and tables call a class: `1_kidney_tumour`."""
        return tuple(f"{position}_{name}" for position, (name, _) in enumerate(self.classes))

    def planned(self, header: Header) -> Header:
        return header

    def __call__(self, item: Item) -> Item:
        if "label" not in item:
            return item
        return {**item, "label": self._merged(item["label"])}

    def _merged(self, label: NDArray[Any]) -> NDArray[np.uint8]:
        table = np.full(256, IGNORE, np.uint8)
        known = np.zeros(256, dtype=bool)
        known[IGNORE] = True
        for position, (_, sources) in enumerate(self.classes):
            table[list(sources)], known[list(sources)] = position, True
        counts = np.bincount(label.ravel(), minlength=256)
        surplus = np.flatnonzero((counts > 0) & ~known)
        if surplus.size and self.unlisted == "error":
            told = ", ".join(f"{value} ({counts[value]} voxels)" for value in surplus)
            raise DataError(
                f"The mask holds the labels {told}, which stand in no class "
                f"({', '.join(f'{name} {list(sources)}' for name, sources in self.classes)}). "
                "Add them to a class, or set unlisted: background."
            )
        table[surplus] = 0
        merged: NDArray[np.uint8] = table[label]
        return merged
