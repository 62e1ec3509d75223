"""The folder layout of CEM1.5M, unlabelled electron microscopy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, final

from pkgs.data.formats.folders import descend, files_by_stem, require_root, subfolders
from pkgs.data.formats.grey_image import TIFF_ENDINGS, grey_header, read_codes
from pkgs.data.items import ArraySpec, DataError, Header, Item, Sample

LEVELS: Final = (("CEM1500k_unlabelled", "cem1.5M"), ("cem1.5M",), ())
"""Where the sources may lie below the folder that the user gave; compared without case."""


@final
@dataclass(frozen=True)
class Cem1500k:
    """CEM1.5M (EMPIAR-11035): 2-D electron microscopy without labels.

    Files: `CEM1500k_unlabelled/cem1.5M/<source>/<name>.tif[f]`; id `<source>/<name>`.
    Counts: about 1.5 million patches of 224x224 from many sources, of which some are in CEM-MitoLab too.
    Depth: 8 or 16 bit grey, min-is-white inverted; `image` [1, H, W] in the file's dtype.
    Labels: none, and so no ignore value.
    Group: the source.
    Licence: CC0 for EMPIAR entries. Cite: Conrad and Narayan 2023, Cell Systems 14(1); EMPIAR-11035.
    """

    name: ClassVar[str] = "cem_1500k"
    version: ClassVar[int] = 1

    def samples(self, root: Path) -> list[Sample]:
        """Return all samples below `root`, sorted by id.

        Args:
            root: The folder that holds `CEM1500k_unlabelled`, or `cem1.5M`, or the sources themselves.

        Raises:
            DataError: If there is no such folder, or no image in it.
        """
        require_root(root, remedy="Download EMPIAR-11035, or set the root to where your data lies.")
        for level in LEVELS:
            folder = descend(root, level)
            if folder is None:
                continue
            samples = [
                Sample(f"{source}/{stem}", source, {"image": path})
                for source, place in subfolders(folder).items()
                for stem, path in files_by_stem(place, TIFF_ENDINGS).items()
            ]
            if samples:
                return sorted(samples, key=lambda sample: sample.id)
        raise DataError(
            f"{root}: holds no CEM1.5M layout; expected CEM1500k_unlabelled/cem1.5M/<source>/<name>.tiff."
        )

    def header(self, sample: Sample) -> Header:
        dtype, shape = grey_header(sample.files["image"])
        return Header({"image": ArraySpec("image", dtype, (1, *shape))})

    def read(self, sample: Sample) -> Item:
        return {"image": read_codes(sample.files["image"])[None]}
