"""Tables of queue.sqlite, and the numbered steps from each released version to the next."""

from __future__ import annotations

from typing import Final

MIGRATIONS: Final = (
    # 1: the first release
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE versions (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL, cells TEXT NOT NULL, sum INTEGER NOT NULL);
    CREATE INDEX versions_of_a_row ON versions (id, number);
    CREATE TABLE rows (
        id TEXT PRIMARY KEY, cells TEXT NOT NULL, sum INTEGER NOT NULL,
        present INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY, wish TEXT NOT NULL, held INTEGER NOT NULL, failures INTEGER NOT NULL,
        durations TEXT NOT NULL, peak_gpu_mib INTEGER, digests TEXT NOT NULL,
        note TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE runs (
        job TEXT NOT NULL, condition TEXT NOT NULL, seed INTEGER NOT NULL,
        state TEXT NOT NULL, attempt TEXT, not_before_unix_s REAL, cause TEXT, sentence TEXT,
        tries INTEGER NOT NULL, free_tries INTEGER NOT NULL, needs_mib INTEGER, alone INTEGER NOT NULL,
        avoid TEXT NOT NULL,
        PRIMARY KEY (job, condition, seed)) WITHOUT ROWID;
    CREATE TABLE attempts (
        id TEXT PRIMARY KEY, job TEXT NOT NULL, condition TEXT NOT NULL, seed INTEGER NOT NULL,
        number INTEGER NOT NULL, devices TEXT NOT NULL, cpu_slots INTEGER NOT NULL, reserve_mib INTEGER,
        written_unix_s REAL NOT NULL, state TEXT NOT NULL, start_unix_s REAL, end_unix_s REAL,
        code INTEGER, signal INTEGER, cause TEXT, stop_reason TEXT, stop_unix_s REAL,
        peak_rss_bytes INTEGER, cpu_s REAL, peak_gpu_mib INTEGER, mean_util_percent REAL, energy_j REAL);
    CREATE INDEX attempts_of_a_run ON attempts (job, condition, seed, number);
    CREATE INDEX attempts_not_ended ON attempts (state) WHERE state = 'starting';
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, at_unix_s REAL NOT NULL, kind TEXT NOT NULL,
        text TEXT NOT NULL, job TEXT NOT NULL, run TEXT NOT NULL, attempt TEXT NOT NULL);
    CREATE INDEX events_of_a_job ON events (job, seq);
    CREATE TABLE telemetry (
        attempt TEXT NOT NULL, at_unix_s REAL NOT NULL, util_percent REAL, memory_mib REAL, power_w REAL,
        rss_mib REAL, cpu_percent REAL, PRIMARY KEY (attempt, at_unix_s)) WITHOUT ROWID;
    CREATE TABLE orders (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, at_unix_s REAL NOT NULL, verb TEXT NOT NULL,
        job TEXT NOT NULL);
    """,
)
