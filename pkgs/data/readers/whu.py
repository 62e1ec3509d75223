"""The folder layout of the WHU aerial buildings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, final

from pkgs.data.channel_statistics import Statistics
from pkgs.data.formats.aerial import read_tile, tile_files, tile_header
from pkgs.data.formats.folders import child, require_root
from pkgs.data.items import DataError, Header, Item, Sample
from pkgs.foundation import colours

COLOURS: Final = Statistics(*colours.COLOURS["whu"])
"""Of images in 0-255 that are matched in colour to DataCentric, R, G, B."""


@final
@dataclass(frozen=True)
class Whu:
    """WHU building data set, aerial imagery: roofs of Christchurch, New Zealand.

    Files: `{train,val,test}/{Image,Mask}/<name>.png` (or TIFF), equal names; id `<part>/<name>`.
    Counts, as published: 4,736 + 1,036 + 2,416 tiles of 512x512 at .3 m; about 187,000 buildings.
    Depth: `image` [3, H, W] uint8 RGB, alpha dropped.
    Labels: `label` [H, W] uint8, 0 ground, 1 building (stored 255, or 1); no ignore value.
    Group: the tile itself; `part` as released.
    Licence: see the release (research use). Cite: Ji, Wei and Lu 2019, IEEE TGRS 57(1).
    """

    name: ClassVar[str] = "whu"
    version: ClassVar[int] = 1
    channels: ClassVar[int] = 3

    def samples(self, root: Path) -> list[Sample]:
        """Return all tiles of the three parts, sorted by id.

        Raises:
            DataError: If a folder is missing, or images and masks are not pairs (the first twenty are
            listed).
        """
        require_root(root, remedy="Unpack the release there, so that it holds train/Image and train/Mask.")
        samples = []
        for part in ("test", "train", "val"):
            folder = child(root, part)
            tiles = tile_files(folder, {"image": child(folder, "Image"), "label": child(folder, "Mask")})
            if not tiles:
                raise DataError(f"{folder}: holds no tile; expected Image/<name>.png and Mask/<name>.png.")
            samples += [
                Sample(f"{part}/{stem}", f"{part}/{stem}", files, part) for stem, files in tiles.items()
            ]
        return samples

    def header(self, sample: Sample) -> Header:
        return tile_header(sample)

    def read(self, sample: Sample) -> Item:
        return read_tile(sample)
