"""Three-way merge of one row: what its editor had loaded, what he saved, what is in force.

Pure. The version that an editor had loaded is known by its `rev`, without one by the manager's cells that
he saw. Every cell is judged alone: a value that the editor can have loaded is no wish of his, any other
value is. Where both readings are possible nothing is started, and a sentence says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, final

from pkgs.jobqueue.table.headerless import STATUS_WORDS
from pkgs.jobqueue.table.table import COLUMNS, MANAGER_COLUMNS, Cells, whole
from pkgs.jobqueue.vocabulary import Wish

USER_COLUMNS: Final = tuple(name for name in COLUMNS if name != "id" and name not in MANAGER_COLUMNS)
_USER_PLACES: Final = tuple((COLUMNS.index(name), name) for name in USER_COLUMNS)
_STATUS: Final = COLUMNS.index("status")
_SEEN_PLACES: Final = (_STATUS, *(place for place, _ in _USER_PLACES))
_ENDED: Final = ("completed", "failed", "cancelled")
_WISHES: Final = frozenset(Wish)
_HAS: Final = {"completed": "is completed", "failed": "has failed", "cancelled": "was cancelled"}


class RowMemory(Protocol):
    """What rows said, version by version; in the manager a table of queue.sqlite."""

    def currents(self) -> Mapping[str, Cells]:
        """Return the newest version of every row that was not retired, by id."""
        ...

    def versions(self, ids: Sequence[str]) -> Mapping[str, Sequence[Cells]]:
        """Return all versions of these rows, oldest first, of retired rows too; unknown ids are left out."""
        ...

    def remember_many(self, rows: Iterable[Cells]) -> None:
        """Append versions (`cells.id` names the row, several may be of one row); durable on return."""
        ...

    def retire_many(self, ids: Iterable[str]) -> None:
        """Note that these rows left the file; `remember_many` brings them back."""
        ...


@final
class DictMemory:
    """A RowMemory that lasts as long as the process."""

    def __init__(self) -> None:
        self._versions: dict[str, list[Cells]] = {}
        self._present: dict[str, Cells] = {}

    def currents(self) -> Mapping[str, Cells]:
        return dict(self._present)

    def versions(self, ids: Sequence[str]) -> Mapping[str, Sequence[Cells]]:
        return {job: tuple(self._versions[job]) for job in ids if job in self._versions}

    def remember_many(self, rows: Iterable[Cells]) -> None:
        for cells in rows:
            self._versions.setdefault(cells.id, []).append(cells)
            self._present[cells.id] = cells

    def retire_many(self, ids: Iterable[str]) -> None:
        for job in ids:
            self._present.pop(job, None)


@dataclass(frozen=True, slots=True)
class Merged:
    """The outcome for one row."""

    cells: Cells
    """What is in force now: the user's edits over the current version."""
    status_edit: str | None = None
    """The user's new word, if the status is a real edit."""
    in_doubt: str | None = None
    """A sentence for `message`: what may be an older save, and what to write instead."""
    keeps_status: bool = False
    """True where the doubtful status stays in the file until the user decides."""
    edited: bool = False
    """True if a cell of the user's was accepted."""
    novel: bool = False
    """True if the row holds what no version had that its editor can have loaded: he may save it again."""


def first_sight(cells: Cells) -> Merged:
    """Return the outcome for a row that nobody has seen before: all that it says is the user's wish."""
    word = cells.status or "open"
    return Merged(cells, status_edit=word if word in _WISHES else None, edited=True)


