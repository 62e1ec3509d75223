"""Where checkpoints lie, and how one replaces another without a moment without any. Loads no torch.

`checkpoints/last` and `best` are links to whole, synced folders with the digest of each file; the folder
before stays as a spare.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pkgs.foundation.files import read_json, sync_folder, write_json, write_whole

Name = Literal["last", "best"]
DIGESTS: Final = "digests.json"
DIGITS: Final = 32
KEPT: Final = 2
"""The folder that the link shows, and the one before."""


def publish(checkpoints: Path, name: Name, *, step: int, files: Mapping[str, bytes]) -> Path:
    """Write `files` as a new folder and let `name` show it; return the folder.

    A crash at any moment leaves the old checkpoint in force or the new one. On a full disk the old one stays.

    Raises:
        OSError: If there is no room.
    """
    checkpoints.mkdir(parents=True, exist_ok=True)
    folder = _unused(checkpoints, f"{name}_{step:08d}")
    folder.mkdir()
    try:
        for file_name, content in files.items():
            write_whole(folder / file_name, content)
        write_json(folder / DIGESTS, {file_name: _digest(content) for file_name, content in files.items()})
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    sync_folder(checkpoints)
    _point(checkpoints, name, to=folder.name)
    _tidy(checkpoints, name)
    return folder


def newest_whole(checkpoints: Path, name: Name) -> tuple[Path | None, list[str]]:
    """Return the folder to load for `name` and one sentence for each damaged one that was passed over."""
    notes: list[str] = []
    if not (checkpoints / name).is_symlink():
        return None, notes  # nothing was ever published whole
    shown = (checkpoints / name).resolve()
    spares = [folder for folder in _folders(checkpoints, name)[::-1] if folder != shown]
    for folder in [shown, *spares]:
        fault = fault_of(folder)
        if fault is None:
            return folder, notes
        notes.append(f"checkpoint {folder}: {fault}; taking the one before.")
    return None, notes


def fault_of(folder: Path) -> str | None:
    """Say what is wrong with a checkpoint folder, None if it is whole."""
    digests = read_json(folder / DIGESTS)
    if not isinstance(digests, dict) or not digests:
        return f"{DIGESTS} is missing or damaged"
    for file_name, digest in digests.items():
        try:
            with (folder / str(file_name)).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
        except OSError as error:
            return f"{file_name} cannot be read ({error.strerror})"
        if found != digest:
            return f"{file_name} is damaged"
    return None


def _tidy(checkpoints: Path, name: Name) -> None:
    """Delete all but the newest whole folders; one that a crash left unfinished is no spare."""
    whole = [folder for folder in _folders(checkpoints, name) if (folder / DIGESTS).exists()]
    for folder in _folders(checkpoints, name):
        if folder not in whole[-KEPT:]:
            shutil.rmtree(folder)


def _point(checkpoints: Path, name: Name, *, to: str) -> None:
    link = checkpoints / f".{name}.{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(to)
    link.replace(checkpoints / name)
    sync_folder(checkpoints)


def _folders(checkpoints: Path, name: Name) -> list[Path]:
    """Return the folders of `name`, the one written last at the end."""
    found = [path for path in checkpoints.glob(f"{name}_*") if path.is_dir()]
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))


def _unused(checkpoints: Path, wish: str) -> Path:
    """Return a folder name that is free: after a crash the same step may be saved again."""
    number, folder = 1, checkpoints / wish
    while folder.exists():
        number += 1
        folder = checkpoints / f"{wish}_{number}"
    return folder


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]
