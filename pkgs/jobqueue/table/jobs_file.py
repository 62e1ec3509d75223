"""Jobs.csv for the manager: what is new in it, and the manager's own cells written back.

Joins the file (table_file.py), the ids (row_ids.py), the merge (in_force.py) and the rows (rows.py). What a
job does with a wish is the manager's business.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, final

from pkgs.jobqueue.table.headerless import STATUS_WORDS
from pkgs.jobqueue.table.in_force import InForce
from pkgs.jobqueue.table.merge import USER_COLUMNS, RowMemory
from pkgs.jobqueue.table.row_ids import Named, name_rows
from pkgs.jobqueue.table.rows import CellError, read_row
from pkgs.jobqueue.table.table import Cells, Row, Table
from pkgs.jobqueue.table.table_file import LockTimeoutError, TableFile
from pkgs.jobqueue.table.table_parser import with_rows
from pkgs.jobqueue.vocabulary import Job

LONGEST_MESSAGE: Final = 1000  # characters
_LOCK_TIMEOUT_S: Final = 2.0  # the manager's loop must go on; a later turn writes
_TRIES: Final = 5


class ManagerCells(NamedTuple):
    """What the manager wants to stand in a row."""

    status: str
    progress: str = ""
    message: str = ""


@dataclass(slots=True)
class RowNews:
    """A row of the file in force. Treat it as read-only; only its line may change later."""

    id: str
    """Empty if the row has none that could name a job."""
    line: int
    """From 1; 0 for a row that a stale save dropped and the next write puts back."""
    cells: Cells
    """What is in force: the merge of file and memory."""
    job: Job | None
    """None if the row is refused; `errors` says why."""
    errors: tuple[CellError, ...] = ()
    status_edit: str | None = None
    """A wish of the user's that was not reported yet: open, hold, cancel, rerun or completed."""
    in_doubt: str | None = None
    """What may be an older save, and what to write instead; stands in `message`, too."""
    is_new: bool = False
    """True the first time, also for a row that comes back after it was removed."""


@dataclass(frozen=True, slots=True)
class TableNews:
    """The file after a change."""

    rows: Sequence[RowNews]
    """All rows in file order."""
    changed: Sequence[RowNews] = ()
    """Those among them that are new, say something new, or are refused."""
    removed: Sequence[str] = ()
    problem: str | None = None
    """Why the file on the disk is not in force; `rows` are then the last good ones."""


@dataclass(slots=True, eq=False)
class _Entry:
    named: Named
    news: RowNews

    @property
    def clean(self) -> bool:
        """True if the file shows what is in force."""
        return not self.news.errors and not self.named.filled and self.named.cells == self.news.cells


