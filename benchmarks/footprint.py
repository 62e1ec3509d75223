"""What processes cost: CPU time in nanoseconds and memory, read from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def cpu_s(pids: Iterable[int]) -> float:
    """Return the CPU seconds of these processes so far, from schedstat: /proc/PID/stat only counts ticks."""
    total_ns = 0
    for pid in pids:
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            total_ns += int(_read(path).split()[0]) if _read(path) else 0
    return total_ns / 1e9


def pss_mb(pids: Iterable[int]) -> float:
    """Return the memory of these processes in MB, pages shared with others counted by their share."""
    return sum(_field_kb(pid, "Pss:") for pid in pids) * 1024 / 1e6


def rss_mb(pids: Iterable[int]) -> float:
    """Return the resident memory of these processes in MB."""
    return sum(_field_kb(pid, "Rss:") for pid in pids) * 1024 / 1e6


def name_and_parent(pid: int) -> tuple[str, int]:
    """Return the name and the parent of a process; empty and 0 when it is gone."""
    head, _, rest = _read(Path(f"/proc/{pid}/stat")).rpartition(")")
    return (head.partition("(")[2], int(rest.split()[1])) if rest else ("", 0)


def command_line(pid: int) -> str:
    return _read(Path(f"/proc/{pid}/cmdline")).replace("\0", " ")


def listeners_on(path: Path, *, among: Iterable[int]) -> list[int]:
    """Return which of the processes listen on a Unix socket."""
    listening = "00010000"  # the flag SO_ACCEPTCON in /proc/net/unix
    table = [line.split() for line in _read(Path("/proc/net/unix")).splitlines()]
    sockets = {f"socket:[{row[6]}]" for row in table if row[-1] == str(path) and row[3] == listening}
    return [pid for pid in among if sockets & set(_open_files(pid))]


def _open_files(pid: int) -> list[str]:
    links = []
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            links.append(os.readlink(link))
        except OSError:
            continue  # closed meanwhile
    return links


def _field_kb(pid: int, name: str) -> int:
    lines = _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # the process is gone
        return ""
