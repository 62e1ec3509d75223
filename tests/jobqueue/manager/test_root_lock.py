"""One manager per root: who holds the lock, and that it dies with its holder."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pkgs.jobqueue.manager.root_lock import RootInUseError, RootLock, is_held, read_holder
from tests.builders.managers import PROGRAM, eventually, queue_in, row

HOLD = """
import sys, time
from pathlib import Path
from pkgs.jobqueue.manager.root_lock import RootLock
lock = RootLock(Path(sys.argv[1]))
lock.take()
print("held", flush=True)
time.sleep(600)
"""


def test_a_second_holder_is_refused_with_host_and_pid_of_the_first(tmp_path: Path) -> None:
    first = RootLock(tmp_path / "queue")
    first.take()
    with pytest.raises(
        RootInUseError, match=rf"a manager on {platform.node()}, pid {os.getpid()}, since .* works on"
    ):
        RootLock(tmp_path / "queue").take()
    first.release()


def test_a_lock_that_was_released_can_be_taken(tmp_path: Path) -> None:
    lock = RootLock(tmp_path)
    assert not is_held(tmp_path), "there is no file yet"
    lock.take()
    assert is_held(tmp_path)
    lock.release()
    lock.release()
    assert not is_held(tmp_path)
    again = RootLock(tmp_path)
    again.take()
    again.release()


def test_the_lock_of_a_killed_manager_is_free_at_once(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=PROGRAM.parent, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert is_held(tmp_path)
    holder.kill()
    holder.communicate()
    lock = RootLock(tmp_path)
    lock.take()
    assert (read_holder(lock.path) or {})["pid"] == os.getpid()
    lock.release()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "\0"])
def test_nonsense_in_the_lock_file_names_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / "manager.lock").write_text(content)
    assert read_holder(tmp_path / "manager.lock") is None


def test_a_second_manager_of_a_root_leaves_with_code_2_and_changes_nothing(tmp_path: Path) -> None:
    with queue_in(tmp_path) as queue:
        queue.write(row("a", "sleep 600", gpus="0"))
        with queue.manager() as manager:
            queue.await_status("a", "running")
            second = queue.command("run")
            assert second.returncode == 2
            assert f"pid {manager.pid}" in second.stderr
            eventually(lambda: len(queue.attempts("a")) == 1, what="one attempt")
