"""When, on what and how a benchmark was taken, without the machine's name; and how far it is."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pkgs.jobqueue.state.state import file_system_of

Say = Callable[[str], None]


def facts(module: str, arguments: Sequence[str]) -> str:
    """Return one paragraph: moment, command, processor, system, Python, disk and load."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    calm = "" if load < 0.25 * cores else " **The machine was not quiet: these figures are no result.**"
    command, disk = shlex.join(["-m", module, *arguments]), Path(tempfile.gettempdir())
    parts = [
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by `python {command}`",
        f"{cores} cores ({_processor()}), {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, temporary folder on {file_system_of(disk)}",
        f"load average {load:.2f} at the start.{calm}",
    ]
    return "; ".join(parts)


def progress() -> Say:
    """Return a function that prints a line with the seconds since now."""
    begin_s = time.monotonic()

    def say(words: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - begin_s:4.0f} s] {words}\n")
        sys.stderr.flush()

    return say


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