@final
class JobsFile:
    """One table of jobs as the manager sees it.

    Args:
        file: The file on the disk.
        memory: Remembers what rows said; versions are in it before they are in the file.
    """

    def __init__(self, file: TableFile, memory: RowMemory) -> None:
        self.file = file
        self._in_force = InForce(memory)
        self._table: Table | None = None
        self._entries: list[_Entry] = []
        self._by_row: dict[Row, _Entry] = {}
        self._place: dict[str, int] = {}
        self._unclean: set[int] = set()
        self._owed: dict[str, tuple[_Entry, Mapping[str, str]]] = {}
        """Rows to put into the file, with all their cells, of unknown columns too."""
        self._problem: str | None = None
        self._now = 0.0
        self._due = False

    def reread(self, now: float) -> TableNews | None:
        """Return what is new since the last call, None if nothing is.

        Args:
            now: Seconds of a clock that never runs backwards; suspicious contents wait by it.
        """
        self._now = self._in_force.now = now
        self._look()
        if self.file.problem != self._problem:
            self._problem, self._due = self.file.problem, True
        return self._deliver() if self._due else None

    def write_back(self, wanted: Mapping[str, ManagerCells]) -> bool:
        """Write the manager's cells where they differ from the file; return whether anything was written.

        Under the lock the file is read again and merged first. False also if the lock is taken, or the
        file is not settled or does not parse: then a later call writes. Rows with a status edit that
        `reread` has not reported yet are left alone, and so are ids that the file does not have.

        Raises:
            OSError: If the disk is full or the file may not be written; the old file is then whole.
        """
        if self._table is None:
            return False
        changes = self._changes(wanted)
        self._agree([place for place in self._unclean if place not in changes], wanted)
        if not (changes or self._owed):
            return False
        try:
            with self.file.locked(timeout_s=_LOCK_TIMEOUT_S):
                return self._write(wanted)
        except LockTimeoutError:
            return False

    # reading

    def _look(self) -> None:
        with _uncollected():
            look = self.file.look(self._now)
            if look.table is not None:
                self._take(look.table)
            if look.late is not None:
                self._take_late(look.late)

    def _deliver(self) -> TableNews:
        state = self._in_force
        rows: list[RowNews] = []
        changed: list[RowNews] = []
        for entry in [*self._entries, *(entry for entry, _ in self._owed.values())]:
            news = entry.news
            if news.id in state.changed or (news.errors and not news.id):
                doubt = state.doubts.get(news.id)
                news = replace(
                    news,
                    status_edit=state.edits.get(news.id),
                    in_doubt=doubt.sentence if doubt else None,
                    is_new=news.id in state.fresh,
                )
                changed.append(news)
            rows.append(news)
        removed = tuple(state.removed)
        state.told()
        self._due = False
        return TableNews(rows, changed, removed, self._problem)

    def _take(self, table: Table) -> None:
        """Make `table` the version in force: name its rows, merge them, note what is new."""
        self._due = True
        state = self._in_force
        known = {row: entry.named for row, entry in self._by_row.items()}
        named = name_rows(table, known=known, currents=state.cells, file=self.file.name)
        fresh = [entry for entry in named if self._kept(entry) is None]
        merged = state.take(
            [entry.cells for entry in fresh if _usable(entry)],
            columns=table.columns,
            certain=self.file.noted_edits() if fresh else frozenset(),
            whole_file=lambda: _shown(named),
        )
        entries: list[_Entry] = []
        for item in named:
            old = self._kept(item)
            if old is None:
                outcome = merged.get(item.cells.id) if _usable(item) else None
                old = _Entry(item, self._read(item, outcome.cells if outcome else item.cells))
            elif old.news.line != item.line:
                old.news = self._read(item, old.news.cells) if old.news.errors else old.news
                old.news.line = item.line
            entries.append(old)
        self._settle_missing(named)
        self._table = table
        self._index(entries)

    def _kept(self, named: Named) -> _Entry | None:
        old = self._by_row.get(named.row)
        return old if old is not None and old.named is named and named.refusal is None else None

    def _index(self, entries: list[_Entry]) -> None:
        self._entries = entries
        self._by_row = {entry.named.row: entry for entry in entries}
        self._place = {entry.news.id: place for place, entry in enumerate(entries) if entry.news.id}
        self._unclean = {place for place, entry in enumerate(entries) if not entry.clean}

    def _read(self, named: Named, cells: Cells) -> RowNews:
        """Return the row's news: its job, or all that is wrong with it."""
        said = named.cells.status
        checked = cells if not said or said in STATUS_WORDS else cells._replace(status=said)
        found = read_row(checked, line=named.line, file=self.file.name)
        errors = [] if isinstance(found, Job) else found
        if named.refusal is not None:
            errors = [named.refusal, *errors]
        if named.row.problem:
            what, _, cure = named.row.problem.partition(". ")
            text = named.row.raw.strip()
            errors = [CellError(named.line, "command", text, f"a sound row: it {what}", cure, self.file.name)]
        job = found if isinstance(found, Job) and not errors else None
        return RowNews(named.cells.id if _usable(named) else "", named.line, cells, job, tuple(errors))

    def _settle_missing(self, named: Sequence[Named]) -> None:
        """Drop the jobs that left the file; keep those that its editor had never seen."""
        state = self._in_force
        here = {entry.cells.id for entry in named}
        gone = [name for name in state.cells if name not in here]
        unseen = state.unseen(gone, (entry.cells for entry in named)) | self._owed.keys() & set(gone)
        before, self._owed = self._owed, {}
        for name in unseen:
            self._owed[name] = before.get(name) or self._owing(self._entries[self._place[name]], self._table)
        state.drop([name for name in gone if name not in unseen])

    def _owing(self, entry: _Entry, table: Table | None) -> tuple[_Entry, Mapping[str, str]]:
        """Return what it takes to put a row of `table` into the file."""
        entry.news.line = 0
        columns = table.columns if table is not None else ()
        cells = dict(zip(columns, entry.named.row.cells, strict=False))
        return entry, cells | {"id": entry.named.cells.id}

    def _take_late(self, late: Table) -> None:
        """Merge what an editor wrote into a file that we had replaced; rows that it lacks are not removed."""
        state = self._in_force
        usable = [
            entry
            for entry in name_rows(late, known={}, currents=state.cells, file=self.file.name)
            if _usable(entry) and (entry.cells.id in state.cells or not state.was_used(entry.cells.id))
        ]
        merged = state.take(
            [entry.cells for entry in usable],
            columns=late.columns,
            certain=frozenset(),
            whole_file=lambda: _shown(usable),
        )
        self._due = self._due or bool(merged)
        for item in usable:
            outcome, place = merged.get(item.cells.id), self._place.get(item.cells.id)
            if outcome is not None and place is not None:
                self._entries[place].news = self._read(self._entries[place].named, outcome.cells)
                self._unclean.add(place)
            elif outcome is not None:
                self._owed[item.cells.id] = self._owing(_Entry(item, self._read(item, outcome.cells)), late)

    # writing

    def _write(self, wanted: Mapping[str, ManagerCells]) -> bool:
        for _ in range(_TRIES):
            self._look()
            if not self.file.settled or self._table is None or self.file.table is None:
                return False
            if self._owed:
                self._take(with_rows(self._table, [cells for _, cells in self._owed.values()]))
            changes = self._changes(wanted)
            if not changes and self._table is self.file.table:
                return False
            rows = self._next_versions(changes)
            table = self._table.with_cells(changes)
            self._in_force.remember(list(rows.values()))
            if self.file.replace(table, seen=self.file.table):
                self._adopt(table, rows, changes)
                return True
        return False

    def _agree(self, places: Sequence[int], wanted: Mapping[str, ManagerCells]) -> None:
        """Take rows for written that already show what the manager wants, such as `open` after `rerun`."""
        agreed: list[Cells] = []
        for place in places:
            entry = self._entries[place]
            if entry.news.errors or entry.news.id not in wanted or entry.news.id in self._in_force.edits:
                continue
            if entry.news.cells[:-1] != entry.named.cells[:-1]:
                entry.news = replace(entry.news, cells=entry.named.cells)
                agreed.append(entry.named.cells)
        if agreed:
            self._in_force.remember(agreed)
            self._in_force.wrote(agreed)
            self._unclean = {place for place in self._unclean if not self._entries[place].clean}

    def _changes(self, wanted: Mapping[str, ManagerCells]) -> dict[int, dict[str, str]]:
        """Return the cells to write, by row number and column."""
        found: dict[int, dict[str, str]] = {}
        for place in self._unclean:
            entry = self._entries[place]
            self._add_changes(found, place, wanted.get(entry.news.id) if entry.news.id else None)
        for name, wish in wanted.items():
            number = self._place.get(name)
            if number is None or number in self._unclean:
                continue
            saved = self._entries[number].named.cells
            if (saved.status, saved.progress, saved.message) != wish or name in self._in_force.doubts:
                self._add_changes(found, number, wish)
        return found

    def _add_changes(self, found: dict[int, dict[str, str]], place: int, wish: ManagerCells | None) -> None:
        assert self._table is not None
        entry = self._entries[place]
        saved, news = entry.named.cells, entry.news
        target: dict[str, str] = {"id": saved.id} if entry.named.filled and entry.named.sound else {}
        if news.errors:
            target["message"] = one_line("; ".join(error.in_row() for error in news.errors))
        else:
            now = news.cells
            target |= {name: getattr(now, name) for name in USER_COLUMNS}
            if news.id not in self._in_force.edits:
                target |= self._manager_cells(
                    entry, wish or ManagerCells(now.status, now.progress, now.message)
                )
        if (target.get("status") or "open") == (saved.status or "open"):
            target.pop("status", None)
        changed = {
            name: value
            for name, value in target.items()
            if self._table.has(name) and (value != getattr(saved, name) or name == "id")
        }
        if changed:
            found[place] = changed

    def _manager_cells(self, entry: _Entry, wish: ManagerCells) -> dict[str, str]:
        doubt = self._in_force.doubts.get(entry.news.id)
        message = one_line(wish.message)
        if doubt is not None:
            doubt.status = doubt.status or wish.status
            if not doubt.keeps_status and doubt.status != wish.status:
                del self._in_force.doubts[entry.news.id]  # things went on; the sentence is out of date
            else:
                message = one_line(doubt.sentence)
        cells = {"status": wish.status, "progress": wish.progress.strip(), "message": message}
        if doubt is not None and doubt.keeps_status:
            del cells["status"]
        return cells

    def _next_versions(self, changes: Mapping[int, dict[str, str]]) -> dict[int, Cells]:
        """Give the changed rows their next rev, in `changes` too; return their new versions."""
        assert self._table is not None
        rows: dict[int, Cells] = {}
        for place, cells in changes.items():
            entry = self._entries[place]
            if not entry.news.id:
                continue
            if self._table.has("rev"):
                cells["rev"] = self._in_force.next_rev(entry.named.cells)
            rows[place] = entry.named.cells._replace(**cells)
        return rows

    def _adopt(self, table: Table, rows: Mapping[int, Cells], changes: Mapping[int, dict[str, str]]) -> None:
        """Make the file that we wrote the version in force."""
        self._table = table
        self._in_force.wrote(list(rows.values()))
        for place in changes:
            entry, row = self._entries[place], table.rows[place]
            old = entry.named
            named = replace(old, row=row, cells=table.cells_of(row)._replace(id=old.cells.id), filled=False)
            news = replace(entry.news, cells=named.cells)
            self._by_row.pop(old.row, None)
            self._by_row[row] = self._entries[place] = _Entry(named, news)
            if self._entries[place].clean:
                self._unclean.discard(place)
            else:
                self._unclean.add(place)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pause garbage collection: it would look at 100,000 living rows again and again, a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _shown(named: Sequence[Named]) -> dict[str, Cells]:
    """Return the rows by id, as the file shows them; without those whose id it does not show."""
    return {entry.cells.id: entry.cells for entry in named if _usable(entry) and not entry.filled}


def _usable(named: Named) -> bool:
    """Return whether the row's id names a job, this row's alone."""
    return named.sound and named.refusal is None and bool(named.cells.id)


def one_line(text: str) -> str:
    """Return `text` as one line that any file can hold."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 3] + "..."
