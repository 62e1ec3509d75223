"""The folder layout of LiTS as PNG slices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, final

import numpy as np

from pkgs.data.formats.folders import (
    child,
    files_by_stem,
    find_child,
    matched,
    require_equal_shapes,
    require_root,
)
from pkgs.data.formats.grey_image import grey_header, label_header, read_codes, read_labels
from pkgs.data.items import ArraySpec, DataError, Header, Item, Sample, listed

NAMES: Final = {
    "image": re.compile(r"volume-(\d+)_(\d+)"),
    "liver": re.compile(r"segmentation-(\d+)_livermask_(\d+)"),
    "tumour": re.compile(r"segmentation-(\d+)_lesionmask_(\d+)"),
}
"""How the files of each kind are called: volume, then slice."""
LIVER: Final = 1
TUMOUR: Final = 2


@final
@dataclass(frozen=True)
class LitsPng:
    """LiTS, the liver tumour challenge, as cleaned 8-bit slices.

    Files: `Clean_LiTS/{train,val,test}/volumes/volume-<v>_<s>.png` and
    `.../segmentations/segmentation-<v>_{livermask,lesionmask}_<s>.png`; id `<part>/volume-<v>_<s>`.
    Counts: slices of the 131 public CT volumes, mostly 512x512.
    Depth: `image` [1, H, W] uint8 grey, already windowed.
    Labels: `label` [H, W] uint8, 0 background, 1 liver, 2 tumour; in a mask every value above 0 is inside,
    and tumour wins where both are. A missing mask is an error, never an empty one. No ignore value.
    Group: the volume; `part` as released.
    Licence: CC BY-NC-SA 4.0. Cite: Bilic et al. 2023, Medical Image Analysis 84, 102680.
    """

    name: ClassVar[str] = "lits_png"
    version: ClassVar[int] = 1

    def samples(self, root: Path) -> list[Sample]:
        """Return all slices of the three parts, sorted by id.

        Args:
            root: The folder that holds `Clean_LiTS`, or that folder itself.

        Raises:
            DataError: If a folder is missing, or a slice lacks one of its masks (the first twenty are
            listed).
        """
        require_root(root, remedy="Unpack the slices there, so that it holds Clean_LiTS/train/volumes.")
        home = find_child(root, "Clean_LiTS") or root
        samples = []
        for part in ("train", "val", "test"):
            samples += _slices(child(home, part), part)
        return sorted(samples, key=lambda sample: sample.id)

    def header(self, sample: Sample) -> Header:
        dtype, shape = grey_header(sample.files["image"])
        masks = {name: label_header(sample.files[name]) for name in ("liver", "tumour")}
        require_equal_shapes(sample, {"image": shape, **masks})
        return Header(
            {"image": ArraySpec("image", dtype, (1, *shape)), "label": ArraySpec("label", "uint8", shape)}
        )

    def read(self, sample: Sample) -> Item:
        image = read_codes(sample.files["image"])
        liver, tumour = (read_labels(sample.files[name]) > 0 for name in ("liver", "tumour"))
        require_equal_shapes(sample, {"image": image.shape, "liver": liver.shape, "tumour": tumour.shape})
        label = np.where(tumour, TUMOUR, np.where(liver, LIVER, 0)).astype(np.uint8)
        return {"image": image[None], "label": label}


def _slices(folder: Path, part: str) -> list[Sample]:
    volumes, masks = (
        files_by_stem(child(folder, "volumes"), (".png",)),
        files_by_stem(child(folder, "segmentations"), (".png",)),
    )
    columns = {
        "image": _keyed(volumes, "image"),
        "liver": _keyed(masks, "liver"),
        "tumour": _keyed(masks, "tumour"),
    }
    foreign = len(volumes) + len(masks) - sum(map(len, columns.values()))
    if foreign:
        known = {path for files in columns.values() for path in files.values()}
        odd = sorted(path.name for path in (*volumes.values(), *masks.values()) if path not in known)
        raise DataError(
            f"{folder}: {foreign} files are not called as in the release: {listed(odd)}. Remove them."
        )
    words = {"image": "image", "liver": "livermask", "tumour": "lesionmask"}
    keys = matched(folder, {words[name]: files for name, files in columns.items()})
    if not keys:
        raise DataError(f"{folder}: holds no slice; expected volumes/volume-<v>_<s>.png.")
    return [
        Sample(
            f"{part}/{key}",
            key.partition("_")[0],
            {name: files[key] for name, files in columns.items()},
            part,
        )
        for key in keys
    ]


def _keyed(files: dict[str, Path], name: str) -> dict[str, Path]:
    """Return the files of one kind by `volume-<v>_<s>`."""
    hits = ((NAMES[name].fullmatch(stem), path) for stem, path in files.items())
    return {f"volume-{hit[1]}_{hit[2]}": path for hit, path in hits if hit}
