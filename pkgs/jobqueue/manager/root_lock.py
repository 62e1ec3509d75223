"""One manager per root: a lock that dies with its holder, and the words about who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

PATIENCE_S: Final = 1.0
"""A manager that was just killed may have a child between fork and exec that still holds the lock."""


class RootInUseError(ValueError):
    """Another manager works on this root; the message names its host, pid and start."""


class RootLock:
    """Held from `take` until `release` or the end of the process, whichever way it comes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "manager.lock"
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock.

        Raises:
            RootInUseError: If another process holds it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                os.close(descriptor)
                raise RootInUseError(self._words()) from None
        record = {"host": platform.node(), "pid": os.getpid(), "start_unix_s": time.time()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(record).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _words(self) -> str:
        holder = read_holder(self.path)
        who = "another manager"
        if holder is not None:
            since = datetime.fromtimestamp(holder["start_unix_s"]).astimezone().strftime("%d %b %H:%M")
            who = f"a manager on {holder['host']}, pid {holder['pid']}, since {since},"
        return (
            f"{who} works on {self.path.parent.parent}. Watch it with `python QueueManager.py status`, "
            "stop it with Ctrl-C in its terminal (its jobs go on), or give another --root."
        )


def read_holder(path: Path) -> dict[str, Any] | None:
    """Return host, pid and start of the process that wrote the lock file, dead or alive."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and {"host", "pid", "start_unix_s"} <= record.keys() else None


def is_held(folder: Path) -> bool:
    """Tell whether a manager works on the root whose queue folder this is."""
    try:
        descriptor = os.open(folder / "manager.lock", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
