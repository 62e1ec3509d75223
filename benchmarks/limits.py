"""What this machine allows at best: without these, a figure says more about the disk than about the queue."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from benchmarks.figures import Figures

MACHINE: Final = "machine"


def measure_limits(figures: Figures, *, rounds: int) -> None:
    """Time the pieces of which every start and every end is made."""
    with tempfile.TemporaryDirectory(prefix="bench_") as name, closing(_database(Path(name))) as db:
        file = os.open(Path(name) / "synced", os.O_WRONLY | os.O_CREAT)
        bash = shutil.which("bash") or "/bin/bash"
        pieces: dict[str, Callable[[], object]] = {
            "fork_exec_bash_s": lambda: subprocess.run([bash, "-c", ":"], check=True),
            "fsync_4k_s": lambda: _write_synced(file),
            "sqlite_commit_s": lambda: db.execute("INSERT INTO facts VALUES (1, 'x')"),
            "python_start_s": lambda: subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True),
            "python_start_with_site_s": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
        }
        for measure, piece in pieces.items():
            figures.add(MACHINE, measure, *(_seconds(piece) for _ in range(rounds)))
        os.close(file)


def _write_synced(file: int) -> None:
    os.pwrite(file, b"x" * 4096, 0)
    os.fsync(file)


def _database(folder: Path) -> sqlite3.Connection:
    db = sqlite3.connect(folder / "facts.sqlite", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE facts (number INTEGER, text TEXT)")
    return db


def _seconds(piece: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    piece()
    return time.perf_counter() - start_s
