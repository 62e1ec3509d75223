"""Peers that stay in the background: jobs can be added and the queue can be asked while it works."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, final

from benchmarks.arena import Arena, Line
from benchmarks.contestant import FAILED_CODE_UNTOLD, Contestant, path_of, peers_python, pypi_version
from benchmarks.footprint import command_line, listeners_on, name_and_parent


@final
class TaskSpooler(Contestant):
    """Debian's `tsp`; one waiting process and connection per queued job."""

    name = "task-spooler"
    command = "TS_SLOTS=N tsp JOB"
    durability = "in memory"
    program, package = "tsp", "task-spooler"
    most_rows = 950
    most_rows_why = "answers `queue full` beyond about 990 waiting jobs, whatever TS_MAXCONN says"

    def variables(self, folder: Path, *, slots: int) -> Mapping[str, str]:
        saved = {"TS_SAVELIST": str(folder / "saved"), "TS_MAXFINISHED": "10000"}
        return {"TS_SOCKET": str(folder / "socket"), "TS_SLOTS": str(slots), "TMPDIR": str(folder), **saved}

    def start(self, arena: Arena, lines: Sequence[Line], *, slots: int) -> None:  # noqa: ARG002
        for line in lines:
            arena.call(self.add_words(arena, line))

    def keepers(self, arena: Arena) -> list[int]:
        return listeners_on(arena.folder / "socket", among=arena.processes())

    def restart(self, arena: Arena, *, slots: int) -> None:  # noqa: ARG002
        arena.call([path_of("tsp")])  # any call starts a server

    def codes(self, arena: Arena) -> dict[int, int] | None:
        return read_tsp_codes(arena.call([path_of("tsp")]))

    def add_words(self, arena: Arena, line: Line) -> list[str]:
        return [path_of("tsp"), *arena.words(line)]

    def status_words(self, _arena: Arena) -> list[str]:
        return [path_of("tsp")]


@final
class Nq(Contestant):
    """One slot per folder, so N folders dealt in turn; every queued job is a waiting process of its own."""

    name = "nq"
    command = "NQDIR=q1 … qN nq JOB"
    durability = "processes; log not synced"
    program, package = "nq", "nq"
    most_rows = 1_000
    most_rows_why = "two waiting processes per queued job"

    def variables(self, folder: Path, *, slots: int) -> Mapping[str, str]:  # noqa: ARG002
        return {"NQDIR": str(folder / "q0")}

    def start(self, arena: Arena, lines: Sequence[Line], *, slots: int) -> None:
        for index, line in enumerate(lines):
            arena.call(self.add_words(arena, line), NQDIR=str(arena.folder / f"q{index % slots}"))

    def keepers(self, arena: Arena) -> list[int]:
        table = {pid: name_and_parent(pid) for pid in arena.processes()}
        running = [parent for name, parent in table.values() if name == "job"]
        return [pid for pid in running if table.get(pid, ("", 0))[0] == "nq"]

    def codes(self, arena: Arena) -> dict[int, int] | None:
        return read_nq_codes([path.read_text(errors="replace") for path in arena.folder.glob("q*/,*")])

    def add_words(self, arena: Arena, line: Line) -> list[str]:
        return [path_of("nq"), *arena.words(line)]

    def status_words(self, _arena: Arena) -> list[str]:
        return [path_of("fq"), "-q", "-n"]


@final
class Huey(Contestant):
    """SQLite storage, the consumer with threads. A library: one-line scripts stand in for commands."""

    name = "huey"
    command = "huey_consumer app.huey -w N"
    durability = "SQLite, adding synced"
    program, package = "huey_consumer", "huey"
    APP: Final = (
        "import subprocess\nfrom huey import SqliteHuey\nhuey = SqliteHuey('bench', filename='huey.db')\n"
        "@huey.task()\ndef job(*words):\n    return [int(words[1]), subprocess.call(words)]\n"
    )
    FILL: Final = "import app, sys\nfor line in open('lines'): app.job(*line.split())"
    RESULTS: Final = (
        "import app, json, pickle\n"
        "print(json.dumps([pickle.loads(value) for value in app.huey.all_results().values()]))"
    )

    def version(self) -> str:
        return pypi_version(self.package)

    def start(self, arena: Arena, lines: Sequence[Line], *, slots: int) -> None:
        (arena.folder / "app.py").write_text(self.APP)
        arena.write_list(lines)
        arena.call([peers_python(), "-c", self.FILL])
        self.restart(arena, slots=slots)

    def keepers(self, arena: Arena) -> list[int]:
        return [int((arena.folder / "consumer.pid").read_text())]

    def restart(self, arena: Arena, *, slots: int) -> None:
        pid = arena.spawn([path_of("huey_consumer"), "app.huey", "-w", str(slots)], output="consumer.out")
        (arena.folder / "consumer.pid").write_text(str(pid))

    def codes(self, arena: Arena) -> dict[int, int] | None:
        return {
            int(number): int(code)
            for number, code in json.loads(arena.call([peers_python(), "-c", self.RESULTS]))
        }

    def add_words(self, arena: Arena, line: Line) -> list[str]:
        return [peers_python(), "-c", "import app, sys; app.job(*sys.argv[1:])", *arena.words(line)]

    def status_words(self, _arena: Arena) -> list[str]:
        return [peers_python(), "-c", "import app; print(len(app.huey.pending()))"]


