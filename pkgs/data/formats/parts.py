"""Folders called train, val and test: where a release says itself which sample belongs to which part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pkgs.data.formats.folders import require_root

PARTS: Final[Mapping[str, str]] = {"train": "train", "val": "val", "test": "test"}
"""Folder name and the part it stands for."""


def parts_of(root: Path, *, names: Mapping[str, str] = PARTS) -> list[tuple[str, Path]]:
    """Return (part, folder) for each part's folder below `root`, or `("", root)` where there is none.

    Raises:
        DataError: If `root` is not a folder.
    """
    require_root(
        root,
        remedy="Set data.root to where your data lies, or make it with `python -m utility.prepare_data`.",
    )
    found = [(part, root / name) for name, part in names.items() if (root / name).is_dir()]
    return found or [("", root)]


def folders_in(folder: Path) -> list[Path]:
    """Return the sub-folders, sorted, hidden ones left out."""
    return sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))


def files_in(folder: Path) -> list[Path]:
    """Return the files, sorted, hidden ones left out."""
    return sorted(place for place in folder.iterdir() if place.is_file() and not place.name.startswith("."))
