"""The board in a real terminal (tmux), plain lines elsewhere, and what a terminal does to the manager."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builders.managers import PROGRAM, Queue, eventually, queue_in, row, script

TRAINING = (
    "import json, os, sys, time",
    "folder = os.environ['QUEUE_RUN_DIR']",
    "told = {'step': 42, 'steps': 100, 'eta_unix_s': time.time() + 600, 'metrics': {'iou': 0.5}}",
    "open(folder + '/progress.json', 'w').write(json.dumps(told))",
    "time.sleep(600)",
)
RUN = f"{shlex.quote(sys.executable)} {PROGRAM} run"


@dataclass
class Terminal:
    """A tmux server of its own with one window."""

    socket: str
    folder: Path

    def tmux(self, *words: str) -> str:
        asked = subprocess.run(
            ["tmux", "-S", self.socket, "-f", "/dev/null", *words],
            capture_output=True,
            text=True,
            check=True,
            cwd=self.folder,
        )
        return asked.stdout

    def shows(self) -> list[str]:
        return self.tmux("capture-pane", "-p", "-t", "q").splitlines()

    def await_words(self, *words: str) -> list[str]:
        """Wait until all words are on the screen; return its lines."""
        eventually(
            lambda: all(word in "\n".join(self.shows()) for word in words), what=f"{words} on the screen"
        )
        return self.shows()

    def resize(self, columns: int, lines: int) -> None:
        self.tmux("resize-window", "-t", "q", "-x", str(columns), "-y", str(lines))

    def type(self, *keys: str) -> None:
        self.tmux("send-keys", "-t", "q", *keys)


@contextmanager
def terminal(folder: Path, command: str, *, columns: int = 80, lines: int = 24) -> Iterator[Terminal]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    home = tempfile.mkdtemp(prefix="tmux_")  # a socket's path must be short
    window = Terminal(f"{home}/socket", folder)
    window.tmux("new-session", "-d", "-s", "q", "-x", str(columns), "-y", str(lines), command)
    try:
        yield window
    finally:
        window.tmux("kill-server")
        shutil.rmtree(home)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with queue_in(tmp_path) as queue:
        train = script(tmp_path, "train.py", TRAINING)
        queue.write(
            row("ke/data", "true", gpus="0"),
            row("ke/student_baseline", train, seeds="3 4"),
            row("ke/no_augment_with_quite_a_long_name_for_a_job", train),
            row("ke/report", "true", after="ke/student_baseline:all", gpus="0"),
            row("ke/many", train, seeds="0..3", gpu_mem="2G"),
            row("ke/broken", "echo oh no; exit 1", gpus="0"),
            row("ke/refused", "true", after="nobody"),
        )
        yield queue


def test_the_board_can_be_read_at_80x24_and_follows_the_terminal_s_size(queue: Queue) -> None:
    with terminal(queue.folder, f"{RUN} --gpus sim:4x24G") as window:
        shown = window.await_words("42%", "until", "failed", "refused")
        lines = {line.split()[0]: line for line in shown if line.startswith(("ke/", "GPU", "CPU"))}
        assert "running" in lines["ke/many"]
        assert "42%" in lines["ke/student_baseline"]
        (long_one,) = [line for line in shown if line.startswith("ke/no_augm")]
        assert "…" in long_one
        assert "running" in long_one, "a long id does not push the status away"
        assert "42%" in long_one
        assert "waits for ke/student_baseline" in lines["ke/report"]
        assert any("CPU" in line for line in shown)
        assert any(line.startswith("GPU 0") and "GPU 1" in line for line in shown), "side by side"
        assert max(map(len, shown)) <= 80
        window.resize(200, 50)
        wide = window.await_words("ke/no_augment_with_quite_a_long_name_for_a_job", "iou 0.5", "█")
        assert sum("student_baseline " in line and "running" in line for line in wide) == 1, (
            "no old picture is left"
        )
        window.resize(60, 15)
        eventually(
            lambda: max(map(len, window.shows())) <= 60 and "42%" in "".join(window.shows()), what="60x15"
        )
        assert any("running" in line and "42%" in line for line in window.shows())


def test_ctrl_c_ends_the_manager_and_never_a_job(queue: Queue) -> None:
    with terminal(queue.folder, f"{RUN} --gpus sim:4x24G; echo code $?; sleep 60") as window:
        window.await_words("42%", "failed")
        running = len(queue.processes())
        window.type("C-c")
        shown = window.await_words("code 130", "go on without the manager")
        assert any("ke/student_baseline" in line and "running" in line for line in shown), (
            "the last picture stays"
        )
        assert len(queue.processes()) == running
    assert len(queue.processes()) == running, "nor when the terminal goes"


def test_the_end_of_the_terminal_ends_the_manager_and_never_a_job(queue: Queue) -> None:
    with terminal(queue.folder, f"exec {RUN} --gpus sim:4x24G") as window:
        window.await_words("42%", "failed")
        running = len(queue.processes())
        pid = queue.live()["pid"]
    eventually(lambda: not Path(f"/proc/{pid}").exists(), what="the manager's end")
    assert len(queue.processes()) == running
    assert all(attempt["state"] != "ended" for attempt in queue.attempts("ke/student_baseline"))


def test_into_a_pipe_go_plain_lines_without_escape_codes(tmp_path: Path) -> None:
    with queue_in(tmp_path) as queue:
        queue.write(row("a", "echo a", gpus="0"), row("b", "exit 1", gpus="0"))
        said = subprocess.run(
            f"{RUN} --until-idle | tee copy.txt", cwd=tmp_path, shell=True, capture_output=True, check=True
        ).stdout
    assert b"\x1b" not in said
    assert b"\r" not in said
    lines = said.decode().splitlines()
    assert [line.split()[1:3] for line in lines if " completed " in line] == [["completed", "a"]]
    assert lines[-1] == "1 completed, 1 failed"


def test_a_reader_that_goes_does_not_end_the_queue(tmp_path: Path) -> None:
    with queue_in(tmp_path) as queue:
        queue.write(row("a", "echo {seed}", gpus="0", seeds="0..5"))
        subprocess.run(
            f"{RUN} --until-idle | head -n 1", cwd=tmp_path, shell=True, capture_output=True, check=True
        )
        eventually(lambda: queue.row("a")["progress"] == "6 of 6", what="all runs")


NONSENSE: tuple[object, ...] = (
    {"step": 1, "steps": 2, "eta_unix_s": "soon", "seconds_per_step": [], "metrics": 3},
    {"step": 1, "steps": 2, "eta_unix_s": float("nan"), "metrics": {"x": "y"}},
    {"step": 10**30, "steps": 2, "eta_unix_s": 1e300},
    {"step": "a", "steps": None},
    {"step": 1, "steps": 0},
    ["no", "object"],
)


def test_jobs_that_write_nonsense_about_their_progress_harm_nobody(tmp_path: Path) -> None:
    with queue_in(tmp_path) as queue:
        for number, told in enumerate(NONSENSE):
            (tmp_path / f"{number}.json").write_text(json.dumps(told))
        lies = "cp {seed}.json $QUEUE_RUN_DIR/progress.json; sleep 2"
        queue.write(row("liar", lies, seeds=f"0..{len(NONSENSE) - 1}", gpus="0"))
        with terminal(tmp_path, f"{RUN} --until-idle --cpu-slots 6; echo code $?; sleep 60") as window:
            window.await_words("code 0", "6 of 6")


@pytest.mark.slow
def test_the_board_of_10_000_rows_shows_what_matters_and_costs_next_to_nothing(tmp_path: Path) -> None:
    with queue_in(tmp_path) as queue:
        queue.write(
            row("gate", "true", status="hold"), *(row(f"s/{n}", "true", after="gate") for n in range(9_999))
        )
        with terminal(tmp_path, f"exec {RUN}") as window:
            shown = eventually(
                lambda: window.shows() if "more" in "".join(window.shows()) else None, what="it", within_s=60
            )
            assert any(line.startswith("gate") and "hold" in line for line in shown)
            assert any("... 9,9" in line for line in shown)
            time.sleep(10)
            pid = queue.live()["pid"]
            before = ticks(pid)
            time.sleep(20)
            percent = 100 * (ticks(pid) - before) / os.sysconf("SC_CLK_TCK") / 20
            resident_mib = resident(pid)
    assert percent <= 0.75, "0.5 % on a machine at rest (queue.md section 4)"
    assert resident_mib <= 120


def ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def resident(pid: int) -> float:
    words = Path(f"/proc/{pid}/status").read_text().split()
    return int(words[words.index("VmRSS:") + 1]) / 1024
