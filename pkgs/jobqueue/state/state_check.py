"""Whether queue.sqlite can be believed: its pages, its tables, and values that no release has written.

SQLite keeps no checksums, so that a changed digit passes; what runs is therefore also compared with the run
folders (past.py). Not here: what is done with a file that cannot be believed (assemble.py).
"""

from __future__ import annotations

import sqlite3
from typing import Final
from zlib import crc32

from pkgs.jobqueue.vocabulary import Cause, Wish

ENVIRONMENT: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY,
    }
)  # fmt: skip
"""Primary result codes that tell of the disk, of rights or of another process, not of the file."""

RUN_STATES: Final = ("waiting", "active", "completed", "failed", "cancelled")
ATTEMPT_STATES: Final = ("starting", "ended", "void")


def _any_of(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


_CAUSES: Final = _any_of(tuple(Cause))
IMPOSSIBLE: Final = {
    "a run": f"FROM runs WHERE state NOT IN ({_any_of(RUN_STATES)}) OR cause NOT IN ({_CAUSES})"
    " OR typeof(seed) != 'integer' OR typeof(tries) != 'integer'"
    " OR (state = 'failed' AND (cause IS NULL OR sentence IS NULL))",
    "a job": f"FROM jobs WHERE wish NOT IN ({_any_of(tuple(Wish))}) OR NOT json_valid(durations)"
    " OR NOT json_valid(digests) OR typeof(held) != 'integer' OR typeof(failures) != 'integer'",
    "a row of the table": "FROM rows WHERE NOT json_valid(cells) OR json_extract(cells, '$[0]') != id"
    " OR typeof(present) != 'integer' OR sum != crc32(cells)",
    "a version of a row": "FROM versions WHERE NOT json_valid(cells) OR json_extract(cells, '$[0]') != id"
    " OR sum != crc32(cells)",
    "an attempt": f"FROM attempts WHERE state NOT IN ({_any_of(ATTEMPT_STATES)}) OR cause NOT IN ({_CAUSES})"
    " OR typeof(number) != 'integer' OR typeof(seed) != 'integer'",
    "a run without the attempt that does it": "FROM runs WHERE state = 'active' AND NOT EXISTS"
    " (SELECT 1 FROM attempts WHERE id = runs.attempt AND state = 'starting')",
    "an attempt without its run": "FROM attempts AS a WHERE NOT EXISTS (SELECT 1 FROM runs AS r"
    " WHERE r.job = a.job AND r.condition = a.condition AND r.seed = a.seed"
    " AND (a.state != 'starting' OR (r.state = 'active' AND r.attempt = a.id)))",
    "a setting": "FROM meta WHERE key = 'quarantine' AND NOT json_valid(value)",
}
"""What no release has ever written, by the name of what is wrong."""


def damage(db: sqlite3.Connection, *, sound: sqlite3.Connection) -> str | None:
    """Return what is wrong with a state in words, None if nothing is.

    Args:
        db: The state.
        sound: An empty state of the same version.
    """
    db.create_function("crc32", 1, lambda text: crc32(str(text).encode()), deterministic=True)
    # Not quick_check: a spoilt index is only met when it is written, and the next start would pass it again.
    if db.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
        return "is damaged"
    if _tables(db) != _tables(sound):
        return "is damaged: its tables are not those of this release"
    for what, question in IMPOSSIBLE.items():
        if db.execute(f"SELECT 1 {question} LIMIT 1").fetchone() is not None:
            return f"is damaged: it holds {what} that cannot be"
    return None


def _tables(db: sqlite3.Connection) -> list[tuple[str, ...]]:
    """Return what the file says of its own tables, without the line breaks of the release that made them."""
    rows = db.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master ORDER BY name")
    return [tuple(" ".join(str(text).split()) for text in row) for row in rows]


def is_corrupt(error: sqlite3.Error) -> bool:
    """Tell whether SQLite has met pages that cannot be, in a file that was believed at the start."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_of_the_file(error: Exception) -> bool:
    """Tell whether an error speaks against the file itself, not against disk, rights or another process."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is None or (code & 0xFF) not in ENVIRONMENT  # None: text that is no text
