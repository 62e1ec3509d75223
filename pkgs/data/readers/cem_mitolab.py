"""The folder layout of CEM-MitoLab and CEM1.5M: which samples there are. Decodes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from pkgs.data.formats.grey_image import TIFF_ENDINGS
from pkgs.data.items import DataError, listed

LEVELS: Final = (Path("CEM-MitoLab/cem_mitolab"), Path("cem_mitolab"), Path())
"""Where the sources may lie below the folder that the user gave; compared without case."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image. `id` is `<source>/<stem>`: stems repeat across sources."""

    id: str
    source: str
    image: Path
    mask: Path


@final
class CemMitoLab:
    """CEM-MitoLab (EMPIAR-11037): 2-D electron microscopy with labelled mitochondria.

    About 21.9k patches, most 224x224, 8 or 16 bit grey, about 135k mitochondria, from many sources (a source
    is one volume or image of one laboratory). Masks are instance label maps: foreground is `> 0`, there is no
    ignore value. `<source>/images/<name>.tif[f]` and `<source>/masks/<name>.tif[f]`, equal stems.
    Licence: CC0 for EMPIAR entries. Cite: Conrad and Narayan 2023, Cell Systems 14(1); EMPIAR-11037.
    """

    def samples(self, root: Path) -> list[Sample]:
        """Return all samples below `root`, sorted by id.

        Args:
            root: The folder that holds `CEM-MitoLab`, or `cem_mitolab`, or the sources themselves.

        Raises:
            DataError: If there is no such folder, or images and masks are not pairs (the first twenty are
            listed).
        """
        samples: list[Sample] = []
        lonely: list[str] = []
        for source in self._sources(root):
            images = _by_stem(_child(source, "images"))
            masks = _by_stem(_child(source, "masks"))
            lonely += [f"{source.name}/{stem} (no mask)" for stem in images.keys() - masks.keys()]
            lonely += [f"{source.name}/{stem} (no image)" for stem in masks.keys() - images.keys()]
            samples += [
                Sample(f"{source.name}/{stem}", source.name, images[stem], masks[stem])
                for stem in images.keys() & masks.keys()
            ]
        if lonely:
            raise DataError(f"{root}: {len(lonely)} files without a partner: {listed(sorted(lonely))}.")
        if not samples:
            raise DataError(f"{root}: no image in any source; expected <source>/images/<name>.tiff.")
        return sorted(samples, key=lambda sample: sample.id)

    def _sources(self, root: Path) -> list[Path]:
        if not root.is_dir():
            raise DataError(
                f"{root}: is not a folder. Generate it (python -m utility.prepare_data cem_phantom "
                f"--out {root} --size demo --seed 0), or set data.root to where your data lies."
            )
        for level in LEVELS:
            folder = _descend(root, level)
            if folder is None:
                continue
            sources = [place for place in sorted(folder.iterdir()) if place.is_dir() and _has_images(place)]
            if sources:
                return sources
        raise DataError(
            f"{root}: holds no CEM-MitoLab layout; expected "
            "CEM-MitoLab/cem_mitolab/<source>/images/<name>.tiff and .../<source>/masks/<name>.tiff."
        )


def _has_images(source: Path) -> bool:
    return any(place.name.lower() == "images" for place in source.iterdir())


def _descend(root: Path, level: Path) -> Path | None:
    here: Path | None = root
    for name in level.parts:
        here = None if here is None else _child(here, name, optional=True)
    return here


def _child(folder: Path, name: str, *, optional: bool = False) -> Path | None:
    """Return the sub-folder of this name, compared without case."""
    found = [place for place in folder.iterdir() if place.is_dir() and place.name.lower() == name.lower()]
    if len(found) > 1:
        raise DataError(f"{folder}: several folders are called {name!r} up to case. Keep one.")
    if not found and not optional:
        raise DataError(f"{folder}: the folder {name!r} is missing.")
    return found[0] if found else None


def _by_stem(folder: Path | None) -> dict[str, Path]:
    assert folder is not None
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in TIFF_ENDINGS or path.name.startswith("."):
            continue
        if path.stem in found:
            raise DataError(f"{path}: {found[path.stem].name} has the same name up to its ending. Keep one.")
        found[path.stem] = path
    return found
