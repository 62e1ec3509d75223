"""Edits of Jobs.csv by commands: each is what an editor would do who saves the newest version at once.

They hold the lock, so they are safe beside a running manager, and need none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from pkgs.jobqueue.nearest import Nearest
from pkgs.jobqueue.table.row_ids import name_rows
from pkgs.jobqueue.table.row_names import auto_id
from pkgs.jobqueue.table.rows import read_row, show
from pkgs.jobqueue.table.table import COLUMNS, MANAGER_COLUMNS, Cells, Table
from pkgs.jobqueue.table.table_file import TableFile, TableFileError
from pkgs.jobqueue.table.table_parser import with_columns, with_rows
from pkgs.jobqueue.vocabulary import Job, Wish

_TRIES = 20


class EditError(ValueError):
    """The edit is refused; the file is untouched."""


@dataclass(frozen=True, slots=True)
class Completed:
    """What `complete` put in."""

    columns: tuple[str, ...]
    ids: tuple[str, ...]


def add_row(
    file: TableFile, cells: Mapping[str, str], *, taken: Callable[[str], bool] = lambda _: False
) -> str:
    """Append a row and return its id; the file is made if it is missing, missing columns are put in.

    Args:
        file: The table.
        cells: By column name; `command` is required, an empty `id` is filled in.
        taken: Says of an id that it was used by a row that is gone (its run folder is still there).

    Raises:
        EditError: If a cell is not valid, the id is in use, or a headerless file has no place for a cell.
        TableFileError: If the file cannot be read or is not a table.
    """
    unknown = [name for name in cells if name not in COLUMNS]
    if unknown:
        raise EditError(f"Unknown column {show(unknown[0])}. Known: {', '.join(COLUMNS)}.")
    named = ""

    def append(table: Table) -> Table:
        nonlocal named
        row = {name: text for name, text in cells.items() if text}
        if not table.headerless:
            row["id"] = row.get("id") or auto_id(
                row.get("command", ""), _taken(_ids(table), taken), occurrence=0
            )
            _check_free(row["id"], _ids(table))
        named = _check_row(row, table)
        row.setdefault("status", "open")
        return with_rows(with_columns(table, _missing(table, row)), [row])

    _edit(file, append, create=True)
    return named


def set_status(file: TableFile, ids: Collection[str], word: str) -> None:
    """Write this status into the rows of these jobs.

    Raises:
        EditError: If an id is not in the table (with the nearest one), or the word is no wish.
        TableFileError: If the file cannot be read or is not a table.
    """
    if word not in set(Wish):
        raise EditError(f"Unknown status {show(word)}. Known: {', '.join(Wish)}.")

    def change(table: Table) -> Table:
        places = _places(table, ids)
        wider = table if table.headerless else with_columns(table, _missing(table, {"status": word}))
        at = wider.columns.index("status")
        wrong = {place: {"status": word} for place in places if wider.rows[place].cells[at].strip() != word}
        return wider.with_cells(wrong) if wrong else table

    _edit(file, change, noted=ids)


def complete(file: TableFile) -> Completed:
    """Put in all columns that are missing and fill empty ids; what `check --fix` does."""
    done = Completed((), ())

    def change(table: Table) -> Table:
        nonlocal done
        if table.headerless:
            return table
        columns = tuple(name for name in COLUMNS if not table.has(name))
        named = name_rows(table, known={}, currents={}, file=file.name)
        wider = with_columns(table, columns)
        at = wider.columns.index("id")
        empty = {
            place: {"id": entry.cells.id}
            for place, entry in enumerate(named)
            if not wider.rows[place].cells[at].strip() and entry.sound and entry.refusal is None
        }
        done = Completed(columns, tuple(cells["id"] for cells in empty.values()))
        return wider.with_cells(empty)

    _edit(file, change)
    return done


def _edit(
    file: TableFile,
    change: Callable[[Table], Table],
    *,
    create: bool = False,
    noted: Collection[str] = (),
) -> None:
    """Apply `change` to the newest version; again if an editor saves in that very moment."""
    with file.locked():
        for _ in range(_TRIES):
            if create and not file.path.exists():
                file.create(change(_empty()))
                return
            table = file.load()
            edited = change(table)
            if edited is table or edited.pieces == table.pieces:
                return
            if noted:
                file.note_edit(edited, noted)
            if file.replace(edited, seen=table):
                return
    raise TableFileError(f"{file.name} is being saved all the time by another program. Try again.")


def _empty() -> Table:
    return Table(columns=COLUMNS, header_place=0, pieces=[",".join(COLUMNS) + "\n"])


def _missing(table: Table, row: Mapping[str, str]) -> list[str]:
    needed = {"id", *MANAGER_COLUMNS, *row}
    return [name for name in COLUMNS if name in needed and not table.has(name)]


def _ids(table: Table) -> dict[str, str]:
    """Return the ids that stand in the table, by their spelling in lower case."""
    if not table.has("id"):
        return {}
    at = table.columns.index("id")
    return {row.cells[at].strip().lower(): row.cells[at].strip() for row in table.rows}


def _taken(ids: Collection[str], taken: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda name: name in ids or taken(name)


def _check_free(name: str, ids: Mapping[str, str]) -> None:
    lower = name.lower()
    if lower in ids:
        raise EditError(f"id {show(name)} is in use by the row {show(ids[lower])}. Choose another.")
    parts = lower.split("/")
    for count in range(1, len(parts)):
        outer = "/".join(parts[:count])
        if outer in ids:
            raise EditError(f"id {show(name)} lies inside the run folder of {show(ids[outer])}. Rename it.")
    inner = next((known for known in ids if known.startswith(lower + "/")), None)
    if inner is not None:
        raise EditError(f"id {show(name)} would hold the run folder of {show(ids[inner])}. Rename it.")


def _check_row(row: Mapping[str, str], table: Table) -> str:
    """Return the new row's id, or raise with all that is wrong with it."""
    name = row.get("id", "")
    if table.headerless:
        homeless = [column for column in row if column not in ("command", "status")]
        if homeless:
            raise EditError(
                f"The table has no header line, so there is no place for {', '.join(homeless)}. "
                "Put `command,status` above its rows, or leave the option out."
            )
        if "\n" in row.get("command", ""):
            raise EditError("The table has no header line, so a command must fit one line. Use `&&` or `;`.")
        alike = sum(entry.cells[0] == row.get("command") for entry in table.rows)
        name = auto_id(row.get("command", ""), lambda _: False, occurrence=alike)
    text = {column: value.strip() for column, value in row.items()} | {"id": name}
    found = read_row(Cells(**text), line=0)
    if isinstance(found, Job):
        return name
    raise EditError("\n".join(error.in_row() for error in found))


def _places(table: Table, ids: Collection[str]) -> list[int]:
    """Return the row numbers of these jobs."""
    known: dict[str, int] = {}
    if table.has("id"):
        at = table.columns.index("id")
        for place, row in enumerate(table.rows):
            known.setdefault(row.cells[at].strip(), place)
    if not all(name in known for name in ids):  # perhaps ids that the file does not show
        named = name_rows(table, known={}, currents={}, file="")
        for place, entry in enumerate(named):
            known.setdefault(entry.cells.id, place)
    for name in ids:
        if name not in known:
            near = Nearest(known).to(name)
            hint = f" Did you mean {near!r}?" if near else ""
            raise EditError(f"No job has the id {show(name)}.{hint} See `status`.")
    return [known[name] for name in ids]
