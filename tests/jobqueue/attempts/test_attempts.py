"""Starting, stopping, and what is on disk about an attempt. What is found again later: test_adoption.py."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import selectors
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from pkgs.jobqueue.attempts import attempts
from pkgs.jobqueue.attempts.attempts import StartError
from pkgs.jobqueue.attempts.processes import identify, is_alive, processes_of_attempt
from tests.builders.processes import end_of, eventually, launch_spec, number_in, run_to_end, running, said

SECRETS = {
    "WANDB_API_KEY": "hunter2-a",
    "HF_TOKEN": "hunter2-b",
    "db_password": "hunter2-c",
    "MY_SECRET_ID": "hunter2-d",
}


def test_the_log_begins_with_command_folder_and_devices(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "echo hello\necho again", launch_record={"devices": ["GPU-1", "GPU-2"]})
    run_to_end(spec)
    text = spec.folder.output.read_text()
    assert "[queue] command: echo hello\n[queue] echo again\n" in text
    assert f"[queue] working directory: {tmp_path}\n" in text
    assert f"[queue] run folder: {spec.run_dir}\n" in text
    assert "[queue] devices: GPU-1, GPU-2\n" in text
    assert text.endswith("hello\nagain\n")


def test_launch_json_says_what_was_launched(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "true", launch_record={"devices": [], "commit": "abc"})
    attempts.prepare(spec)
    launch = json.loads(spec.folder.launch.read_text())
    assert (launch["attempt"], launch["command"], launch["commit"]) == (spec.attempt, "true", "abc")
    assert launch["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert launch["environment"] == {"CUDA_VISIBLE_DEVICES": ""}


def test_nothing_that_is_written_holds_a_secret_though_the_command_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_PASSPHRASE", "hunter2-e")
    spec = launch_spec(
        tmp_path,
        "[ ${#HF_TOKEN}${#OTHER_PASSPHRASE} = 99 ]",
        environment={**SECRETS, "PLAIN": "seen"},
        launch_record={"environment": {**SECRETS, "PLAIN": "seen"}},
    )
    assert run_to_end(spec).code == 0
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"seen" in written
    assert b"hunter2" not in written


def test_inherited_device_and_queue_variables_do_not_reach_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "QUEUE_SEED"):
        monkeypatch.setenv(name, "inherited")
    monkeypatch.setenv("HOME_MADE", "kept")
    spec = launch_spec(tmp_path, "env", environment={"CUDA_VISIBLE_DEVICES": "GPU-7", "QUEUE_JOB": "job"})
    run_to_end(spec)
    lines = said(spec.folder).splitlines()
    assert not [line for line in lines if line.endswith("=inherited")]
    assert {"HOME_MADE=kept", "CUDA_VISIBLE_DEVICES=GPU-7", f"QUEUE_ATTEMPT={spec.attempt}"} <= set(lines)


def test_the_pidfd_tells_a_selector_when_nothing_is_left(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "sleep 0.1")
    attempts.prepare(spec)
    watched = attempts.start(spec)
    with selectors.DefaultSelector() as selector:
        selector.register(watched.pidfd, selectors.EVENT_READ)
        assert selector.select(timeout=0) == []
        assert len(selector.select(timeout=5)) == 1
    assert attempts.read_exit(spec.folder, spec.attempt) is not None
    attempts.release(watched.pidfd)
    assert not Path(f"/proc/{watched.identity.pid}").exists(), "the shim was not collected"


def test_the_manager_s_descriptors_are_closed_after_a_start(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "true", lease_fds=(os.open(tmp_path, os.O_RDONLY),))
    before = len(os.listdir("/proc/self/fd"))
    with running(spec):
        assert len(os.listdir("/proc/self/fd")) == before  # the pidfd came, the lease went
        end_of(spec)


def test_an_attempt_is_started_once(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "sleep 600")
    with running(spec):
        with pytest.raises(StartError, match="Resource temporarily unavailable"):
            attempts.start(spec)
        eventually(spec.folder.shim.exists)
        with pytest.raises(StartError, match="belongs to an earlier attempt"):
            attempts.prepare(spec)


def test_a_missing_interpreter_is_a_start_error_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = launch_spec(tmp_path, "true", lease_fds=(os.open(tmp_path, os.O_RDONLY),))
    attempts.prepare(spec)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python-of-old"))
    with pytest.raises(
        StartError, match=r"could not be started: No such file or directory \(.*python-of-old\)"
    ):
        attempts.start(spec)
    assert "could not be started" in spec.folder.output.read_text()
    os.close(spec.lease_fds[0])  # still the caller's


def test_a_start_without_a_descriptor_left_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_descriptor_left(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    spec = launch_spec(tmp_path, "touch ran")
    attempts.prepare(spec)
    monkeypatch.setattr(os, "pidfd_open", no_descriptor_left)
    with pytest.raises(StartError, match="Too many open files"):
        attempts.start(spec)
    assert processes_of_attempt(spec.attempt) == []


def test_byte_code_that_was_cleaned_away_is_compiled_again(tmp_path: Path) -> None:
    run_to_end(launch_spec(tmp_path / "1", "true", cwd=tmp_path))
    Path(importlib.util.cache_from_source(str(Path(attempts.__file__).with_name("shim.py")))).unlink()
    assert run_to_end(launch_spec(tmp_path / "2", "true", cwd=tmp_path)).code == 0


def test_a_nul_byte_in_the_command_is_a_start_error(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "echo \0")
    attempts.prepare(spec)
    with pytest.raises(StartError, match="null byte"):
        attempts.start(spec)


def test_an_unwritable_folder_is_a_start_error(tmp_path: Path) -> None:
    (tmp_path / "job").write_text("a file where a folder should be")
    with pytest.raises(StartError, match=r"Not a directory \(.*/job"):
        attempts.prepare(launch_spec(tmp_path, "true"))


def test_a_folder_removed_before_the_start_is_a_start_error(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "true")
    attempts.prepare(spec)
    shutil.rmtree(spec.run_dir)
    with pytest.raises(StartError, match=r"No such file or directory \(.*launch\.json\)"):
        attempts.start(spec)


def test_a_note_that_cannot_be_written_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    attempts.note(launch_spec(tmp_path, "true").folder, "words")
    assert "words" in caplog.text


def test_a_job_that_traps_sigterm_and_exits_0_is_told_as_it_was(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "trap 'exit 0' TERM; touch up; while :; do sleep 0.02; done")
    with running(spec) as watched:
        eventually((tmp_path / "up").exists)
        sent_unix_s = time.time()
        attempts.stop(watched.identity)
        record = end_of(spec)
    assert (record.code, record.signal) == (0, None)
    assert record.end_unix_s >= sent_unix_s


def test_kill_rest_spares_the_shim_which_tells_the_end(tmp_path: Path) -> None:
    command = (
        f"trap '' TERM; (setsid sleep 600 & echo $! > {tmp_path}/deep.pid); while :; do sleep 0.02; done"
    )
    spec = launch_spec(tmp_path, command, grace_s=60.0)
    with running(spec) as watched:
        deep = number_in(tmp_path / "deep.pid")
        attempts.stop(watched.identity)
        assert is_alive(watched.identity)
        assert attempts.kill_rest(watched.identity) >= 2
        assert end_of(spec).signal == signal.SIGKILL
        eventually(lambda: identify(deep) is None and not is_alive(watched.identity))


def test_kill_rest_and_stop_of_a_shim_that_is_gone_do_nothing(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "true")
    with running(spec) as watched:
        eventually(lambda: not is_alive(watched.identity))
        assert attempts.kill_rest(watched.identity) == 0
        assert not attempts.stop(watched.identity)


def test_survivors_of_a_killed_shim_are_listed_and_killed(tmp_path: Path) -> None:
    command = (
        f"setsid bash -c 'echo $$ > {tmp_path}/far.pid; exec sleep 600' & echo $$ > near.pid; exec sleep 600"
    )
    spec = launch_spec(tmp_path, command)
    with running(spec) as watched:
        expected = {number_in(tmp_path / "far.pid"), number_in(tmp_path / "near.pid")}
        os.kill(watched.identity.pid, signal.SIGKILL)
        eventually(lambda: {process.pid for process in attempts.survivors(spec.attempt)} == expected)
        assert attempts.kill_survivors(spec.attempt) == 2
        eventually(lambda: attempts.survivors(spec.attempt) == [])
