"""queue.sqlite: what the queue knows, durable after every transition (WAL, synchronous=FULL).

One transition, one transaction, committed before the action it announces. Readers never lock out the manager.
Not here: what the records mean (records.py) and when they change (manager.py).
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from pkgs.jobqueue.state.records import (
    Active,
    Attempt,
    AttemptState,
    Cancelled,
    Completed,
    Event,
    Failed,
    JobRecord,
    Run,
    RunState,
    Waiting,
)
from pkgs.jobqueue.state.schema import MIGRATIONS
from pkgs.jobqueue.state.state_check import damage, is_of_the_file
from pkgs.jobqueue.vocabulary import Cause, RunKey, Wish

BUSY_TIMEOUT_S: Final = 10.0
"""Writers other than the manager (orders of commands) hold the lock for a millisecond."""

NETWORK_FILE_SYSTEMS: Final = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "lustre",
        "beegfs",
        "gpfs",
        "ceph",
        "9p",
        "afs",
        "fuse.sshfs",
        "glusterfs",
    }
)
"""A write-ahead log needs shared memory between processes, which these do not give."""

ATTEMPT_COLUMNS: Final = (
    "id", "job", "condition", "seed", "number", "devices", "cpu_slots", "reserve_mib", "written_unix_s",
    "state", "start_unix_s", "end_unix_s", "code", "signal", "cause", "stop_reason", "stop_unix_s",
    "peak_rss_bytes",
    "cpu_s", "peak_gpu_mib", "mean_util_percent", "energy_j",
)  # fmt: skip


class StateError(ValueError):
    """The state cannot be used as it is; the message says what was done about it."""


def file_system_of(path: Path, *, mounts: Path = Path("/proc/mounts")) -> str:
    """Return the type of the file system that holds `path`, `unknown` if it cannot be told."""
    best, kind = "", "unknown"
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return kind
    place = str(path.resolve())
    for line in lines:
        fields = line.split()
        if len(fields) > 2:
            mount = fields[1].rstrip("/") or "/"
            inside = mount in ("/", place) or place.startswith(mount + "/")
            if inside and len(mount) >= len(best):
                best, kind = mount, fields[2]
    return kind


class State:
    """The queue's memory. One writer, the manager; any number of readers."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self.db = db

    @classmethod
    def open(cls, path: Path, *, file_system: str | None = None) -> State:
        """Open or create the state for writing.

        Raises:
            StateError: If the file is damaged or of a later version. `set_aside` is the way on.
            sqlite3.OperationalError: If the disk is full or not writable.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        network = (file_system or file_system_of(path.parent)) in NETWORK_FILE_SYSTEMS
        db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            db.execute(f"PRAGMA journal_mode={'DELETE' if network else 'WAL'}")
            db.execute("PRAGMA synchronous=FULL")
            _migrate(db, path)
            _check(db, path)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # a spoilt name that SQLite complains of
            db.close()
            if not is_of_the_file(error):
                raise
            raise StateError(f"{path} cannot be read: {error}.") from None
        except StateError:
            db.close()
            raise
        return cls(path, db)

    @classmethod
    def open_memory(cls) -> State:
        """Return an empty state that lasts as long as the process."""
        db = sqlite3.connect(":memory:", isolation_level=None)
        _migrate(db, Path(":memory:"))
        return cls(Path(":memory:"), db)

    @classmethod
    def read(cls, path: Path) -> State | None:
        """Open the state for reading, beside a manager or without one; None when there is none."""
        if not path.exists():
            return None
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            db.close()
            raise StateError(f"{path} cannot be read: {error}. The next `run` sets it aside.") from None
        if version != len(MIGRATIONS):
            db.close()
            return None
        return cls(path, db)

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside become durable together, or none does; one inside another is part of it."""
        if self.db.in_transaction:
            yield
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise

    # -- jobs and runs -------------------------------------------------------------------------------------

    def jobs(self) -> dict[str, JobRecord]:
        rows = self.db.execute(
            "SELECT id, wish, held, failures, durations, peak_gpu_mib, digests, note FROM jobs"
        )
        return {
            row[0]: JobRecord(
                row[0],
                Wish(row[1]),
                bool(row[2]),
                row[3],
                json.loads(row[4]),
                row[5],
                json.loads(row[6]),
                row[7],
            )
            for row in rows
        }

    def save_jobs(self, jobs: Iterable[JobRecord]) -> None:
        self.db.executemany(
            "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    job.id, job.wish.value, job.held_after_failures, job.failures_in_row,
                    json.dumps(job.durations_s), job.peak_gpu_mib, json.dumps(job.digests), job.note,
                )
                for job in jobs
            ),
        )  # fmt: skip

    def runs(self, job: str | None = None) -> Iterator[Run]:
        """Yield the runs that are not fresh: of all jobs or of one."""
        where, values = ("WHERE job = ?", (job,)) if job is not None else ("", ())
        rows = self.db.execute(
            "SELECT job, condition, seed, state, attempt, not_before_unix_s, cause, sentence, tries,"
            f" free_tries, needs_mib, alone, avoid FROM runs {where}",
            values,
        )
        for row in rows:
            key = RunKey(row[0], row[1] or None, None if row[2] < 0 else row[2])
            avoid = frozenset(row[12].split()) if row[12] else frozenset()
            yield Run(key, _run_state(row), row[8], row[9], row[10], bool(row[11]), avoid)

    def save_runs(self, runs: Iterable[Run]) -> None:
        self.db.executemany(
            "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_run_row, runs)
        )

    # -- attempts ------------------------------------------------------------------------------------------

    def save_attempts(self, attempts: Iterable[Attempt]) -> None:
        marks = ", ".join("?" * len(ATTEMPT_COLUMNS))
        self.db.executemany(
            f"INSERT OR REPLACE INTO attempts VALUES ({marks})",
            map(_attempt_row, attempts),
        )

    def attempts(self, key: RunKey) -> list[Attempt]:
        """Return the attempts of a run, oldest first."""
        rows = self.db.execute(
            f"SELECT {', '.join(ATTEMPT_COLUMNS)} FROM attempts"
            " WHERE job = ? AND condition = ? AND seed = ? ORDER BY number",
            _key_row(key),
        )
        return [_attempt(row) for row in rows]

    def newest_attempt(self, key: RunKey) -> int:
        """Return the highest number among the attempts of a run, 0 if there was none."""
        row = self.db.execute(
            "SELECT max(number) FROM attempts WHERE job = ? AND condition = ? AND seed = ?", _key_row(key)
        ).fetchone()
        return row[0] or 0

    def attempts_not_ended(self) -> list[Attempt]:
        """Return the attempts that may still live: what a starting manager has to take back."""
        rows = self.db.execute(f"SELECT {', '.join(ATTEMPT_COLUMNS)} FROM attempts WHERE state = 'starting'")
        return [_attempt(row) for row in rows]

    # -- diary, telemetry, orders --------------------------------------------------------------------------

    def note(self, event: Event) -> None:
        self.db.execute(
            "INSERT INTO events (at_unix_s, kind, text, job, run, attempt) VALUES (?, ?, ?, ?, ?, ?)",
            (event.at_unix_s, event.kind, event.text, event.job, event.run, event.attempt),
        )

    def events(self, *, job: str | None = None, newest: int = 20) -> list[Event]:
        """Return the newest events, oldest of them first."""
        where, values = ("WHERE job = ?", (job,)) if job is not None else ("", ())
        rows = self.db.execute(
            f"SELECT at_unix_s, kind, text, job, run, attempt FROM events {where} ORDER BY seq DESC LIMIT ?",
            (*values, newest),
        ).fetchall()
        return [Event(*row) for row in reversed(rows)]

    def add_telemetry(
        self, rows: Iterable[tuple[str, float, float | None, float | None, float | None, float, float]]
    ) -> None:
        self.db.executemany("INSERT OR REPLACE INTO telemetry VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def add_order(self, verb: str, job: str) -> None:
        """Leave an order for the manager, running or not; it is carried out once."""
        with self.transaction():
            self.db.execute(
                "INSERT INTO orders (at_unix_s, verb, job) VALUES (?, ?, ?)", (time.time(), verb, job)
            )

    def orders(self) -> list[tuple[int, str, str]]:
        return self.db.execute("SELECT seq, verb, job FROM orders ORDER BY seq").fetchall()

    def drop_order(self, seq: int) -> None:
        self.db.execute("DELETE FROM orders WHERE seq = ?", (seq,))

    # -- single values -------------------------------------------------------------------------------------

    def get(self, key: str) -> str | None:
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, value: str) -> None:
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def set_aside(path: Path, *, now_unix_s: float) -> Path:
    """Rename an unreadable state and what belongs to it, never overwriting one set aside before."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now_unix_s))
    target = path.with_name(f"{path.name}.unreadable-{stamp}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.unreadable-{stamp}.{number}")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(target.with_name(target.name + suffix))
    return target


def _check(db: sqlite3.Connection, path: Path) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as sound:
        _migrate(sound, path)
        wrong = damage(db, sound=sound)
    if wrong:
        raise StateError(f"{path} {wrong}.")


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise StateError(
            f"{path} is of version {version}, written by a later release; this one knows {len(MIGRATIONS)}."
        )
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version={number}; COMMIT;")


def _key_row(key: RunKey) -> tuple[str, str, int]:
    return key.job, key.condition or "", -1 if key.seed is None else key.seed


def _run_row(run: Run) -> tuple[object, ...]:
    name = type(run.state).__name__.lower()
    attempt, not_before, cause, sentence = None, None, None, None
    match run.state:
        case Waiting(not_before_unix_s=moment, cause=why, sentence=text):
            not_before, cause, sentence = moment, why.value if why else None, text
        case Active(attempt=identifier):
            attempt = identifier
        case Failed(cause=reason, sentence=text):
            cause, sentence = reason.value, text
        case Completed() | Cancelled():
            sentence = ""
    facts = (run.tries, run.free_tries, run.needs_mib, run.alone, " ".join(sorted(run.avoid)))
    return (*_key_row(run.key), name, attempt, not_before, cause, sentence, *facts)


def _run_state(row: tuple[Any, ...]) -> RunState:
    name, attempt, not_before, cause, sentence = row[3:8]
    match name:
        case "waiting":
            return Waiting(not_before or 0.0, Cause(cause) if cause else None, sentence or "")
        case "active":
            return Active(attempt)
        case "completed":
            return Completed()
        case "cancelled":
            return Cancelled()
        case "failed":
            return Failed(Cause(cause), sentence)
        case _:
            raise StateError(f"A run is in the state {name!r}, which this release does not know.")


def _attempt_row(attempt: Attempt) -> tuple[object, ...]:
    return (
        attempt.id, *_key_row(attempt.key), attempt.number, " ".join(attempt.devices), attempt.cpu_slots,
        attempt.reserve_mib, attempt.written_unix_s, attempt.state.value, attempt.start_unix_s,
        attempt.end_unix_s, attempt.code, attempt.signal, attempt.cause.value if attempt.cause else None,
        attempt.stop_reason,
        attempt.stop_unix_s, attempt.peak_rss_bytes, attempt.cpu_s, attempt.peak_gpu_mib,
        attempt.mean_util_percent, attempt.energy_j,
    )  # fmt: skip


def _attempt(row: tuple[Any, ...]) -> Attempt:
    fact = dict(zip(ATTEMPT_COLUMNS, row, strict=True))
    key = RunKey(str(fact.pop("job")), str(fact.pop("condition")) or None, int(str(fact.pop("seed"))))
    if key.seed == -1:
        key = key._replace(seed=None)
    fact["devices"] = tuple(str(fact["devices"]).split())
    fact["state"] = AttemptState(fact["state"])
    fact["cause"] = Cause(fact["cause"]) if fact["cause"] else None
    return Attempt(key=key, **fact)
