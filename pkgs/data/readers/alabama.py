"""The folder layout of the Alabama buildings, whose masks are inverted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, final

from pkgs.data.channel_statistics import Statistics
from pkgs.data.formats.aerial import read_tile, tile_files, tile_header
from pkgs.data.formats.folders import child, require_root
from pkgs.data.items import DataError, Header, Item, Sample
from pkgs.foundation import colours

COLOURS: Final = Statistics(*colours.COLOURS["alabama"])
"""Of images in 0-255, R, G, B."""


@final
@dataclass(frozen=True)
class Alabama:
    """Alabama buildings segmentation: satellite tiles with roofs.

    Files: `image/<name>.png` and `mask/<name>.png` (or TIFF), equal names; id `<name>`.
    Counts and size: as released; not verified here.
    Depth: `image` [3, H, W] uint8 RGB, alpha dropped.
    Labels: `label` [H, W] uint8, 0 ground, 1 building. **Stored inverted**: 0 is building, 255 (or 1) is
    ground.
    Group: the tile itself; no split is released. No ignore value.
    Licence and citation: see the release (Kaggle, "Alabama Buildings Segmentation").
    """

    name: ClassVar[str] = "alabama"
    version: ClassVar[int] = 1
    channels: ClassVar[int] = 3

    def samples(self, root: Path) -> list[Sample]:
        """Return all tiles, sorted by id.

        Raises:
            DataError: If a folder is missing, or images and masks are not pairs (the first twenty are
            listed).
        """
        require_root(root, remedy="Unpack the release there, so that it holds image/ and mask/.")
        tiles = tile_files(root, {"image": child(root, "image"), "label": child(root, "mask")})
        if not tiles:
            raise DataError(f"{root}: holds no tile; expected image/<name>.png and mask/<name>.png.")
        return [Sample(stem, stem, files) for stem, files in tiles.items()]

    def header(self, sample: Sample) -> Header:
        return tile_header(sample)

    def read(self, sample: Sample) -> Item:
        return read_tile(sample, zero_is_inside=True)
