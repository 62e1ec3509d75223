"""Processes are recognised by boot id, pid and start time; a stranger is never signalled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pkgs.jobqueue.attempts.processes import (
    Host,
    descendants,
    identify,
    is_alive,
    kill_all,
    open_pidfd,
    processes_of_attempt,
    read_stat,
    session_members,
    signal_process,
)
from tests.builders.processes import eventually, orphan_zombie, stranger


def test_a_living_process_is_recognised() -> None:
    me = identify(os.getpid())
    assert me is not None
    assert is_alive(me)


def test_another_boot_start_time_or_pid_is_another_process() -> None:
    me = identify(os.getpid())
    assert me is not None
    assert not is_alive(me, host=Host("another boot"))
    assert not is_alive(replace(me, start_ticks=me.start_ticks + 1))
    assert not is_alive(replace(me, pid=1))


def test_an_orphan_zombie_counts_as_dead(tmp_path: Path) -> None:
    with orphan_zombie(tmp_path) as pid:
        stat = eventually(lambda: (found := read_stat(pid)) and found.dead and found)
        assert stat
        assert identify(pid) is None


def test_a_process_named_like_a_stat_line_is_read_rightly(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 1 ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "600"]) as process:
        stat = eventually(lambda: read_stat(process.pid))
        process.kill()
    assert (stat.state in "SRD", stat.parent) == (True, os.getpid())


def test_a_signal_reaches_the_process_that_is_meant() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        identity = identify(process.pid)
        assert identity is not None
        assert signal_process(identity, signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM
        assert not signal_process(identity, signal.SIGTERM)


def test_a_stranger_with_the_same_pid_is_not_signalled() -> None:
    with stranger() as pid:
        identity = identify(pid)
        assert identity is not None
        forged = replace(identity, start_ticks=identity.start_ticks - 1)
        assert not signal_process(forged, signal.SIGKILL)
        with pytest.raises(ProcessLookupError, match="is gone"):
            open_pidfd(forged)


def test_no_descriptor_is_left_open_by_a_signal() -> None:
    with stranger() as pid:
        identity = identify(pid)
        assert identity is not None
        before = os.listdir("/proc/self/fd")
        signal_process(identity, signal.SIGCONT)
        signal_process(replace(identity, start_ticks=0), signal.SIGCONT)
        assert os.listdir("/proc/self/fd") == before


def test_descendants_are_found_at_every_depth_and_zombies_left_out() -> None:
    with subprocess.Popen(["bash", "-c", "bash -c 'sleep 600; true' & true & wait"]) as process:
        found = eventually(lambda: len(below := descendants(process.pid)) == 2 and below)
        assert found
        kill_all(lambda: descendants(process.pid))
        process.wait()


def test_members_of_a_session_are_found() -> None:
    with stranger() as pid:
        assert [member.pid for member in session_members(pid)] == [pid]


def test_processes_of_an_attempt_are_found_by_their_environment_and_below() -> None:
    code = "import os, subprocess; subprocess.run(['sleep', '600'], env={})"
    environment = {**os.environ, "QUEUE_ATTEMPT": "test-attempt-17"}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as process:
        eventually(lambda: len(processes_of_attempt("test-attempt-17")) == 2)
        assert processes_of_attempt("test-attempt-1") == []
        assert kill_all(lambda: processes_of_attempt("test-attempt-17")) == 2
        assert process.wait() == -signal.SIGKILL
