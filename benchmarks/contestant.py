"""What every queue in the benchmark can be asked for. The catalogue of them is catalog.py."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.arena import Arena, Line

PEERS_FOLDER: Final = Path(".venv-peers")
"""The peers of PyPI live here, never in the project's own environment: `--install-peers` fills it."""
FAILED_CODE_UNTOLD: Final = -1
"""A queue that says that a run failed, but not how."""


class Contestant(ABC):
    """A queue under measurement."""

    name: str
    command: str
    """How it is started, for the reader of the table."""
    durability: str
    """What of its state survives a power cut; ours syncs every transition, most peers none."""
    program: str = ""
    """Found on PATH, or in the peers' environment."""
    package: str = ""
    """Of PyPI or Debian."""
    listed_runs: int = 200
    """Fewer where a run costs seconds."""
    most_rows: int = 10_000
    most_rows_why: str = ""
    has_verbs: bool = True
    """Whether there is a command that adds a job and one that shows the queue."""
    kill_tested: bool = True
    rests: bool = True
    """Whether what it costs at rest means something."""
    quiet_s: float = 1.5
    """After the kill test's restart: this long without a stamp means that nothing more will come."""

    def absent(self) -> str | None:
        """Return why it cannot be measured here; None when it can."""
        return None if find(self.program) else f"{self.program} of {self.package} is not installed"

    def version(self) -> str:
        """Return its version, as the package manager knows it."""
        return debian_version(self.package)

    def variables(self, _folder: Path, *, slots: int) -> Mapping[str, str]:  # noqa: ARG002  # most need none
        """Return environment variables of everything that is started."""
        return {}

    @abstractmethod
    def start(self, arena: Arena, lines: Sequence[Line], *, slots: int) -> None:
        """Hand the list over to a queue that was not there before; return when it has all of it."""

    @abstractmethod
    def keepers(self, arena: Arena) -> list[int]:
        """Return the processes that know the queue: what the kill test kills."""

    def restart(self, arena: Arena, *, slots: int) -> None:  # noqa: B027  # not all can
        """Start it again after its end, in the way its documentation says."""

    def codes(self, _arena: Arena) -> dict[int, int] | None:
        """Return the exit codes as the queue tells them, by line; None where it never tells any."""
        return None

    def add_words(self, _arena: Arena, _line: Line) -> list[str]:
        """Return the command that adds one line to the running queue."""
        raise NotImplementedError

    def status_words(self, _arena: Arena) -> list[str]:
        """Return the command that shows the queue."""
        raise NotImplementedError


def find(program: str) -> str | None:
    """Return the path of a program, from the peers' environment or from PATH."""
    own = PEERS_FOLDER.resolve() / "bin" / program
    return str(own) if own.exists() else shutil.which(program)


def path_of(program: str) -> str:
    """Return the path of a program that `absent` has found."""
    path = find(program)
    assert path is not None, f"{program} was asked for although it is absent"
    return path


def debian_version(package: str) -> str:
    """Return the version of an installed Debian package, `?` when unknown."""
    if not shutil.which("dpkg-query"):
        return "?"
    return _first_number(["dpkg-query", "-W", "-f", "${Version}", package])


def pypi_version(package: str) -> str:
    """Return the version of a package in the peers' environment, `?` when unknown."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return _first_number([peers_python(), "-c", code])


def peers_python() -> str:
    """Return the interpreter of the peers' environment."""
    return find("python") or sys.executable


def _first_number(words: Sequence[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)*", done.stdout)
    return found.group() if found else "?"
