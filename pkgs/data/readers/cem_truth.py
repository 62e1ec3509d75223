"""The masks of a synthetic unlabelled pool: for evaluation only, and so not in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final, final

from pkgs.data.formats.folders import files_by_stem, subfolders
from pkgs.data.formats.grey_image import TIFF_ENDINGS
from pkgs.data.items import DataError, Header, Item, Sample, listed
from pkgs.data.readers.cem_1500k import Cem1500k
from pkgs.data.readers.cem_mitolab import CemMitoLab

TRUTH: Final = "truth"
"""Folder beside that of the sources."""


@final
@dataclass(frozen=True)
class CemTruth:
    """The images of a pool in the layout `cem_1500k` with the masks that the synthetic set keeps beside them.

    Files: `CEM1500k_unlabelled/truth/<source>/<name>.tif[f]` besides those of `Cem1500k`; ids are the same.
    Labels: as of `CemMitoLab`. Group: the source.
    """

    name: ClassVar[str] = "cem_1500k_truth"
    version: ClassVar[int] = 1

    def samples(self, root: Path) -> list[Sample]:
        """Return all samples of the pool, sorted by id, with their masks.

        Raises:
            DataError: If a mask is missing.
        """
        images = Cem1500k().samples(root)
        folder = truth_beside(images[0])
        masks = {
            f"{source}/{stem}": path
            for source, place in (subfolders(folder).items() if folder else ())
            for stem, path in files_by_stem(place, TIFF_ENDINGS).items()
        }
        missing = [sample.id for sample in images if sample.id not in masks]
        if missing:
            raise DataError(
                f"{root}: {len(missing)} images of the pool have no mask in {TRUTH}/: {listed(missing)}. "
                f"Generate the set anew, or remove {TRUTH}/: then nothing is measured on the pool."
            )
        return [replace(sample, files={**sample.files, "label": masks[sample.id]}) for sample in images]

    def header(self, sample: Sample) -> Header:
        return CemMitoLab().header(sample)

    def read(self, sample: Sample) -> Item:
        return CemMitoLab().read(sample)


def truth_beside(sample: Sample) -> Path | None:
    """Return the folder of masks that belongs to an image of the pool; None where there is none."""
    folder = sample.files["image"].parent.parent.parent / TRUTH
    return folder if folder.is_dir() else None
