"""What rows of Jobs.csv said, version by version, in queue.sqlite: the base of every three-way merge."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, final
from zlib import crc32

from pkgs.jobqueue.table.table import Cells

if TYPE_CHECKING:
    from pkgs.jobqueue.state.state import State

AT_ONCE: Final = 500
"""Ids in one query; SQLite takes 999 variables at least."""


@final
class RowMemory:
    """The memory that merge.py asks, durable on return of each call."""

    def __init__(self, state: State) -> None:
        self._state = state

    def currents(self) -> Mapping[str, Cells]:
        """Return the newest version of every row that was not retired, by id."""
        rows = self._state.db.execute("SELECT id, cells FROM rows WHERE present")
        return {job: Cells(*json.loads(cells)) for job, cells in rows}

    def versions(self, ids: Sequence[str]) -> Mapping[str, Sequence[Cells]]:
        """Return all versions of these rows, oldest first, of retired rows too; unknown ids are left out."""
        found: dict[str, list[Cells]] = {}
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            rows = self._state.db.execute(
                f"SELECT id, cells FROM versions WHERE id IN ({', '.join('?' * len(some))}) ORDER BY number",
                some,
            )
            for job, cells in rows:
                found.setdefault(job, []).append(Cells(*json.loads(cells)))
        return found

    def remember_many(self, rows: Iterable[Cells]) -> None:
        """Append versions; `cells.id` names the row, several may be of one row."""
        packed = [(cells.id, text, crc32(text.encode())) for cells in rows for text in (json.dumps(cells),)]
        with self._state.transaction():
            self._state.db.executemany("INSERT INTO versions (id, cells, sum) VALUES (?, ?, ?)", packed)
            self._state.db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, 1)", packed)

    def retire_many(self, ids: Iterable[str]) -> None:
        """Note that these rows left the file; `remember_many` brings them back."""
        with self._state.transaction():
            self._state.db.executemany("UPDATE rows SET present = 0 WHERE id = ?", [(job,) for job in ids])