def merge_row(
    saved: Cells, current: Cells, *, versions: Sequence[Cells], columns: Sequence[str], certain: bool = False
) -> Merged:
    """Return what a saved row means.

    Args:
        saved: The row as it stands in the file.
        current: What is in force.
        versions: All versions of the row, oldest first.
        columns: The columns that the file has; a missing one says nothing.
        certain: True if the editor surely had loaded `current`.
    """
    if saved == current:
        return Merged(current)
    loaded = loaded_versions(saved, versions, columns=columns) or [current]
    bases = [current] if certain else loaded
    changes: dict[str, str] = {}
    doubts: list[str] = []
    for place, name in _USER_PLACES:
        value, now = saved[place], current[place]
        if value == now:
            continue
        if name not in columns:
            changes[name] = value
            doubts.append(f"column '{name}' is gone from the header, so {_short(now)} no longer counts")
        elif all(base[place] != value for base in bases):
            changes[name] = value
        elif any(base[place] != value for base in bases):
            doubts.append(
                f"{name} {_short(value)} may come from an older save, {_short(now)} stays: "
                "reload the file and write it again if it is meant"
            )
    edit, status_doubt, keeps = None, None, False
    if "status" in columns:
        edit, status_doubt, keeps = _status(saved, current, bases, marked=is_marked(columns))
        keeps = keeps and "message" in columns
    if edit is not None:
        changes["status"] = edit
    if status_doubt:
        doubts.insert(0, status_doubt)
    return Merged(
        current._replace(**changes) if changes else current,
        status_edit=edit,
        in_doubt="; ".join(doubts) or None,
        keeps_status=keeps,
        edited=bool(changes),
        novel=any(all(base[place] != saved[place] for base in loaded) for place in _SEEN_PLACES),
    )


def merge_returned(saved: Cells, versions: Sequence[Cells], *, columns: Sequence[str]) -> Merged:
    """Return the outcome for a row that comes back after it was removed."""
    last = versions[-1]
    merged = merge_row(saved, last, versions=versions, columns=columns)
    silent = merged.status_edit is None and merged.in_doubt is None
    if silent and (saved.status or "open") == "open" and last.status in _ENDED:
        sentence = f"this job was here before and {_HAS[last.status]}: {_way_out(last.status)}"
        return replace(merged, in_doubt=sentence, keeps_status="message" in columns)
    return merged


def loaded_versions(saved: Cells, versions: Sequence[Cells], *, columns: Sequence[str]) -> list[Cells]:
    """Return the versions that the row's editor may have loaded.

    The `rev` tells; several versions share one where a user's edit was accepted without a write of ours.
    Without it the manager's progress and message tell, for no user writes them; else all are possible.
    """
    rev = whole(saved.rev)
    if rev is not None and "rev" in columns:
        found = [version for version in versions if whole(version.rev) == rev]
        if found:
            return found
    seen = [name for name in ("progress", "message") if name in columns]
    if seen:
        mark = [getattr(saved, name) for name in seen]
        found = [version for version in versions if [getattr(version, name) for name in seen] == mark]
        if found:
            return [version for version in found if version.rev == saved.rev] or found
    return list(versions)


def is_marked(columns: Sequence[str]) -> bool:
    """Return whether the table has a cell of the manager's that tells one version of a row from the next."""
    return not {"rev", "progress", "message"}.isdisjoint(columns)


def _status(
    saved: Cells, current: Cells, bases: Sequence[Cells], *, marked: bool
) -> tuple[str | None, str | None, bool]:
    """Return the real edit, the sentence of doubt, and whether the doubtful word stays in the file."""
    word, now = saved.status or "open", current.status or "open"
    loaded = {base.status or "open" for base in bases}
    if word == now or word not in STATUS_WORDS:  # an unknown word is an error of the cell, not an edit
        return None, None, False
    if word not in loaded:
        if not saved.status and now not in ("hold", "cancel"):
            return None, f"the status was {now} and is empty: {_way_out(now)}", True
        if word in _WISHES:
            return word, None, False
        return None, f"status '{word}' is only written by the manager: {_way_out(now)}", True
    if len(loaded) == 1 or word not in _WISHES or (word == "open" and now == "running"):
        return None, None, False
    keeps = word == "open" and now in _ENDED
    way = _way_out(now) if keeps else f"reload the file and write `{word}` again if it is meant"
    if not marked and word in ("open", "rerun"):
        way = f"to run it, call `python QueueManager.py {'rerun' if now in _ENDED else 'release'} {saved.id}`"
    return None, f"status '{word}' may come from an older save: {way}", keeps


def _way_out(now: str) -> str:
    if now in _ENDED:
        return "write `rerun` to run it again, or `completed` to count it as done"
    return "write `hold` to keep it back, `cancel` to stop it, or `rerun` to run it again"


def _short(value: str) -> str:
    text = value if len(value) <= 40 else value[:37] + "..."
    return f"'{text}'" if value else "the empty cell"
