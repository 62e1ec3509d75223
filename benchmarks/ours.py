"""Our queue as a contestant, started as a user starts it: QueueManager.py in a folder with Jobs.csv."""

from __future__ import annotations

import csv
import json
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, final

from benchmarks.arena import Arena, Line
from benchmarks.contestant import Contestant
from pkgs.jobqueue.table.table import COLUMNS

PROGRAM: Final = Path(__file__).parents[1] / "QueueManager.py"
HEADER: Final = tuple(dict.fromkeys((*COLUMNS, "rev")))


@final
class Ours(Contestant):
    """Every transition is one SQLite commit with synchronous=FULL, and every end a synced exit.json."""

    name = "ours"
    command = "python QueueManager.py run --gpus none --cpu-slots N --until-idle --plain"
    durability = "every state synced"

    def absent(self) -> str | None:
        return None

    def version(self) -> str:
        return "this checkout"

    def start(self, arena: Arena, lines: Sequence[Line], *, slots: int) -> None:
        write_settings(arena)
        write_table(arena, lines)
        self.run(arena, slots=slots)

    def run(self, arena: Arena, *flags: str, slots: int) -> int:
        """Start a manager and return its pid."""
        words = [
            *verb("run"),
            "--plain",
            "--cpu-slots",
            str(slots),
            *(flags or ("--gpus", "none", "--until-idle")),
        ]
        pid = arena.spawn(words, output="manager.out")
        (arena.folder / "manager.pid").write_text(str(pid))
        return pid

    def keepers(self, arena: Arena) -> list[int]:
        return [int((arena.folder / "manager.pid").read_text())]

    def restart(self, arena: Arena, *, slots: int) -> None:
        self.run(arena, slots=slots)

    def codes(self, arena: Arena) -> dict[int, int] | None:
        query = "SELECT job, code FROM attempts WHERE code IS NOT NULL ORDER BY number"
        with closing(sqlite3.connect(f"file:{state_file(arena)}?mode=ro", uri=True, timeout=10)) as db:
            return {number_of(job): int(code) for job, code in db.execute(query)}

    def add_words(self, arena: Arena, line: Line) -> list[str]:
        return [*verb("add"), " ".join(arena.words(line)), "--id", job_id(line.number), "--gpus", "0"]

    def status_words(self, _arena: Arena) -> list[str]:
        return verb("status")


def verb(name: str) -> list[str]:
    return [sys.executable, str(PROGRAM), name]


def job_id(number: int) -> str:
    return f"bench/r{number}"


def number_of(job: str) -> int:
    return int(job.rpartition("r")[2])


def state_file(arena: Arena) -> Path:
    return arena.folder / "logs_and_checkpoints" / "queue" / "queue.sqlite"


def write_settings(arena: Arena) -> None:
    """Write settings that touch nothing outside the arena; all that costs time stays at its default."""
    folder = arena.folder / "configs"
    folder.mkdir(exist_ok=True)
    settings = {"lease_folder": str(arena.folder / "leases"), "free_disk_floor_mib": 0, "grace_s": 1.0}
    (folder / "queue.yaml").write_text(json.dumps(settings))  # JSON is YAML, too


def write_table(arena: Arena, lines: Sequence[Line], *, gpus: int = 0) -> None:
    """Save Jobs.csv as an editor does: written beside, then renamed."""
    draft = arena.folder / ".Jobs.csv.swp"
    with draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEADER, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row(arena, line, gpus=gpus) for line in lines)
    draft.replace(arena.folder / "Jobs.csv")


def append_row(arena: Arena, line: Line) -> None:
    """Save Jobs.csv with one more row, as an editor does that has just loaded it."""
    path, draft = arena.folder / "Jobs.csv", arena.folder / ".Jobs.csv.swp"
    cells = row(arena, line)
    draft.write_bytes(path.read_bytes() + ",".join(cells.get(name, "") for name in HEADER).encode() + b"\n")
    draft.replace(path)


def row(arena: Arena, line: Line, *, gpus: int = 0) -> dict[str, str]:
    return {
        "id": job_id(line.number), "status": "open", "command": " ".join(arena.words(line)),
        "gpus": str(gpus), "retries": "0",
    }  # fmt: skip
