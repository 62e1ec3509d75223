"""Unpacking an archive of images: whole or not at all, nowhere but where it should, resumed after a stop.

Files go into a draft beside the goal, which moves over in one rename. Only images are unpacked.
"""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from pkgs.data.cache.room import free_bytes, readable
from pkgs.data.fetch import KEEP_FREE
from pkgs.data.formats.folders import descend
from pkgs.data.formats.grey_image import TIFF_ENDINGS
from pkgs.data.items import DataError, listed
from pkgs.foundation.files import read_json, sync_folder, write_json

MARK: Final = "archive.json"
"""Beside the draft's files: of which archive they are."""
BLOCK: Final = 2**20


def unpack(
    archive: Path,
    goal: Path,
    *,
    levels: Sequence[Sequence[str]],
    check: Callable[[Path], object],
    tick: Callable[[int, int], None],
) -> int:
    """Unpack the images of a zip archive into `goal` and return how many there are.

    Args:
        archive: Holds the folders of the set at one of the `levels`.
        goal: Folder of the sources; must not exist.
        levels: Names of folders that lead to the sources, deepest first; () means they lie at the top.
        check: Raises a DataError if the folder that it is given is not of the layout.
        tick: Told how many files are there, and of how many.

    Raises:
        DataError: If the archive is damaged, unsafe or of another layout, or the disk too small.
    """
    draft = goal.parent / f".{goal.name}.unpacking"
    try:
        with zipfile.ZipFile(archive) as file:
            members = _images(archive, file)
            _open_draft(draft, archive)
            _require_room(goal.parent, members, draft)
            for number, member in enumerate(members, start=1):
                _place(file, member, draft / "files")
                tick(number, len(members))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DataError(
            f"{archive}: is no whole zip archive ({error}). Fetch it again; its SHA-256 tells."
        ) from None
    found = next(place for level in levels if (place := descend(draft / "files", level)) is not None)
    check(found)
    os.sync()  # bytes before names: a power cut must not leave empty images behind
    found.rename(goal)
    sync_folder(goal.parent)
    shutil.rmtree(draft)
    return len(members)


def _images(archive: Path, file: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the images of the archive; nothing is written before all names are found to be safe."""
    members = [member for member in file.infolist() if not member.is_dir()]
    bad = [member.filename for member in members if not _is_safe(member)]
    if bad:
        raise DataError(
            f"{archive}: holds names that lead out of the folder, or links: {listed(bad)}. "
            "That is no archive of this release; do not use it."
        )
    images = [member for member in members if _is_image(member.filename)]
    names = {member.filename.casefold() for member in images}
    if len(names) != len(images):
        raise DataError(f"{archive}: holds the same name twice. That is no archive of this release.")
    if any(member.flag_bits & 1 for member in images):
        raise DataError(f"{archive}: is encrypted. Unpack it by hand, and give the folder as --root.")
    if not images:
        raise DataError(f"{archive}: holds no image (.tif, .tiff). Is it the right archive?")
    return images


def _is_safe(member: zipfile.ZipInfo) -> bool:
    """Say whether a member stays below the folder that it is unpacked to."""
    name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
    plain = kind in (0, stat.S_IFREG)
    parts = PurePosixPath(name).parts
    outside = name.startswith("/") or ".." in parts or "\\" in name or ":" in name or "\0" in name
    return plain and bool(parts) and not outside


def _is_image(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and name.lower().endswith(TIFF_ENDINGS)


def _open_draft(draft: Path, archive: Path) -> None:
    """Keep what a stopped call has unpacked of this very archive."""
    seen = archive.stat()
    mark = {"archive": str(archive.resolve()), "bytes": seen.st_size, "changed_ns": seen.st_mtime_ns}
    if read_json(draft / MARK) != mark:
        shutil.rmtree(draft, ignore_errors=True)
        (draft / "files").mkdir(parents=True)
        write_json(draft / MARK, mark)


def _require_room(folder: Path, members: Sequence[zipfile.ZipInfo], draft: Path) -> None:
    there = sum(path.stat().st_size for path in (draft / "files").rglob("*") if path.is_file())
    needed, free = sum(member.file_size for member in members) - there + KEEP_FREE, free_bytes(folder)
    if free < needed:
        raise DataError(
            f"{folder}: {readable(free)} are free, {readable(needed)} are needed to unpack. Make room, or "
            "give another --root."
        )


def _place(file: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    """Write one file beside its name, then rename it; one that is whole stays. zipfile compares the CRC."""
    goal = folder / member.filename
    if goal.exists() and goal.stat().st_size == member.file_size and _crc(goal) == member.CRC:
        return
    goal.parent.mkdir(parents=True, exist_ok=True)
    part = goal.with_name(f".{goal.name}.part")
    with file.open(member) as source, part.open("wb") as target:
        shutil.copyfileobj(source, target, BLOCK)
    part.replace(goal)


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            crc = zlib.crc32(block, crc)
    return crc
