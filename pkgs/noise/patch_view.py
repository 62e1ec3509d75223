"""A patch as exports see it: what was given, what was predicted, and how noisy it seems."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import final

import numpy as np
from numpy.typing import NDArray

from pkgs.data.formats.grey_image import ENDINGS
from pkgs.data.items import DataError


@final
@dataclass(frozen=True, eq=False)
class PatchView:
    """One patch of a ranking; arrays of equal height and width."""

    imageid: str
    """Unique; its name in `corrected/`, and in every table."""
    label_file: Path
    """What `label` was read from; its size may be another. Only read."""
    image: NDArray[np.uint8]
    """[3, H, W] red, green, blue, or [1, H, W] grey."""
    label: NDArray[np.uint8]
    """[H, W], 1 inside."""
    probability: NDArray[np.floating]
    """[H, W], P of an object, 0-1, out of fold."""
    wrong: NDArray[np.floating] | None
    """[H, W], chance that the label is wrong, 0-1; None without an error teacher."""
    rank: int
    """0 for the least noisy."""
    score: float
    """Higher is noisier."""
    p_noisy: float | None = None

    def __post_init__(self) -> None:
        shape = self.label.shape
        maps = {"probability": self.probability, "wrong": self.wrong}
        for name, values in maps.items():
            if values is None:
                continue
            if values.shape != shape:
                raise ValueError(
                    f"{self.imageid}: {name} has shape {values.shape}; expected the label's {shape}."
                )
            if not bool(((values >= 0) & (values <= 1)).all()):  # NaN fails here too
                raise ValueError(f"{self.imageid}: {name} holds values outside 0-1. Was a sigmoid forgotten?")
        if self.image.dtype != np.uint8 or self.image.shape not in {(1, *shape), (3, *shape)}:
            raise ValueError(
                f"{self.imageid}: image is {self.image.dtype} {self.image.shape}; expected uint8 of "
                f"{(3, *shape)} or {(1, *shape)}."
            )

    def target(self, folder: Path) -> Path:
        """Return where the corrected label goes: the imageid with the ending of the label's file.

        Raises:
            DataError: If the name would leave `folder`.
        """
        name = PurePosixPath(self.imageid)
        if name.is_absolute() or ".." in name.parts or not name.name:
            raise DataError(f"{self.imageid!r}: is no name of a file below {folder}. Rename the patch.")
        ending = self.label_file.suffix
        has_ending = name.suffix.lower() in ENDINGS  # `tile.7` has none
        return folder / (name.with_suffix(ending) if has_ending else name.with_name(name.name + ending))
