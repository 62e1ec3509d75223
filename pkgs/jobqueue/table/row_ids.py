"""Which row is which job: ids filled in, twins, duplicates and ids inside each other refused.

Pure but for what memory says. A row that is known and unchanged keeps its id against any newcomer.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pkgs.jobqueue.table.row_names import auto_id, check_id
from pkgs.jobqueue.table.row_values import UnfitError
from pkgs.jobqueue.table.rows import CellError
from pkgs.jobqueue.table.table import Cells, Row, Table

_DIGITS: Final = re.compile(r"[0-9]{1,18}(\.0+)?")


@dataclass(slots=True, eq=False)
class Named:
    """A row of the file and the job that it is."""

    row: Row
    line: int
    cells: Cells
    """As the file has them, but with the id filled in where it is empty or was changed by a spreadsheet."""
    sound: bool = True
    """False if the id can name no job; the row's other faults are read nevertheless."""
    refusal: CellError | None = None
    """Set if another row has the better claim to the id."""
    filled: bool = False
    """True if the file has a column for the id, and something else or nothing stands in it."""


@lru_cache(maxsize=20_000)
def _candidate(command: str, occurrence: int) -> str:
    return auto_id(command, lambda _: False, occurrence=occurrence)


def name_rows(
    table: Table,
    *,
    known: Mapping[Row, Named],
    currents: Mapping[str, Cells],
    file: str,
) -> list[Named]:
    """Return the table's rows in order, each with its id.

    Args:
        table: What the file holds.
        known: The outcome for the rows of the version before; the same objects, their line brought up
            to date, are returned for rows whose text and claim did not change.
        currents: What is in force, by id.
        file: The file's name, for the messages.
    """
    named = _listed(table, known)
    nameless = [entry for entry in named if not entry.cells.id]
    used = _claims([entry for entry in named if entry.cells.id], currents, file)
    _restore_numbers(named, used, currents)
    if nameless:
        _fill(nameless, used, currents, written=table.has("id"))
    _refuse_nested(used, currents, file)
    if nameless:
        _recall(named, known)
    return named


def _listed(table: Table, known: Mapping[Row, Named]) -> list[Named]:
    """Return one Named for each row, the old one where its text was there before."""
    named: list[Named] = []
    reused: set[Row] = set()
    keeps = "id" in table.columns
    for row, line in zip(table.rows, table.lines, strict=True):
        old = known.get(row) if keeps and row not in reused else None
        if old is not None and old.refusal is None:
            old.line = line
            reused.add(row)
            named.append(old)
            continue
        cells = table.cells_of(row)
        named.append(Named(row, line, cells, sound=not cells.id or _is_sound(cells.id)))
    return named


def _recall(named: list[Named], known: Mapping[Row, Named]) -> None:
    """Put back the old Named of rows whose id is never written, where the same id was found again."""
    for place, entry in enumerate(named):
        old = known.get(entry.row)
        if old is None or old is entry or old.refusal is not None or entry.refusal is not None:
            continue
        if old.cells == entry.cells:
            old.line = entry.line
            named[place] = old


def _is_sound(name: str) -> bool:
    try:
        check_id(name)
    except UnfitError:
        return False
    return True


def _claims(named: Sequence[Named], currents: Mapping[str, Cells], file: str) -> dict[str, Named]:
    """Give every id (case ignored) to one row; refuse the others."""
    used: dict[str, Named] = {}
    for entry in named:
        if not entry.sound:
            continue
        key = entry.cells.id.lower()
        holder = used.setdefault(key, entry)
        if holder is entry:
            continue
        if currents.get(entry.cells.id) == entry.cells and currents.get(holder.cells.id) != holder.cells:
            used[key] = entry
            _refuse_twin(holder, entry, file)
        else:
            _refuse_twin(entry, holder, file)
    return used


def _refuse_twin(loser: Named, holder: Named, file: str) -> None:
    same = loser.cells.id == holder.cells.id
    how = f"it stands in line {holder.line}" if same else (
        f"line {holder.line} has '{holder.cells.id}', and not all file systems know upper from lower case"
    )  # fmt: skip
    loser.refusal = CellError(
        loser.line, "id", loser.cells.id, f"unique: {how}", "Give this row an id of its own.", file
    )


