"""A fresh environment for one measurement: a folder, the job that all run, gates, a mark on each process.

The job stamps its own start and end into one append-only file: every queue is timed by the same clock.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MARK: Final = "BENCHMARK_ARENA"
"""Set for all that is started here and inherited by daemons however they fork: nothing is left behind."""
GATE: Final = "gate"
SECOND_GATE: Final = "gate_2"
PATIENCE_S: Final = 60.0
JOB: Final = """\
#!/bin/bash
# job NUMBER WAIT CODE: stamp the start, wait (0, seconds, or for a gate to open), stamp the end.
echo "s $1 $EPOCHREALTIME" >> {folder}/stamps
case $2 in gate*) : < "{folder}/$2" ;; 0) ;; *) sleep "$2" ;; esac
echo "e $1 $EPOCHREALTIME" >> {folder}/stamps
exit "${{3:-0}}"
"""


class MeasureError(Exception):
    """A measurement did not come to its end; the message says what was waited for."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the list that every queue is given."""

    number: int
    wait: str = "0"
    """Seconds, or the name of a gate."""
    code: int = 0


@dataclass(slots=True)
class Stamps:
    """Unix seconds by the number of the line; more than one start of a number is a run done twice."""

    starts: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    ends: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    def count(self) -> int:
        return sum(map(len, self.starts.values())) + sum(map(len, self.ends.values()))


def gated(count: int) -> list[Line]:
    """Return lines that hold their slots until the gate opens: behind them the queue fills up in peace."""
    return [Line(number, GATE) for number in range(1, count + 1)]


def read_stamps(text: str) -> Stamps:
    """Parse `s|e NUMBER UNIX_S` lines; the last may be half written and is then left for the next look."""
    stamps = Stamps()
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            kind, number, unix_s = line.split()
            (stamps.starts if kind == "s" else stamps.ends)[int(number)].append(float(unix_s))
    return stamps


