"""Any folder of colour images with masks of one class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

from pkgs.data.formats.aerial import read_tile, tile_files, tile_header
from pkgs.data.formats.folders import child, require_root
from pkgs.data.items import DataError, Header, Item, Sample
from pkgs.data.overlaps import place_of
from pkgs.data.readers.datacentric import source_tile


@final
@dataclass(frozen=True)
class RgbFolder:
    """Colour images of your own.

    Files: `images/<name>.png` and `masks/<name>.png` (or TIFF), equal names; id `<name>`.
    Counts, resolution, licence: yours.
    Depth: `image` [3, H, W] uint8 RGB, alpha dropped.
    Labels: `label` [H, W] uint8, 0 ground, 1 object. Stored 0/1 or 0/255. No ignore value.
    Group: the source tile `<a>_<b>_<c>` of a name `<a>_<b>_<c>_<i>_<j>`, the image itself under other names.
    """

    name: ClassVar[str] = "rgb_folder"
    version: ClassVar[int] = 1
    channels: ClassVar[int] = 3

    def samples(self, root: Path) -> list[Sample]:
        """Return all images, sorted by id.

        Raises:
            DataError: If a folder is missing or empty, or images and masks are not pairs (the first twenty
            are listed).
        """
        require_root(root, remedy=f"Put the images into {root / 'images'} and masks into {root / 'masks'}.")
        found = tile_files(root, {"image": child(root, "images"), "label": child(root, "masks")})
        if not found:
            raise DataError(f"{root}: holds no image; expected images/<name>.png and masks/<name>.png.")
        return [
            Sample(stem, stem if place_of(stem) is None else source_tile(stem), files)
            for stem, files in found.items()
        ]

    def header(self, sample: Sample) -> Header:
        return tile_header(sample)

    def read(self, sample: Sample) -> Item:
        return read_tile(sample)