def _restore_numbers(named: Sequence[Named], used: dict[str, Named], currents: Mapping[str, Cells]) -> None:
    """Undo what a spreadsheet does to ids that are numbers: `007` becomes `7`, `1` becomes `1.0`."""
    strange = [
        entry for entry in named if entry.cells.id not in currents and _DIGITS.fullmatch(entry.cells.id)
    ]
    if not strange:
        return
    missing: dict[int, list[str]] = defaultdict(list)
    for name in currents:
        if name.lower() not in used and _DIGITS.fullmatch(name):
            missing[int(name.partition(".")[0])].append(name)
    for entry in strange:
        same = missing.get(int(entry.cells.id.partition(".")[0]), [])
        if len(same) == 1 and entry.refusal is None:
            used.pop(entry.cells.id.lower(), None)
            entry.cells = entry.cells._replace(id=same.pop())
            entry.filled = True
            used[entry.cells.id.lower()] = entry


def _fill(
    nameless: Sequence[Named],
    used: dict[str, Named],
    currents: Mapping[str, Cells],
    *,
    written: bool,
) -> None:
    """Name the rows without id by their command; `written` says whether the file has a column for it.

    A command that was here before gets its old id: its row may come from a buffer older than the id.
    """
    groups: dict[str, list[Named]] = defaultdict(list)
    for entry in nameless:
        groups[entry.cells.command].append(entry)
    for command, entries in groups.items():
        names = _names_for(command, len(entries), used, currents)
        if len(names) > len(entries):  # some of several rows with one command are gone: which ones?
            names = _paired_by_status(entries, names, currents)
        for entry, name in zip(entries, names, strict=False):
            entry.cells = entry.cells._replace(id=name)
            entry.filled = written
            used[name] = entry


def _names_for(
    command: str, count: int, used: Mapping[str, Named], currents: Mapping[str, Cells]
) -> list[str]:
    """Return at least `count` free names for rows with this command, all that are in force among them."""
    names: list[str] = []
    for name in _series(command):
        if name in used:
            continue
        if name not in currents and len(names) >= count:
            break
        names.append(name)
    return names


def _series(command: str) -> Iterator[str]:
    occurrence = 0
    while True:
        yield _candidate(command, occurrence)
        occurrence += 1


def _paired_by_status(
    entries: Sequence[Named], names: Sequence[str], currents: Mapping[str, Cells]
) -> list[str]:
    """Return a name for each row: of a job whose status it shows where there is one, else the next."""
    rest, chosen = list(names), []
    for entry in entries:
        same = (name for name in rest if name in currents and currents[name].status == entry.cells.status)
        name = next(same, rest[0])
        rest.remove(name)
        chosen.append(name)
    return chosen


def _refuse_nested(used: Mapping[str, Named], currents: Mapping[str, Cells], file: str) -> None:
    """Refuse ids inside another job's run folder; a known job keeps its place."""
    for key, entry in used.items():
        at = key.find("/")
        while at > 0:
            outer = used.get(key[:at])
            if outer is not None and outer.refusal is None and entry.refusal is None:
                _refuse_one_of(outer, entry, currents, file)
            at = key.find("/", at + 1)


def _refuse_one_of(outer: Named, inner: Named, currents: Mapping[str, Cells], file: str) -> None:
    known_outer, known_inner = outer.cells.id in currents, inner.cells.id in currents
    later = outer if (outer.line > inner.line) else inner
    loser = later if known_outer == known_inner else (inner if known_outer else outer)
    holder = outer if loser is inner else inner
    where = "lies inside the run folder of" if loser is inner else "would hold the run folder of"
    loser.refusal = CellError(
        loser.line, "id", loser.cells.id,
        f"free: it {where} '{holder.cells.id}' in line {holder.line}", "Rename one of the two.", file,
    )  # fmt: skip
