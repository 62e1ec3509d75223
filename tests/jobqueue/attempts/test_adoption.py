"""What became of an attempt, asked by a manager that did not see it: the truth, or a plain "unclear"."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from pathlib import Path

import pytest

from pkgs.jobqueue.attempts import attempts
from pkgs.jobqueue.attempts.adoption import (
    Alive,
    Ended,
    Gone,
    NeverStarted,
    Rebooted,
    Unclear,
    find,
    read_exit,
)
from pkgs.jobqueue.attempts.processes import (
    Host,
    identify,
    is_alive,
    kill_all,
    processes_of_attempt,
    read_stat,
)
from tests.builders.processes import (
    end_of,
    eventually,
    launch_spec,
    orphan_zombie,
    run_dead_manager,
    run_to_end,
    running,
    stranger,
)

END = {
    "attempt": "a",
    "code": 0,
    "signal": None,
    "start_unix_s": 1.0,
    "end_unix_s": 2.0,
    "duration_s": 1.0,
    "peak_rss_bytes": 1,
    "cpu_s": 0.1,
}


@pytest.mark.parametrize("pause_s", [0.0, 0.4], ids=["before the end", "after the end"])
@pytest.mark.parametrize(
    ("command", "code", "number"),
    [
        ("sleep 0.2", 0, None),
        ("sleep 0.2; exit 3", 3, None),
        ("sleep 0.2; kill -SEGV $$", None, signal.SIGSEGV),
        ("sleep 0.2; kill -KILL $$", None, signal.SIGKILL),
    ],
)
def test_the_true_end_is_known_though_the_manager_was_killed(
    tmp_path: Path, command: str, code: int | None, number: int | None, pause_s: float
) -> None:
    spec = launch_spec(tmp_path, command)
    run_dead_manager(spec)
    time.sleep(pause_s)
    found = eventually(lambda: isinstance(now := find(spec.folder, spec.attempt), Ended) and now)
    assert isinstance(found, Ended)
    assert (found.record.code, found.record.signal) == (code, number)


def test_an_attempt_whose_manager_was_killed_is_alive_and_can_be_watched_and_stopped(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "sleep 600")
    run_dead_manager(spec)
    found = find(spec.folder, spec.attempt)
    assert isinstance(found, Alive)
    pidfd = attempts.watch(found.identity)
    assert attempts.stop(found.identity)
    assert end_of(spec).signal == signal.SIGTERM
    eventually(lambda: not is_alive(found.identity))
    attempts.release(pidfd)  # not our child: somebody else collects it


def test_an_attempt_is_alive_from_the_first_moment_after_its_start(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "sleep 600")
    with running(spec) as watched:
        assert find(spec.folder, spec.attempt) == Alive(watched.identity)


def test_an_attempt_that_was_only_prepared_or_not_even_that_never_started(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "true")
    assert find(spec.folder, spec.attempt) == NeverStarted()
    attempts.prepare(spec)
    assert find(spec.folder, spec.attempt) == NeverStarted()


def test_an_ended_attempt_lingers_while_its_leftovers_live(tmp_path: Path) -> None:
    spec = launch_spec(
        tmp_path, "bash -c 'trap \"\" TERM; while :; do sleep 0.05; done' & sleep 0.1", grace_s=0.6
    )
    with running(spec) as watched:
        record = end_of(spec)
        assert find(spec.folder, spec.attempt) == Ended(record, lingering=watched.identity)
        eventually(lambda: find(spec.folder, spec.attempt) == Ended(record))


def test_an_attempt_whose_shim_was_killed_is_gone(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "sleep 600")
    with running(spec) as watched:
        eventually(spec.folder.shim.exists)
        os.kill(watched.identity.pid, signal.SIGKILL)
        eventually(lambda: find(spec.folder, spec.attempt) == Gone())


def test_another_boot_means_rebooted_with_and_without_a_shim_json(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "sleep 600")
    attempts.prepare(spec)
    assert find(spec.folder, spec.attempt, host=Host("next boot")) == Rebooted()
    with running(spec):
        eventually(spec.folder.shim.exists)
        kill_all(lambda: processes_of_attempt(spec.attempt))
        eventually(lambda: not processes_of_attempt(spec.attempt))
        assert find(spec.folder, spec.attempt, host=Host("next boot")) == Rebooted()


def test_an_end_between_two_looks_is_not_taken_for_a_lost_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = launch_spec(tmp_path, "true")
    attempts.prepare(spec)
    spec.folder.shim.write_text("{}")

    def end_just_now(_: Path) -> bool:
        spec.folder.exit.write_text(json.dumps(END | {"attempt": spec.attempt}))
        return False

    monkeypatch.setattr("pkgs.jobqueue.attempts.adoption._lock_is_held", end_just_now)
    assert isinstance(find(spec.folder, spec.attempt), Ended)


def test_an_end_from_before_the_reboot_counts(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "exit 3")
    record = run_to_end(spec)
    assert find(spec.folder, spec.attempt, host=Host("next boot")) == Ended(record)


@pytest.mark.parametrize("true_start", [True, False])
def test_a_forged_shim_json_that_names_a_stranger_is_neither_adopted_nor_harmed(
    tmp_path: Path, *, true_start: bool
) -> None:
    spec = launch_spec(tmp_path, "true")
    attempts.prepare(spec)
    with stranger() as pid:
        identity = identify(pid)
        assert identity is not None
        ticks = identity.start_ticks - (not true_start)
        forged = {"boot_id": identity.boot_id, "pid": pid, "start_ticks": ticks, "command_pid": pid}
        spec.folder.shim.write_text(json.dumps(forged))
        assert find(spec.folder, spec.attempt) == Gone()
        assert attempts.kill_survivors(spec.attempt) == 0


def test_an_orphan_zombie_named_by_shim_json_is_gone(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "true")
    attempts.prepare(spec)
    with orphan_zombie(tmp_path) as pid:
        eventually(lambda: identify(pid) is None)
        stat = read_stat(pid)
        assert stat is not None
        identity = {"boot_id": Host().boot_id, "pid": pid, "start_ticks": stat.start_ticks}
        spec.folder.shim.write_text(json.dumps(identity))
        assert find(spec.folder, spec.attempt) == Gone()


def test_a_shim_json_that_is_not_json_does_not_hide_a_living_shim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pkgs.jobqueue.attempts.adoption.SHIM_START_S", 0.1)
    spec = launch_spec(tmp_path, "sleep 600")
    with running(spec):
        eventually(lambda: spec.folder.shim.exists() and "command_pid" in spec.folder.shim.read_text())
        spec.folder.shim.write_text("{")
        found = find(spec.folder, spec.attempt)
    assert isinstance(found, Unclear)
    assert "launch.json is locked" in found.why


def test_processes_without_files_are_unclear_not_never_started(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "true")
    attempts.prepare(spec)
    with stranger({"QUEUE_ATTEMPT": spec.attempt}) as pid:
        eventually(lambda: processes_of_attempt(spec.attempt))
        found = find(spec.folder, spec.attempt)
        assert isinstance(found, Unclear)
        assert str(pid) in found.why


@pytest.mark.parametrize(
    "change",
    [
        {"attempt": "b"},
        {"code": None},
        {"signal": 9},
        {"code": "0"},
        {"code": True},
        {"end_unix_s": None},
        {"peak_rss_bytes": 1.5},
    ],
)
def test_an_exit_json_that_is_malformed_or_of_another_attempt_is_ignored(
    tmp_path: Path, change: dict[str, object]
) -> None:
    folder = launch_spec(tmp_path, "true").folder
    folder.path.mkdir(parents=True)
    folder.exit.write_text(json.dumps(END))
    assert read_exit(folder, "a") is not None
    folder.exit.write_text(json.dumps(END | change))
    assert read_exit(folder, "a") is None


def test_half_an_exit_json_is_ignored(tmp_path: Path) -> None:
    folder = launch_spec(tmp_path, "true").folder
    folder.path.mkdir(parents=True)
    folder.exit.write_text(json.dumps(END)[:40])
    assert read_exit(folder, "a") is None
    folder.exit.write_text("[]")
    assert read_exit(folder, "a") is None


def test_two_who_ask_at_once_do_not_take_each_other_for_the_shim(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "true")
    attempts.prepare(spec)
    with spec.folder.launch.open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert find(spec.folder, spec.attempt) == NeverStarted()
