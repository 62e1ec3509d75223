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
from functools import partial
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


def measure_compute(figures: Figures, *, rounds: int, quick: bool) -> None:
    """Time a copy of memory and a product of matrices, on the CPU and on a GPU where torch sees one."""
    import torch  # noqa: PLC0415 - the queue's benchmark needs none

    side, count = (128, 1 << 16) if quick else (1024, 1 << 26)
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        source = torch.ones(count, dtype=torch.uint8, device=device)
        matrix = torch.ones(side, side, device=device)
        target, product = torch.empty_like(source), torch.empty_like(matrix)
        pieces: dict[str, tuple[float, Callable[[], object]]] = {
            f"{device}_copy_gb_per_s": (count / 1e9, partial(target.copy_, source)),
            f"{device}_matmul_gflop_per_s": (
                2 * side**3 / 1e9,
                partial(torch.mm, matrix, matrix, out=product),
            ),
        }
        for measure, (amount, piece) in pieces.items():
            times = [_seconds(partial(_settled, piece, device)) for _ in range(rounds + 1)]
            figures.add(MACHINE, measure, *(amount / seconds for seconds in times[1:]))  # the first warms up


def _settled(piece: Callable[[], object], device: str) -> None:
    """Carry out a piece to its end; a GPU works on after the call."""
    import torch  # noqa: PLC0415 - as above

    piece()
    if device == "cuda":
        torch.cuda.synchronize()


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
