"""Files that other processes read while we write: replaced whole, synced, never edited in place."""

from __future__ import annotations

import json
import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make renames and new names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: str | bytes, *, mode: int | None = None, durable: bool = True) -> None:
    """Replace `path` by `data`; a reader sees the old file or the new one, never a part.

    Args:
        path: Written through if it is a symbolic link. Its folder must exist.
        data: Text is stored as UTF-8, line ends as they are.
        mode: Permission bits; without it those of the old file, or the process's default.
        durable: Whether a power cut may not take it back. False spares two syncs for what it makes worthless.

    Raises:
        OSError: If there is no room or no permission; the old file is then untouched.
    """
    path = Path(os.path.realpath(path))
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    raw = data.encode() if isinstance(data, str) else data
    try:
        with draft.open("wb") as file:
            file.write(raw)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if mode is None and path.exists():
            mode = path.stat().st_mode & 0o7777
        if mode is not None:
            draft.chmod(mode)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_json(path: Path, value: object, *, durable: bool = True) -> None:
    """Replace `path` by `value` as indented JSON with a final newline."""
    text = json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"
    write_whole(path, text, durable=durable)


def read_json(path: Path) -> object | None:
    """Return the JSON in `path`, or None when it is missing, unreadable or not JSON."""
    try:
        return json.loads(path.read_bytes())  # type: ignore[no-any-return]
    except (OSError, ValueError):
        return None