@final
class Runqd(Contestant):
    """gflow's daemon; each job is a tmux session. A limited group of jobs stands in for CPU slots."""

    name = "runqd"
    command = "gbatch --param-file list.csv --max-concurrent N --auto-close JOB"
    durability = "file, not synced"
    program, package = "gflowd", "runqd"
    listed_runs = 4
    quiet_s = 4.0
    BATCH: Final = 1_000
    """More at once it refuses. Those after the first wait for job 1, which only happens behind its gate."""

    def absent(self) -> str | None:
        return super().absent() or (None if path_exists("tmux") else "tmux, which it needs, is not installed")

    def version(self) -> str:
        return pypi_version(self.package)

    def variables(self, folder: Path, *, slots: int) -> Mapping[str, str]:  # noqa: ARG002
        return {"HOME": str(folder), "TMUX_TMPDIR": str(folder), "XDG_CONFIG_HOME": str(folder / ".config")}

    def start(self, arena: Arena, lines: Sequence[Line], *, slots: int) -> None:
        bin_folder = Path(path_of("gflowd")).parent
        (arena.folder / ".bash_profile").write_text(
            f'export PATH="{bin_folder}:$PATH"\n'
        )  # tmux logs in anew
        config = arena.folder / ".config" / "gflow" / "gflow.toml"
        config.parent.mkdir(parents=True)
        config.write_text(f'[daemon]\nhost = "localhost"\nport = {free_port()}\n')
        arena.call([path_of("gflowd"), "start"])
        for first in range(0, len(lines), self.BATCH):
            wait = ["--depends-on", "1"] if first else []
            self._add_batch(arena, lines[first : first + self.BATCH], ["--max-concurrent", str(slots), *wait])

    def _add_batch(self, arena: Arena, lines: Sequence[Line], flags: Sequence[str], /) -> None:
        table = arena.folder / "lines.csv"
        rows = "".join(f"{line.number},{line.wait},{line.code}\n" for line in lines)
        table.write_text(f"number,wait,code\n{rows}")
        job = [str(arena.job), "{number}", "{wait}", "{code}"]
        arena.call([path_of("gbatch"), "--param-file", str(table), "--auto-close", *flags, *job])

    def keepers(self, arena: Arena) -> list[int]:
        return [pid for pid in arena.processes() if "__multicall gflowd" in command_line(pid)]

    def restart(self, arena: Arena, *, slots: int) -> None:  # noqa: ARG002
        arena.call([path_of("gflowd"), "restart"])  # `start` refuses where a daemon has died, and says so

    def codes(self, arena: Arena) -> dict[int, int] | None:
        return read_runqd_codes(arena.call([path_of("gqueue"), "-a", "-o", "json"]))

    def add_words(self, arena: Arena, line: Line) -> list[str]:
        return [path_of("gbatch"), *arena.words(line)]

    def status_words(self, _arena: Arena) -> list[str]:
        return [path_of("gqueue")]


def read_tsp_codes(text: str) -> dict[int, int]:
    """Read the list that `tsp` prints: id, state, output file, exit level, times, command."""
    found = re.findall(r"^\d+ +finished +\S+ +(-?\d+) .*/job (\d+) ", text, flags=re.MULTILINE)
    return {int(number): int(code) for code, number in found}


def read_nq_codes(logs: Sequence[str]) -> dict[int, int]:
    """Read the ends that nq appends to its log files."""
    codes = {}
    for log in logs:
        number, end = re.search(r"/job '?(\d+)", log), re.search(r"\[exited with status (\d+)", log)
        if number and end:
            codes[int(number.group(1))] = int(end.group(1))
    return codes


def read_runqd_codes(text: str) -> dict[int, int]:
    """Read gqueue's JSON; it tells that a job failed, not with which code. Ids count the lines from 1."""
    words = {"Finished": 0, "Failed": FAILED_CODE_UNTOLD}
    return {job["id"]: words[job["state"]] for job in json.loads(text)["jobs"] if job["state"] in words}


def path_exists(program: str) -> bool:
    return any((Path(folder) / program).exists() for folder in os.get_exec_path())


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
    return port
