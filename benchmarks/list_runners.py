"""Peers that work off a list and end: nothing stays in the background, nothing can be added or asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import final

from benchmarks.arena import Arena, Line
from benchmarks.contestant import Contestant, debian_version, path_of, pypi_version


class ListRunner(Contestant):
    """Started with the whole list; the process that was started is the keeper."""

    has_verbs = False

    def words(self, arena: Arena, *, slots: int) -> list[str]:
        raise NotImplementedError

    def start(self, arena: Arena, lines: Sequence[Line], *, slots: int) -> None:
        arena.write_list(lines)
        self.launch(arena, slots=slots)

    def launch(self, arena: Arena, *, slots: int) -> None:
        pid = arena.spawn(self.words(arena, slots=slots), output="runner.out")
        (arena.folder / "runner.pid").write_text(str(pid))

    def keepers(self, arena: Arena) -> list[int]:
        return [int((arena.folder / "runner.pid").read_text())]


@final
class Xargs(ListRunner):
    """No queue at all: what starting and collecting two processes at a time costs on this machine."""

    name = "xargs (no queue)"
    command = "xargs -P N -L 1"
    durability = "none"
    program, package = "xargs", "findutils"
    kill_tested = False
    rests = False

    def words(self, arena: Arena, *, slots: int) -> list[str]:
        return [path_of("xargs"), "-a", str(arena.folder / "lines"), "-P", str(slots), "-L", "1", "env"]


@final
class SimpleGpuScheduler(ListRunner):
    """Reads the list from standard input; its GPUs are only numbers, so none is needed."""

    name = "simple-gpu-scheduler"
    command = "simple_gpu_scheduler --gpus 0 … N-1 < list"
    durability = "in memory"
    program, package = "simple_gpu_scheduler", "simple-gpu-scheduler"

    def version(self) -> str:
        return pypi_version(self.package)

    def launch(self, arena: Arena, *, slots: int) -> None:
        words = [path_of(self.program), "--gpus", *map(str, range(slots))]
        pid = arena.spawn(words, output="runner.out", stdin=arena.folder / "lines")
        (arena.folder / "runner.pid").write_text(str(pid))


@final
class Gpusched(ListRunner):
    """On pretended GPUs; by default it looks every 5 s, so it is measured with a short pause, too."""

    durability = "journal synced"
    program, package = "gpusched", "gpusched"

    def __init__(self, poll_s: float | None = None) -> None:
        self.flags = [] if poll_s is None else ["--poll", str(poll_s)]
        self.name = " ".join(["gpusched", *self.flags])
        self.command = " ".join(["gpusched", "--sim", "N", *self.flags, "list"])
        self.listed_runs = 2 if poll_s is None else 100
        self.kill_tested = poll_s is not None

    def version(self) -> str:
        return pypi_version(self.package)

    def words(self, arena: Arena, *, slots: int) -> list[str]:
        return [path_of("gpusched"), "--sim", str(slots), *self.flags, str(arena.folder / "lines")]

    def restart(self, arena: Arena, *, slots: int) -> None:
        self.launch(arena, slots=slots)

    def codes(self, arena: Arena) -> dict[int, int] | None:
        return read_gpusched_codes((arena.folder / "runner.out").read_text(errors="replace"))


@final
class GnuParallel(ListRunner):
    """With a job log, from which `--resume` goes on."""

    name = "GNU parallel"
    command = "parallel -j N --joblog log --resume -a list"
    durability = "log, not synced"
    program, package = "parallel", "parallel"

    def absent(self) -> str | None:
        # moreutils has a program of the same name that knows neither log nor resume.
        return super().absent() or (None if debian_version("parallel") != "?" else "not GNU parallel")

    def words(self, arena: Arena, *, slots: int) -> list[str]:
        log = str(arena.folder / "joblog")
        return [
            path_of("parallel"),
            "-j",
            str(slots),
            "--joblog",
            log,
            "--resume",
            "-a",
            str(arena.folder / "lines"),
        ]

    def restart(self, arena: Arena, *, slots: int) -> None:
        self.launch(arena, slots=slots)

    def codes(self, arena: Arena) -> dict[int, int] | None:
        return read_joblog((arena.folder / "joblog").read_text())


def read_gpusched_codes(text: str) -> dict[int, int]:
    """Read `job 3 finished [EXIT 2]` and `[OK]` lines of gpusched's output."""
    found = re.findall(r"job (\d+) finished \[(?:OK|EXIT (-?\d+))\]", text)
    return {int(number): int(code or 0) for number, code in found}


def read_joblog(text: str) -> dict[int, int]:
    """Read the exit values of GNU parallel's job log."""
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    return {int(row[0]): int(row[6]) for row in rows if len(row) > 6}
