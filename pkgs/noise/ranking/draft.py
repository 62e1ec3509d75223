"""Results that take their places together: written into a folder beside them, then moved, the table last."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pkgs.foundation.files import sync_folder

PREFIX: Final = ".ranking."


@contextmanager
def drafted(folder: Path, *, last: str, optional: Sequence[str] = ()) -> Iterator[Path]:
    """Give a folder to write into; at the end everything in it replaces what `folder` has of the same name.

    `last` goes first from `folder` and comes last: where it lies, all belong together. After an error nothing
    in `folder` has changed.

    Args:
        folder: Of the run; holds other things too.
        last: Name of the file that says that all are there.
        optional: What earlier results may have left and these may not have; goes where it is not replaced.
    """
    for left in folder.glob(f"{PREFIX}*"):  # of a process that was killed; a run folder has one at a time
        shutil.rmtree(left, ignore_errors=True)
    draft = folder / f"{PREFIX}{os.getpid()}"
    new, old = draft / "new", draft / "old"
    try:
        for each in (new, old):
            each.mkdir(parents=True)
        yield new
        (folder / last).unlink(missing_ok=True)
        _swap(folder, new, old, names=_names(new, last=last, optional=optional))
        sync_folder(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _swap(folder: Path, new: Path, old: Path, *, names: Sequence[str]) -> None:
    for name in names:
        if (folder / name).exists():
            (folder / name).rename(old / name)
        if (new / name).exists():
            (new / name).rename(folder / name)


def _names(new: Path, *, last: str, optional: Sequence[str]) -> list[str]:
    names = {each.name for each in new.iterdir()} | set(optional)
    return sorted(names, key=lambda name: (name == last, name))
