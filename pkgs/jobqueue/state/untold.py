"""Words of users that a manager had read and not yet followed when it ended.

A write of Jobs.csv reads the file once more, and what it finds is followed in the next turn. A manager that
ends in between has remembered the word, so that nobody would ever see it as new again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from pkgs.jobqueue.table.table import Cells
from pkgs.jobqueue.vocabulary import Wish

if TYPE_CHECKING:
    from pkgs.jobqueue.state.state import State

TOLD: Final = "told"
"""Number of the newest version of a row when everything read was followed."""


def note_told(state: State) -> None:
    """Note that all that was read so far is followed; belongs into the transaction that follows it."""
    newest = state.db.execute("SELECT max(number) FROM versions").fetchone()[0] or 0
    state.put(TOLD, str(newest))


def untold_words(state: State) -> dict[str, str]:
    """Return by id the last word of a user's that nobody has followed.

    A user's edit keeps the `rev` of the version that he had loaded, a write of ours has a new one. Without
    a `rev` the two cannot be told apart, and nothing is returned.
    """
    told = state.get(TOLD)
    if told is None:
        return {}
    found: dict[str, str] = {}
    latest: dict[str, Cells] = {}
    rows = state.db.execute("SELECT id, cells FROM versions WHERE number > ? ORDER BY number", (int(told),))
    for job, packed in rows.fetchall():
        version = Cells(*json.loads(packed))
        before = latest.get(job) or _before(state, job, number=int(told))
        latest[job] = version
        edited = before is not None and version.rev == before.rev != "" and version.status != before.status
        if edited and version.status in list(Wish):
            found[job] = version.status
    return found


def _before(state: State, job: str, *, number: int) -> Cells | None:
    row = state.db.execute(
        "SELECT cells FROM versions WHERE id = ? AND number <= ? ORDER BY number DESC LIMIT 1", (job, number)
    ).fetchone()
    return None if row is None else Cells(*json.loads(row[0]))
