"""One training per run folder: two would take each other's checkpoints away. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

LOCK: Final = ".training.lock"


@contextmanager
def sole_trainer(folder: Path) -> Iterator[None]:
    """Hold a run folder inside this block; the kernel lets go of it however the process ends.

    Raises:
        ValueError: If another process trains there.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(
            f"{folder}: another process trains in this folder. Wait for it or stop it, "
            "or give another --run-dir."
        ) from None
    try:
        yield
    finally:
        lock.release()