class Arena:
    """The environment of one queue during one measurement."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.job = folder / "job"
        self.variables = {**variables, MARK: str(folder)}
        self._writers: list[int] = []
        self._children: list[subprocess.Popen[bytes]] = []
        self.job.write_text(JOB.format(folder=folder))
        self.job.chmod(0o755)
        for gate in (GATE, SECOND_GATE):
            os.mkfifo(folder / gate)

    # -- the list ------------------------------------------------------------------------------------------

    def words(self, line: Line) -> list[str]:
        return [str(self.job), str(line.number), line.wait, str(line.code)]

    def write_list(self, lines: Sequence[Line], name: str = "lines") -> Path:
        """Write one shell command per line."""
        path = self.folder / name
        path.write_text("".join(" ".join(self.words(line)) + "\n" for line in lines))
        return path

    # -- processes -----------------------------------------------------------------------------------------

    def call(self, words: Sequence[str], *, limit_s: float = PATIENCE_S, **variables: str) -> str:
        """Carry out one command to its end and return what it printed.

        Raises:
            MeasureError: If it fails or takes too long.
        """
        output = self.folder / "call.out"  # a file, not a pipe: a daemon that keeps it open must not hold us
        with output.open("w") as file:
            try:
                done = subprocess.run(
                    words, cwd=self.folder, env=self._environment(variables), stdin=subprocess.DEVNULL,
                    stdout=file, stderr=file, timeout=limit_s, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise MeasureError(f"`{Path(words[0]).name}` did not answer within {limit_s:g} s") from None
        text = output.read_text(errors="replace")
        if done.returncode != 0:
            said = " … ".join(dict.fromkeys(text.strip().splitlines()[:: max(1, text.strip().count("\n"))]))
            raise MeasureError(f"`{Path(words[0]).name}` ended with code {done.returncode}: {said}")
        return text

    def time_call(self, words: Sequence[str]) -> float:
        """Return the wall seconds of one command."""
        start_s = time.perf_counter()
        self.call(words)
        return time.perf_counter() - start_s

    def spawn(self, words: Sequence[str], *, output: str, stdin: Path | None = None) -> int:
        """Start a command in a session of its own and return its pid."""
        with (self.folder / output).open("ab") as out, (stdin or Path(os.devnull)).open("rb") as source:
            child = subprocess.Popen(
                words, cwd=self.folder, env=self._environment({}), stdin=source, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip
        self._children.append(child)
        return child.pid

    def reap(self) -> None:
        """Collect dead children: a zombie must not look like a process that lives."""
        for child in self._children:
            child.poll()

    def processes(self) -> list[int]:
        """Return the living processes that carry this arena's mark."""
        self.reap()
        mark, found = f"{MARK}={self.folder}".encode(), []
        for name in filter(str.isdecimal, os.listdir("/proc")):
            try:
                if mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found.append(int(name))
            except OSError:
                continue  # gone meanwhile, or of another user
        return found

    def close(self) -> None:
        """Leave nothing behind: no process, no folder."""
        while self._writers:
            os.close(self._writers.pop())
        deadline_s = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < deadline_s:
            for pid in left:
                kill(pid)
            time.sleep(0.02)
        for child in self._children:
            child.wait(timeout=10)  # a zombie shows no mark, so it may not have been collected yet
        shutil.rmtree(self.folder, ignore_errors=True)

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        foreign = ("QUEUE_", "CUDA_", "TS_", "TMUX", "NQ")  # of the caller's own queues
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return {**inherited, **self.variables, **variables}

    # -- time ----------------------------------------------------------------------------------------------

    def stamps(self) -> Stamps:
        path = self.folder / "stamps"
        return read_stamps(path.read_text()) if path.exists() else Stamps()

    def await_starts(self, count: int, *, limit_s: float = PATIENCE_S) -> Stamps:
        """Wait until so many lines have started, and return all stamps."""
        return self._await(lambda stamps: len(stamps.starts) >= count, f"{count} starts", limit_s)

    def await_ends(self, count: int, *, limit_s: float = PATIENCE_S) -> Stamps:
        """Wait until so many lines have ended, and return all stamps."""
        return self._await(lambda stamps: len(stamps.ends) >= count, f"{count} ends", limit_s)

    def _await(self, enough: Callable[[Stamps], bool], what: str, limit_s: float) -> Stamps:
        deadline_s = time.monotonic() + limit_s
        while not enough(stamps := self.stamps()):
            if time.monotonic() > deadline_s:
                raise MeasureError(f"{what} did not come within {limit_s:g} s{self._last_words()}")
            time.sleep(0.05)  # seldom: what we look at runs on the same cores
        return stamps

    def await_quiet(self, ends: int, *, quiet_s: float) -> Stamps:
        """Wait until so many lines have ended or nothing more happens; return all stamps."""
        last, since_s = self.stamps(), time.monotonic()
        while len(last.ends) < ends and time.monotonic() - since_s < quiet_s:
            time.sleep(0.05)
            now = self.stamps()
            if now.count() != last.count():
                last, since_s = now, time.monotonic()
        return last

    def _last_words(self) -> str:
        """Return how the output of what was started here ends."""
        texts = [
            path.read_text(errors="replace").strip()[-300:] for path in sorted(self.folder.glob("*.out"))
        ]
        return f"; it said: {' / '.join(filter(None, texts))}" if any(texts) else ""

    def open_gate(self, gate: str = GATE) -> float:
        """Let all pass who wait at the gate, now and later; return the moment in Unix seconds."""
        now_unix_s = time.time()
        try:
            self._writers.append(os.open(self.folder / gate, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # nobody waits: they were killed. Who comes later must pass, too
            self._writers.append(os.open(self.folder / gate, os.O_RDWR | os.O_NONBLOCK))
        return now_unix_s


def kill(pid: int) -> None:
    """End a process with SIGKILL, if it is still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def fresh_arena(variables: Callable[[Path], Mapping[str, str]] | None = None) -> Iterator[Arena]:
    """Give a new arena; afterwards none of its processes and files is left.

    Args:
        variables: Environment variables for all that is started in it, made from its folder.
    """
    folder = Path(tempfile.mkdtemp(prefix="bench_")).resolve()
    arena = Arena(folder, variables(folder) if variables else {})
    try:
        yield arena
    finally:
        arena.close()
