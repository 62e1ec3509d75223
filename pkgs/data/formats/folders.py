"""Which files a folder holds, asked once and without a look at each: a million files are feasible.

The kind of an entry comes with the listing; only links are followed. Decodes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pkgs.data.items import DataError, Sample, listed


def require_root(root: Path, *, remedy: str) -> None:
    """Refuse a data set whose folder is not there.

    Raises:
        DataError: Names `root` and ends with `remedy`, a whole sentence.
    """
    if not root.is_dir():
        raise DataError(f"{root}: is not a folder. {remedy}")


def subfolders(folder: Path) -> dict[str, Path]:
    """Return the folders directly below `folder` by name, sorted; hidden ones are left out."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    return {name: folder / name for name in names}


def find_child(folder: Path, *names: str) -> Path | None:
    """Return the sub-folder that bears one of `names`, compared without case, or None.

    Raises:
        DataError: If several do.
    """
    wanted = {name.lower() for name in names}
    found = [path for name, path in subfolders(folder).items() if name.lower() in wanted]
    if len(found) > 1:
        told = listed(path.name for path in found)
        raise DataError(f"{folder}: several folders stand for {names[0]!r}: {told}. Keep one.")
    return found[0] if found else None


def child(folder: Path, *names: str) -> Path:
    """Return the sub-folder that bears one of `names`, compared without case.

    Raises:
        DataError: If there is none, or several.
    """
    found = find_child(folder, *names)
    if found is None:
        there = listed(subfolders(folder)) or "no folder"
        raise DataError(
            f"{folder}: the folder {' or '.join(map(repr, names))} is missing; it holds {there}. "
            "Is this the right place, and was everything unpacked?"
        )
    return found


def descend(root: Path, names: Sequence[str]) -> Path | None:
    """Return the folder below `root` along `names`, compared without case, or None."""
    here: Path | None = root
    for name in names:
        here = None if here is None else find_child(here, name)
    return here


def files_by_stem(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    """Return the files of these endings directly in `folder` by name without ending, hidden ones left out.

    Args:
        folder: Which.
        endings: In lower case, with the dot.

    Raises:
        DataError: If two files differ in their ending alone, or a link leads nowhere.
    """
    found: dict[str, Path] = {}
    twins, dangling = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, dot, ending = entry.name.rpartition(".")
            if not stem or dot + ending.lower() not in endings or stem[0] == "." or entry.is_dir():
                continue
            if entry.is_symlink() and not os.path.exists(entry.path):
                dangling.append(entry.name)
            elif stem in found:
                twins.append(f"{found[stem].name} and {entry.name}")
            else:
                found[stem] = folder / entry.name
    if twins:
        raise DataError(
            f"{folder}: files with the same name up to its ending: {listed(sorted(twins))}. Keep one."
        )
    if dangling:
        raise DataError(
            f"{folder}: links to files that are missing: {listed(sorted(dangling))}. "
            "Restore the files, or remove the links."
        )
    return found


def matched(root: Path, columns: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Return the keys, sorted, if every column has all of them.

    Args:
        root: Named in the error.
        columns: Files by key, by what they are called in a message ("image", "mask").

    Raises:
        DataError: Lists the first twenty keys that some column lacks.
    """
    every = set().union(*columns.values())
    lonely = [f"{key} (no {word})" for word, files in columns.items() for key in every - files.keys()]
    if lonely:
        raise DataError(
            f"{root}: {len(lonely)} files without a partner: {listed(sorted(lonely))}. "
            "Partners bear the same name; restore the missing ones, or remove what is alone."
        )
    return sorted(every)


def require_equal_shapes(sample: Sample, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse arrays of one sample that do not cover the same pixels.

    Raises:
        DataError: Names the files and their shapes in space.
    """
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{sample.files[name]} has {shape}" for name, shape in shapes.items())
        raise DataError(
            f"{sample.id}: its files differ in shape: {told}. Are they a pair? Export both from one source."
        )
