"""Building a data set so that a killed build never passes for a whole one.

A build fills a draft beside the goal; its folders move over one by one, `dataset.json` comes last and marks
the set as whole. Data sheets and split files that lie in the goal stay. Knows nothing of what is built.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Final

from filelock import FileLock

from pkgs.data.items import DataError
from pkgs.foundation.files import read_json, sync_folder, write_json

MARK: Final = "dataset.json"
"""Says what was built, from which settings; there only if everything is."""
BEGUN: Final = ".moving_over"
"""There while a build moves over; without it, folders in the goal belong to somebody else."""


class Outcome(Enum):
    BUILT = "built"
    THERE = "was there already"


def build_once(
    goal: Path, recipe: Mapping[str, object], fill: Callable[[Path], Mapping[str, object]]
) -> Outcome:
    """Fill `goal` by `fill`, unless the same recipe has filled it already. Safe to kill.

    Args:
        goal: Folder of the set. What else lies in it (README, splits) is left alone.
        recipe: All settings that decide about the content; stored in `dataset.json`.
        fill: Writes folders into the draft that it is given and returns facts (counts) to store.

    Raises:
        DataError: If `goal` holds a set of another recipe, or folders that nobody marked as whole and that
            are not leftovers of this builder.
    """
    goal.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(goal.parent / f".{goal.name}.lock"):
        if _is_there(goal, recipe):
            return Outcome.THERE
        draft = goal.parent / f".{goal.name}.draft"
        shutil.rmtree(draft, ignore_errors=True)  # of a killed build
        draft.mkdir()
        facts = fill(draft)
        os.sync()  # bytes before names: a power cut must not leave empty images behind a mark
        _move_over(draft, goal)
        write_json(goal / MARK, {**recipe, **facts})
        (goal / BEGUN).unlink()
        shutil.rmtree(draft)
    return Outcome.BUILT


def _is_there(goal: Path, recipe: Mapping[str, object]) -> bool:
    mark = read_json(goal / MARK)
    if not isinstance(mark, dict):
        return False
    differing = sorted(key for key in recipe if mark.get(key) != recipe[key])
    if differing:
        told = ", ".join(f"{key} {mark.get(key)!r} there, {recipe[key]!r} asked" for key in differing)
        raise DataError(
            f"{goal} already holds another set ({told}). Give another --out, or remove that folder."
        )
    return True


def _move_over(draft: Path, goal: Path) -> None:
    goal.mkdir(exist_ok=True)
    parts, begun = sorted(draft.iterdir()), goal / BEGUN
    foreign = [part.name for part in parts if (goal / part.name).exists()]
    if foreign and not begun.exists():
        raise DataError(
            f"{goal} already holds {', '.join(foreign)}, not made by this command. Give another --out."
        )
    begun.touch()
    sync_folder(goal)
    for part in parts:
        if (goal / part.name).exists():
            shutil.rmtree(goal / part.name)  # of a build that was killed while moving over
        part.rename(goal / part.name)
    sync_folder(goal)


def digest_tree(folder: Path) -> str:
    """Return 16 hex digits that depend on every file's path and bytes below `folder`."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def is_synthetic(goal: Path) -> bool:
    """Say whether the set in `goal` calls itself generated."""
    mark = read_json(goal / MARK)
    return isinstance(mark, dict) and mark.get("synthetic") is True
