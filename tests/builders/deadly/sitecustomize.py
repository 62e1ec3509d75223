"""Python loads this at its start where its folder is on PYTHONPATH: the process counts its acts, then dies.

An act is a change of files below DEADLY_BELOW; of a manager the start of a process, too. Without DEADLY_SEED
acts are only counted, and their number goes to the file DEADLY_TOTALS at the end. With it, the seed and the
process's place in the study (run, program, attempt) decide at which of so many acts it is struck, and how:
SIGKILL, SIGTERM, or SIGKILL for the process above it, its shim. Nothing depends on the clock: failures can be
repeated. Each strike is noted in DEADLY_LOG first. Standard library alone.
"""

from __future__ import annotations

import atexit
import os
import random
import signal
import sys
from collections.abc import Callable

HOWS = ("SIGKILL", "SIGKILL", "SIGTERM", "SIGTERM", "shim")
SURE, MAYBE = 1, 3
"""The first attempt is struck for sure, those up to the third perhaps, later ones never: the study ends."""
SHARE = 0.25
STARTS = 8
"""So many managers are struck."""
PIECES = 5
"""A manager lives about so small a share of the acts that the whole study takes."""
CHANGES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.link", "os.truncate")
STARTED = ("os.posix_spawn", "os.exec", "subprocess.Popen")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
UNTOLD = ("progress.json", "live.json", "usage.json", "__pycache__", "__editable__")
"""How often these are written depends on the clock, or on what ran on the machine before."""


class Fate:
    """The acts of this process, and the one that it dies of."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.pid, self.count = os.getpid(), 0
        self.below = environment["DEADLY_BELOW"]
        self.totals, self.log = environment["DEADLY_TOTALS"], environment["DEADLY_LOG"]
        self.run = ":".join(environment.get(name, "") for name in ("QUEUE_JOB", "QUEUE_SEED"))
        self.program = " ".join(os.path.basename(word) for word in sys.orig_argv[1:3])
        self.at, self.how = self.drawn(environment) if "DEADLY_SEED" in environment else (0, "")
        if "DEADLY_SEED" not in environment:
            atexit.register(self.tell)

    @property
    def is_manager(self) -> bool:
        return self.run == ":"

    def attempt(self, environment: dict[str, str]) -> int:
        if self.is_manager:
            return int(environment["DEADLY_START"])
        names = os.listdir(os.path.join(environment["QUEUE_RUN_DIR"], "attempts"))
        return max(int(name) for name in names if name.isdecimal())

    def drawn(self, environment: dict[str, str]) -> tuple[int, str]:
        """Return the number of the deadly act, 0 for none, and how it strikes."""
        attempt = self.attempt(environment)
        chance = random.Random(f"{environment['DEADLY_SEED']} {self.run} {self.program} {attempt}")  # noqa: S311
        total = self.known_total()
        if self.is_manager:
            spared, hows, total = attempt > STARTS, HOWS[:-1], total // PIECES
        else:
            spared = attempt > MAYBE or (attempt > SURE and chance.random() > SHARE)
            hows = HOWS
        return (0, "") if spared or not total else (chance.randint(1, total), chance.choice(hows))

    def known_total(self) -> int:
        with open(self.totals, encoding="utf-8") as file:
            rows = [line.rstrip("\n").split("\t") for line in file]
        return max((int(total) for run, program, total in rows if (run, program) == self.name), default=0)

    @property
    def name(self) -> tuple[str, str]:
        return self.run, self.program

    def hear(self, event: str, words: tuple[object, ...]) -> None:
        """Count an act, or die of it."""
        started = self.is_manager and event in STARTED
        if not (started or ((event in CHANGES or is_write(event, words)) and self.is_mine(words))):
            return
        if os.getpid() != self.pid:  # a fork: it has no fate of its own
            return
        self.count += 1
        if self.count == self.at:
            self.strike(event, words)

    def is_mine(self, words: tuple[object, ...]) -> bool:
        paths = [os.fsdecode(word) for word in words if isinstance(word, str | bytes | os.PathLike)]
        paths = [path for path in paths if path.startswith(self.below) or not os.path.isabs(path)]
        return bool(paths) and not any(name in path for path in paths for name in UNTOLD)

    def strike(self, event: str, words: tuple[object, ...]) -> None:
        path = next((os.fsdecode(w) for w in words if isinstance(w, str | bytes | os.PathLike)), "")
        told = (self.run, self.program, str(self.at), self.how, event, path.removeprefix(self.below))
        append(self.log, "\t".join(told))
        if self.how == "shim":
            os.kill(os.getppid(), signal.SIGKILL)
        else:
            os.kill(self.pid, signal.Signals[self.how])

    def tell(self) -> None:
        if os.getpid() == self.pid:
            append(self.totals, "\t".join((*self.name, str(self.count))))


def is_write(event: str, words: tuple[object, ...]) -> bool:
    if event != "open":
        return False
    flags = words[2]
    return isinstance(flags, int) and bool(flags & WRITING)


def append(path: str, line: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def guarded(hear: Callable[[str, tuple[object, ...]], None]) -> Callable[[str, tuple[object, ...]], None]:
    """Leave out the acts of the hook itself."""
    busy = False

    def hook(event: str, words: tuple[object, ...]) -> None:
        nonlocal busy
        if busy or not (event == "open" or event.startswith("os.") or event == "subprocess.Popen"):
            return
        busy = True
        try:
            hear(event, words)
        finally:
            busy = False

    return hook


if "DEADLY_BELOW" in os.environ:
    sys.addaudithook(guarded(Fate(dict(os.environ)).hear))
