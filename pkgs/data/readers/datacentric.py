"""The two folder layouts of the DataCentric buildings, whose labels are noisy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, final

from pkgs.data.channel_statistics import Statistics
from pkgs.data.formats.aerial import read_tile, tile_files, tile_header
from pkgs.data.formats.folders import child, require_root
from pkgs.data.items import DataError, Header, Item, Sample, listed
from pkgs.foundation import colours

COLOURS: Final = Statistics(*colours.COLOURS["datacentric"])
"""Of images in 0-255, R, G, B."""

IMAGES: Final = ("training_patches", "image_patches")
NOISY: Final = ("training_noisy_labels", "noisy_labels")
CLEAN: Final = ("training_labels", "clean_labels")
"""The folder of each array in the first and in the later release."""
NAME_PARTS: Final = 5


@final
@dataclass(frozen=True)
class DataCentric:
    """DataCentric: aerial patches with buildings, whose masks were made noisy on purpose.

    Files: `training_patches/<a>_<b>_<c>_<i>_<j>.png`, `training_noisy_labels/` and, where the truth is known,
    `training_labels/`, equal names; the later release calls them `image_patches/`, `noisy_labels/` and
    `clean_labels/`. id: the name.
    Counts: 5,000 patches of 256x256 from 541 tiles; neighbours overlap by 47 px (offsets 0, 209 ... 1044).
    Depth: `image` [3, H, W] uint8 RGB, alpha dropped.
    Labels: `label` [H, W] uint8, the noisy mask, 0 ground, 1 building; `truth` likewise, if asked for.
    Stored 0/1 or 0/255. No ignore value.
    Group: the source tile `<a>_<b>_<c>`.
    Licence and citation: see the release.
    """

    truth: bool = False
    """Whether the clean masks are read too; only a bench may look at them."""

    name: ClassVar[str] = "datacentric"
    version: ClassVar[int] = 1
    channels: ClassVar[int] = 3

    def samples(self, root: Path) -> list[Sample]:
        """Return all patches, sorted by id.

        Raises:
            DataError: If a folder is missing, files are not partners (the first twenty are listed), or a name
            does not tell its source tile.
        """
        require_root(root, remedy=f"Unpack the release there, so that it holds {IMAGES[0]}/ and {NOISY[0]}/.")
        folders = {"image": child(root, *IMAGES), "label": child(root, *NOISY)}
        if self.truth:
            folders["truth"] = child(root, *CLEAN)
        patches = tile_files(root, folders)
        if not patches:
            raise DataError(f"{folders['image']}: holds no patch; expected <a>_<b>_<c>_<i>_<j>.png.")
        odd = [stem for stem in patches if len(stem.split("_")) != NAME_PARTS]
        if odd:
            raise DataError(
                f"{folders['image']}: names without five parts: {listed(odd)}; expected "
                "<a>_<b>_<c>_<i>_<j>.png, whose first three name the source tile. "
                "For other names use the layout rgb_folder."
            )
        return [Sample(stem, source_tile(stem), files) for stem, files in patches.items()]

    def header(self, sample: Sample) -> Header:
        return tile_header(sample)

    def read(self, sample: Sample) -> Item:
        return read_tile(sample)


def source_tile(stem: str) -> str:
    """Return the tile that a patch was cut from: the first three parts of its name."""
    return "_".join(stem.split("_")[:3])
