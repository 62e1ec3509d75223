"""The folder layout of CEM-MitoLab, labelled electron microscopy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, final

from pkgs.data.formats.folders import (
    child,
    descend,
    files_by_stem,
    find_child,
    matched,
    require_equal_shapes,
    require_root,
    subfolders,
)
from pkgs.data.formats.grey_image import TIFF_ENDINGS, grey_header, label_header, read_codes
from pkgs.data.formats.mask import read_instances
from pkgs.data.items import ArraySpec, DataError, Header, Item, Sample

LEVELS: Final = (("CEM-MitoLab", "cem_mitolab"), ("cem_mitolab",), ())
"""Where the sources may lie below the folder that the user gave; compared without case."""


@final
@dataclass(frozen=True)
class CemMitoLab:
    """CEM-MitoLab (EMPIAR-11037): 2-D electron microscopy with labelled mitochondria.

    Files: `CEM-MitoLab/cem_mitolab/<source>/{images,masks}/<name>.tif[f]`, equal names; id `<source>/<name>`.
    Counts: about 21.9k patches, most 224x224, about 135k mitochondria, from many sources.
    Depth: 8 or 16 bit grey, min-is-white inverted; `image` [1, H, W] in the file's dtype, so uint16 besides
    uint8.
    Labels: `label` [H, W] int32, numbered objects; foreground is `> 0`, there is no ignore value (255 is an
    object).
    Group: the source, one volume or image of one laboratory.
    Licence: CC0 for EMPIAR entries. Cite: Conrad and Narayan 2023, Cell Systems 14(1); EMPIAR-11037.
    """

    name: ClassVar[str] = "cem_mitolab"
    version: ClassVar[int] = 1

    def samples(self, root: Path) -> list[Sample]:
        """Return all samples below `root`, sorted by id.

        Args:
            root: The folder that holds `CEM-MitoLab`, or `cem_mitolab`, or the sources themselves.

        Raises:
            DataError: If there is no such folder, or images and masks are not pairs (the first twenty are
            listed).
        """
        images: dict[str, Path] = {}
        masks: dict[str, Path] = {}
        for source, folder in _sources(root).items():
            for found, kind in ((images, "images"), (masks, "masks")):
                files = files_by_stem(child(folder, kind), TIFF_ENDINGS)
                found |= {f"{source}/{stem}": path for stem, path in files.items()}
        ids = matched(root, {"image": images, "mask": masks})
        if not ids:
            raise DataError(f"{root}: no image in any source; expected <source>/images/<name>.tiff.")
        return [
            Sample(id_, id_.partition("/")[0], {"image": images[id_], "label": masks[id_]}) for id_ in ids
        ]

    def header(self, sample: Sample) -> Header:
        dtype, shape = grey_header(sample.files["image"])
        require_equal_shapes(sample, {"image": shape, "label": label_header(sample.files["label"])})
        return Header(
            {"image": ArraySpec("image", dtype, (1, *shape)), "label": ArraySpec("label", "int32", shape)}
        )

    def read(self, sample: Sample) -> Item:
        image, label = read_codes(sample.files["image"]), read_instances(sample.files["label"])
        require_equal_shapes(sample, {"image": image.shape, "label": label.shape})
        return {"image": image[None], "label": label}


def _sources(root: Path) -> dict[str, Path]:
    require_root(
        root,
        remedy="Generate the synthetic set (python -m utility.prepare_data cem_phantom "
        f"--out {root} --size demo --seed 0), or set data.root to where your data lies.",
    )
    for level in LEVELS:
        folder = descend(root, level)
        found = {} if folder is None else subfolders(folder)
        sources = {name: path for name, path in found.items() if find_child(path, "images")}
        if sources:
            return sources
    raise DataError(
        f"{root}: holds no CEM-MitoLab layout; expected "
        "CEM-MitoLab/cem_mitolab/<source>/images/<name>.tiff and .../<source>/masks/<name>.tiff."
    )
