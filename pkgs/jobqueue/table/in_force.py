"""What the rows say that is in force, and what of it the manager has not been told yet.

Takes merged rows in and keeps memory in step: a version is remembered before anybody acts on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from pkgs.jobqueue.table.merge import Merged, RowMemory, first_sight, is_marked, merge_returned, merge_row
from pkgs.jobqueue.table.save_times import MARK, NEVER, SaveTimes
from pkgs.jobqueue.table.table import Cells, whole

_INSISTS_S: Final = 3.0
"""A user who writes a value again has read our answer; the second half of one save comes within less."""


@dataclass(slots=True)
class Doubt:
    """What may be an older save."""

    saved: Cells
    sentence: str
    keeps_status: bool
    status: str | None = None
    """What the manager wanted when the sentence was first written."""
    answered_s: float | None = None
    """When we wrote into the file what is in force."""


@final
class InForce:
    """The merged rows, by id."""

    def __init__(self, memory: RowMemory) -> None:
        self._memory = memory
        self.cells: dict[str, Cells] = dict(memory.currents())
        self.now = 0.0
        """Seconds of the manager's clock at its last look."""
        self.doubts: dict[str, Doubt] = {}
        self.edits: dict[str, str] = {}
        """Status edits, by id, that were not reported yet."""
        self.fresh: set[str] = set()
        self.changed: set[str] = set()
        self.removed: dict[str, None] = {}
        self._times = SaveTimes()
        self._highest: dict[str, int] = {}

    def was_used(self, name: str) -> bool:
        """Return whether a row had this id at any time."""
        return bool(self._versions(name))

    def _versions(self, name: str) -> Sequence[Cells]:
        return self._memory.versions([name]).get(name, ())

    def take(
        self,
        saved: Sequence[Cells],
        *,
        columns: Sequence[str],
        certain: frozenset[str],
        whole_file: Callable[[], Mapping[str, Cells]],
    ) -> dict[str, Merged]:
        """Merge rows of a saved file that differ from what is in force; return the outcomes by id.

        Args:
            saved: Those rows.
            columns: The columns that the file has.
            certain: Ids whose editor surely had loaded what is in force.
            whole_file: Returns the rows of the file by id, those without an id left out; asked only
                when there is doubt.
        """
        different = [cells for cells in saved if self.cells.get(cells.id) != cells]
        if not different:
            return {}
        versions = self._memory.versions([cells.id for cells in different])
        merged = {
            cells.id: self._merge(cells, versions, columns, certain=cells.id in certain)
            for cells in different
        }
        doubtful = [cells for cells in different if merged[cells.id].in_doubt and cells.id in self.cells]
        if doubtful:
            seen = self._times.loaded_after(whole_file(), self.cells, self._versions)
            for cells in doubtful:
                if self._times.in_force_since(cells.id) <= seen or self._said_again(cells, columns):
                    merged[cells.id] = self._merge(cells, versions, columns, certain=True)
        self._accept(different, merged)
        return merged

    def _said_again(self, cells: Cells, columns: Sequence[str]) -> bool:
        """Return whether the user insists, in a table where no cell tells what he had loaded.

        An old buffer that is saved twice looks the same, so this starts no run: for that there are commands.
        """
        doubt = self.doubts.get(cells.id)
        if is_marked(columns) or doubt is None or doubt.answered_s is None or doubt.saved != cells:
            return False
        if self.now - doubt.answered_s < _INSISTS_S:
            return False
        return cells.status == self.cells[cells.id].status or cells.status not in ("", "open", "rerun")

    def _merge(
        self, saved: Cells, versions: Mapping[str, Sequence[Cells]], columns: Sequence[str], *, certain: bool
    ) -> Merged:
        known = versions.get(saved.id)
        if not known:
            return first_sight(saved)
        current = self.cells.get(saved.id)
        if current is None:
            return merge_returned(saved, known, columns=columns)
        return merge_row(saved, current, versions=known, columns=columns, certain=certain)

    def _accept(self, saved: Sequence[Cells], merged: Mapping[str, Merged]) -> None:
        remember: list[Cells] = []
        for cells in saved:
            name, outcome = cells.id, merged[cells.id]
            new = name not in self.cells
            self.changed.add(name)
            if outcome.status_edit is not None:
                self.edits[name] = outcome.status_edit
            if outcome.novel and outcome.cells[MARK] != cells[MARK]:
                remember += (cells, outcome.cells)  # else his next save would look like an older one
            elif outcome.edited or new:
                remember.append(outcome.cells)
            if outcome.edited or new:
                self._times.saw(name, new=new)
            if new:
                self.fresh.add(name)
                self.removed.pop(name, None)
            self._note_doubt(cells, outcome)
            self.cells[name] = outcome.cells
        if remember:
            self._memory.remember_many(remember)

    def _note_doubt(self, saved: Cells, outcome: Merged) -> None:
        old = self.doubts.get(saved.id)
        gives_in = old is not None and old.keeps_status and saved.status == old.status
        if outcome.in_doubt and not gives_in:
            self.doubts[saved.id] = Doubt(saved, outcome.in_doubt, outcome.keeps_status)
        elif old and (outcome.edited or gives_in):
            del self.doubts[saved.id]

    def unseen(self, gone: Iterable[str], saved: Iterable[Cells]) -> set[str]:
        """Return which of the rows that are gone cannot have been in the file when its editor loaded it."""
        names = list(gone)
        before = self._times.loaded_before(saved) if names else NEVER
        return {name for name in names if self._times.born(name) > before}

    def drop(self, names: Sequence[str]) -> None:
        """Note that these rows left the file."""
        if names:
            self._memory.retire_many(names)
        for name in names:
            del self.cells[name]
            self.doubts.pop(name, None)
            self.edits.pop(name, None)
            self.changed.discard(name)
            if name in self.fresh:
                self.fresh.discard(name)
            else:
                self.removed[name] = None

    def next_rev(self, saved: Cells) -> str:
        """Return the rev of the next version of this row; none is ever given twice."""
        known = self.cells.get(saved.id, saved)
        highest = max(whole(saved.rev) or 0, whole(known.rev) or 0, self._highest.get(saved.id, 0))
        self._highest[saved.id] = highest + 1
        return str(highest + 1)

    def remember(self, rows: Sequence[Cells]) -> None:
        """Note versions that are about to be written."""
        self._memory.remember_many(rows)

    def wrote(self, rows: Sequence[Cells]) -> None:
        """Note that these versions are in the file."""
        for cells in rows:
            self.cells[cells.id] = cells
            if cells.id in self.doubts:
                self.doubts[cells.id].answered_s = self.now
        self._times.wrote(rows)

    def told(self) -> None:
        """Note that the manager has been told everything."""
        for pending in (self.changed, self.edits, self.fresh, self.removed):
            pending.clear()
