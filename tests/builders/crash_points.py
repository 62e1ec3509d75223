"""Kills or fails a manager at its n-th write: compiles tests/jobqueue/crash/crash_points.c, reads its log."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "jobqueue" / "crash" / "crash_points.c"


@dataclass(frozen=True)
class Call:
    """One call that the manager made, or was about to make."""

    number: int
    name: str
    path: str
    """Relative to the queue's folder."""
    to: str
    outcome: str
    """done, refused, failed, killed-before or killed-after."""


@dataclass(frozen=True)
class CrashPoints:
    """What shall happen to a manager that is started in `folder`."""

    folder: Path
    log: Path
    at: int = 0
    """The call at which it happens; 0: calls are only counted."""
    after: bool = False
    """Killed after the call instead of before it."""
    errno: int = 0
    """Answered instead of a kill."""
    until: Path | None = None
    """With `errno`: all later calls fail, too, until this file is there."""

    only: str = ""
    """With `errno`: only calls on paths that contain this fail."""
    nap_s: float = 0.0
    """The process that the killed manager was starting sleeps so long before it becomes a shim."""

    def environment(self) -> dict[str, str]:
        """Return what the manager's environment needs on top; the library takes it out again."""
        found = {
            "LD_PRELOAD": str(library()),
            "CRASH_BELOW": str(self.folder),
            "CRASH_LOG": str(self.log),
            "CRASH_AT": str(self.at),
            "CRASH_WHEN": "after" if self.after else "before",
        }
        if self.errno:
            found["CRASH_ERRNO"] = str(self.errno)
        if self.until is not None:
            found["CRASH_UNTIL"] = str(self.until)
        return found | {"CRASH_ONLY": self.only, "CRASH_NAP_MS": f"{1000 * self.nap_s:.0f}"}

    def calls(self) -> list[Call]:
        """Return what the manager did, oldest first."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [Call(int(words[0]), *words[1:5]) for line in lines if (words := line.split(" "))]


@functools.cache
def library() -> Path:
    """Return the compiled library; skips the test where no C compiler is."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler for the crash points (tests/jobqueue/crash/crash_points.c)")
    folder = Path(tempfile.mkdtemp(prefix="crash_points_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "crash_points.so"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *flags, "-o", str(path), str(SOURCE), "-ldl"], check=True)
    return path
