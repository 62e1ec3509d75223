"""A manager ends by a kill, a signal or a reboot, and another takes over: what runs goes on."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from pkgs.foundation import exit_codes
from pkgs.jobqueue.attempts.processes import Host, kill_all, processes_of_attempt
from tests.builders.processes import stranger
from tests.builders.queues import Job, Manager, Queue, check_all, eventually, queue_of, run_here

FOUR = (
    Job("fine", "go"),
    Job("three", "go", "exit 3"),
    Job("crash", "go", "die SEGV"),
    Job("killed", "go", "die KILL", retries=0),
)


@pytest.mark.parametrize("when", ["before its return", "after its return"])
def test_a_killed_manager_finds_the_true_end_of_all_four_runs(tmp_path: Path, when: str) -> None:
    with queue_of(tmp_path, FOUR, slots=4) as queue:
        start_and_kill(queue)
        if when == "before its return":
            (queue.folder / "go").touch()
            queue.wait_for_shims()
            code = queue.run_to_end()
        else:
            manager = queue.start()
            eventually(lambda: "adopted" in manager.said(), what="the adoption")
            (queue.folder / "go").touch()
            code = manager.wait()
        check_all(queue, exit_code=code)
        adopted = queue.ask("SELECT 1 FROM events WHERE kind = 'adopted'")
    assert len(adopted) == (4 if when == "after its return" else 0)


@pytest.mark.parametrize(
    ("boot_id", "cause"), [("another-boot", "machine rebooted"), (Host().boot_id, "lost by the manager")]
)
def test_a_run_cut_off_is_done_again_without_using_up_its_retries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boot_id: str, cause: str
) -> None:
    with queue_of(tmp_path, [Job("cut", "go", retries=0)]) as queue:
        start_and_kill(queue)
        end_all(queue)
        (queue.folder / "go").touch()
        monkeypatch.chdir(queue.folder)
        run_here(queue, host=Host(boot_id))
        assert [row["cause"] for row in queue.attempts().values()] == [cause, None]
        assert queue.count() == {"cut:": 2}
        assert queue.rows()["cut"]["status"] == "completed"


def test_a_forged_shim_file_makes_the_manager_neither_adopt_nor_kill_a_stranger(tmp_path: Path) -> None:
    with queue_of(tmp_path, [Job("forged", "go", retries=0)]) as queue, stranger() as pid:
        start_and_kill(queue)
        end_all(queue)
        file = queue.root / "forged" / "attempts" / "1" / "shim.json"
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        file.write_text(json.dumps({"boot_id": Host().boot_id, "pid": pid, "start_ticks": ticks}))
        (queue.folder / "go").touch()
        assert queue.run_to_end() == exit_codes.OK
        assert queue.count() == {"forged:": 2}
        assert not queue.ask("SELECT 1 FROM events WHERE kind = 'adopted'")


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "hang-up"])
def test_a_signal_in_a_terminal_ends_the_manager_and_no_job(tmp_path: Path, how: str) -> None:
    with queue_of(tmp_path, FOUR, slots=4) as queue:
        with terminal(queue) as (process, keyboard):
            wait_for_starts(queue, 4)
            before = queue.shims()
            if how == "Ctrl-C":
                os.write(keyboard, b"\x03")
            elif how == "SIGTERM":
                process.terminate()
            else:
                os.close(keyboard)
            screen_is_gone = 120  # Python's own word when it cannot say goodbye
            assert process.wait(30) in (exit_codes.INTERRUPTED, *[screen_is_gone] * (how == "hang-up"))
        assert queue.shims() == before
        assert not queue.exits()
        (queue.folder / "go").touch()
        code = queue.run_to_end()
        check_all(queue, exit_code=code)


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_of_two_managers_at_once_one_leaves_and_names_the_other(tmp_path: Path, times: int) -> None:
    for number in range(times):
        with queue_of(tmp_path / str(number), [Job("one", "go")]) as queue:
            managers = [queue.start(), queue.start()]
            loser = eventually(partial(first_to_leave, managers), what="the end of one of them")
            assert loser.wait() == exit_codes.USAGE
            (winner,) = [manager for manager in managers if manager is not loser]
            assert f"a manager on {os.uname().nodename}, pid {winner.pid}, since" in loser.said()
            (queue.folder / "go").touch()
            check_all(queue, exit_code=winner.wait())


def test_a_stopped_manager_still_keeps_the_root(tmp_path: Path) -> None:
    with queue_of(tmp_path, [Job("one", "go")]) as queue:
        first = queue.start()
        wait_for_starts(queue, 1)
        first.process.send_signal(signal.SIGSTOP)
        second = queue.start()
        assert second.wait() == exit_codes.USAGE
        first.process.send_signal(signal.SIGCONT)
        (queue.folder / "go").touch()
        check_all(queue, exit_code=first.wait())


def test_a_run_keeps_its_retries_if_the_table_is_broken_while_the_manager_returns(tmp_path: Path) -> None:
    with queue_of(tmp_path, [Job("weak", "go", weak=2, retries=2)], retry_pauses_s="[0.8]") as queue:
        manager = queue.start()
        wait_for_starts(queue, 1)
        (queue.folder / "go").touch()
        eventually(queue.exits, what="the first end")
        (queue.folder / "go").unlink()
        wait_for_starts(queue, 2)
        manager.kill()
        whole = queue.table.read_bytes()
        queue.table.write_bytes(whole + b'"half a cell')
        manager = queue.start()
        eventually(lambda: "Jobs.csv" in manager.said(), what="the complaint about the table")
        (queue.folder / "go").touch()
        queue.wait_for_shims()
        time.sleep(0.5)
        queue.table.write_bytes(whole)
        check_all(queue, exit_code=manager.wait())


@pytest.mark.parametrize("rounds", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_readers_never_lock_out_the_manager(tmp_path: Path, rounds: int) -> None:
    jobs = [Job(f"busy_{number}", 0.02, weak=number % 2, seeds=(0, 1, 2)) for number in range(8)]
    answers: list[subprocess.CompletedProcess[str]] = []
    with queue_of(tmp_path, jobs, slots=4) as queue:
        manager = queue.start()
        wait_for_starts(queue, 1)

        def read() -> None:
            answers.extend(queue.command("status", "--json") for _ in range(rounds))

        readers = [threading.Thread(target=read) for _ in range(8)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        check_all(queue, exit_code=manager.wait())
        log = (queue.root / "queue" / "manager.log").read_text()
    assert len(answers) == 8 * rounds
    assert {answer.returncode for answer in answers} == {0}
    assert all(len(json.loads(answer.stdout)["jobs"]) == 8 for answer in answers)
    assert "ERROR" not in log


def first_to_leave(managers: list[Manager]) -> Manager | None:
    return next((manager for manager in managers if manager.process.poll() is not None), None)


def wait_for_starts(queue: Queue, number: int) -> None:
    """Wait until so many jobs say that they run, and their shims have said who they are."""
    eventually(lambda: len(queue.executions()) >= number, what=f"{number} starts")
    eventually(lambda: len(list(queue.root.rglob("shim.json"))) >= number, what=f"{number} shims")


def start_and_kill(queue: Queue) -> None:
    """Kill -9 a manager once all its jobs run."""
    manager = queue.start()
    wait_for_starts(queue, len(queue.jobs))
    manager.kill()


def end_all(queue: Queue) -> None:
    """End shims and jobs at once, as a power cut does: nobody writes exit.json."""
    kill_all(queue.shims)  # first, else they tell of the others' end
    for execution in queue.executions():
        kill_all(partial(processes_of_attempt, execution.attempt))
    queue.wait_for_shims()
    assert not queue.exits()


@contextmanager
def terminal(queue: Queue) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a manager in a terminal of its own; give its process and the terminal's other end."""
    keyboard, screen = pty.openpty()
    termios.tcsetwinsize(screen, (24, 80))
    lead = (
        "import fcntl, os, sys, termios; "
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    )
    code = str(Path(__file__).parents[3] / "QueueManager.py")
    words = [
        sys.executable,
        "-c",
        lead,
        sys.executable,
        code,
        "run",
        "--gpus",
        "none",
        "--cpu-slots",
        str(queue.slots),
    ]
    process = subprocess.Popen(
        words,
        cwd=queue.folder,
        env=queue.environment() | {"TERM": "xterm"},
        stdin=screen,
        stdout=screen,
        stderr=screen,
        start_new_session=True,
    )
    os.close(screen)
    drain = threading.Thread(target=_read_away, args=(keyboard,), daemon=True)
    drain.start()
    try:
        yield process, keyboard
    finally:
        process.kill()
        process.wait()
        with suppress(OSError):
            os.close(keyboard)


def _read_away(descriptor: int) -> None:
    """Read what a terminal shows, so that nobody waits for it."""
    with suppress(OSError):
        while os.read(descriptor, 65536):
            continue
