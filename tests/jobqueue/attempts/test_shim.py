"""The shim with real commands: the true end, nothing left behind, nothing of ours inherited."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pkgs.jobqueue.attempts import attempts
from pkgs.jobqueue.attempts.processes import descendants, identify, processes_of_attempt, read_stat
from tests.builders.processes import end_of, eventually, launch_spec, number_in, run_to_end, running, said

SETSID_GRANDCHILD = (
    "(setsid bash -c 'setsid sleep 600 & echo $! > {here}/grandchild.pid; exec sleep 600' &) ; "
    "while [ ! -s {here}/grandchild.pid ]; do sleep 0.01; done"
)


@pytest.mark.parametrize(
    ("command", "code", "number"),
    [
        ("true", 0, None),
        ("exit 3", 3, None),
        ("kill -SEGV $$", None, signal.SIGSEGV),
        ("kill -KILL $$", None, signal.SIGKILL),
        ("true; bash -c 'kill -SEGV $$'; exit $?", 128 + signal.SIGSEGV, None),
    ],
)
def test_the_true_end_is_written(tmp_path: Path, command: str, code: int | None, number: int | None) -> None:
    record = run_to_end(launch_spec(tmp_path, command))
    assert (record.code, record.signal) == (code, number)


def test_the_record_tells_duration_memory_and_cpu_time(tmp_path: Path) -> None:
    work = "x = bytearray(60 << 20); [n * n for n in range(10**6)]; import time; time.sleep(0.2)"
    before = time.time()
    record = run_to_end(launch_spec(tmp_path, f"{sys.executable} -c '{work}'; true"))
    assert before <= record.start_unix_s < record.end_unix_s <= time.time()
    assert 0.2 <= record.duration_s < 10
    assert 60 << 20 <= record.peak_rss_bytes < 500 << 20
    assert 0.01 < record.cpu_s < record.duration_s


def test_the_command_gets_a_session_apart_an_own_group_and_no_input(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "cat; echo $PPID $$ $(ps -o pgid=,sid= -p $$)")
    with running(spec) as watched:
        end_of(spec)
    parent, pid, group, session = map(int, said(spec.folder).split())
    assert (parent, session) == (watched.identity.pid, watched.identity.pid)
    assert group == pid
    assert session != os.getsid(0)


def test_the_end_is_the_command_s_end_and_what_it_left_gets_sigterm(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "sleep 600 & exit 0", grace_s=30.0)
    before_s = time.monotonic()
    with running(spec):
        assert end_of(spec).code == 0
        eventually(lambda: not processes_of_attempt(spec.attempt))
    assert time.monotonic() - before_s < 3


def test_a_grandchild_that_keeps_the_output_open_delays_nothing(tmp_path: Path) -> None:
    spec = launch_spec(
        tmp_path, "bash -c 'trap \"\" TERM; echo from below; while :; do sleep 0.1; done' & exit 5"
    )
    with running(spec):
        assert end_of(spec).duration_s < 0.5
        eventually(lambda: not processes_of_attempt(spec.attempt), within_s=3)


def test_a_double_fork_into_another_session_is_found_and_ended(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, SETSID_GRANDCHILD.format(here=tmp_path))
    with running(spec) as watched:
        grandchild = number_in(tmp_path / "grandchild.pid")
        assert end_of(spec).code == 0
        eventually(lambda: identify(grandchild) is None)
        eventually(lambda: identify(watched.identity.pid) is None)


def test_the_grandchild_of_a_double_fork_is_below_the_shim_while_the_command_runs(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, SETSID_GRANDCHILD.format(here=tmp_path) + "; sleep 600")
    with running(spec) as watched:
        grandchild = number_in(tmp_path / "grandchild.pid")
        assert grandchild in [process.pid for process in descendants(watched.identity.pid)]


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    command = (
        f"bash -c 'trap \"\" TERM; echo $$ > {tmp_path}/deaf.pid; while :; do sleep 0.05; done' & sleep 0.2"
    )
    spec = launch_spec(tmp_path, command, grace_s=0.4)
    with running(spec):
        deaf = number_in(tmp_path / "deaf.pid")
        ended = end_of(spec).end_unix_s
        eventually(lambda: identify(deaf) is None, within_s=3)
    assert time.time() - ended >= 0.4


def test_what_is_left_may_save_within_the_grace_period(tmp_path: Path) -> None:
    save = f"sleep 0.3; echo saved > {tmp_path}/saved; exit"
    daemon = f"bash -c 'trap \"{save}\" TERM; touch {tmp_path}/ready; while :; do sleep 0.02; done'"
    spec = launch_spec(
        tmp_path, f"{daemon} & while [ ! -e {tmp_path}/ready ]; do sleep 0.01; done", grace_s=5.0
    )
    run_to_end(spec)
    assert (tmp_path / "saved").read_text() == "saved\n"


def test_sigterm_to_the_shim_reaches_the_group_once_and_only_there(tmp_path: Path) -> None:
    """Bash dies of its SIGTERM at once; the program behind it is saving and must not get a second one."""
    program = tmp_path / "train.py"
    program.write_text(
        "import signal, sys, time\n"
        "count = 0\n"
        "def on(*_):\n    global count\n    count += 1\n"
        "signal.signal(signal.SIGTERM, on)\n"
        "print('ready', flush=True)\n"
        "while not count: time.sleep(0.01)\n"
        "time.sleep(0.4)\n"
        "print('signals', count, flush=True)\n"
    )
    spec = launch_spec(tmp_path, f"{sys.executable} {program}; echo not reached", grace_s=5.0)
    with running(spec) as watched:
        eventually(lambda: "ready" in said(spec.folder))
        assert attempts.stop(watched.identity)
        assert end_of(spec).signal == signal.SIGTERM
        eventually(lambda: not processes_of_attempt(spec.attempt))
    assert said(spec.folder).splitlines() == ["ready", "signals 1"]


def test_a_stop_in_the_shim_s_first_milliseconds_is_not_lost(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "sleep 600")
    with running(spec) as watched:
        attempts.stop(watched.identity)
        assert end_of(spec).signal == signal.SIGTERM


def test_hang_up_and_interrupt_do_not_touch_the_shim(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "touch up; sleep 0.3; exit 4")
    with running(spec) as watched:
        eventually((tmp_path / "up").exists)
        os.kill(watched.identity.pid, signal.SIGHUP)
        os.kill(watched.identity.pid, signal.SIGINT)
        assert end_of(spec).code == 4


def test_the_command_finds_default_signals_and_no_foreign_descriptor(tmp_path: Path) -> None:
    lease = os.open(tmp_path / "lease", os.O_CREAT | os.O_RDWR)
    spec = launch_spec(
        tmp_path, "grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd", lease_fds=(lease,)
    )
    run_to_end(spec)
    lines = said(spec.folder).split()
    libc_s_own = 1 << 31 | 1 << 32  # posix_spawn leaves the two that threads use inside glibc ignored
    assert [int(lines[1], 16), int(lines[3], 16) & ~libc_s_own] == [0, 0]
    assert lines[4:] == ["0", "1", "2", "3"]  # 3 is what ls reads


def test_the_lease_is_held_until_nothing_is_left(tmp_path: Path) -> None:
    lease = os.open(tmp_path / "lease", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lease, fcntl.LOCK_EX)
    spec = launch_spec(
        tmp_path,
        "bash -c 'trap \"\" TERM; while :; do sleep 0.05; done' & sleep 0.1",
        lease_fds=(lease,),
        grace_s=0.4,
    )
    other = os.open(tmp_path / "lease", os.O_RDWR)
    with running(spec):
        end_of(spec)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        eventually(lambda: not processes_of_attempt(spec.attempt))
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def test_orphans_that_end_during_the_run_do_not_pile_up(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "for i in 1 2 3 4 5; do (sleep 0.05 & ) ; done; touch done; sleep 600")
    with running(spec) as watched:
        eventually((tmp_path / "done").exists)
        eventually(lambda: len(children_of(watched.identity.pid)) == 1)


def children_of(parent: int) -> list[int]:
    """Return the pids of its children, zombies included."""
    stats = [read_stat(int(name)) for name in os.listdir("/proc") if name.isdecimal()]
    return [stat.pid for stat in stats if stat is not None and stat.parent == parent]


def test_a_missing_working_directory_is_said_in_the_log(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "true", cwd=tmp_path / "removed")
    assert run_to_end(spec).code == 127
    assert (
        f"working directory {tmp_path}/removed: No such file or directory" in spec.folder.output.read_text()
    )


def test_a_missing_bash_is_said_in_the_log(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "true", environment={"PATH": str(tmp_path)})
    assert run_to_end(spec).code == 127
    assert "program bash: No such file or directory" in spec.folder.output.read_text()


def test_a_missing_interpreter_ends_with_the_words_of_bash(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "no-such-python train.py")
    assert run_to_end(spec).code == 127
    assert "no-such-python: command not found" in said(spec.folder)


def test_output_is_kept_byte_for_byte(tmp_path: Path) -> None:
    raw = bytes(range(256)) * 64 + b"\xed\xa0\x80\r\x1b[31m"
    (tmp_path / "raw").write_bytes(raw)
    spec = launch_spec(tmp_path, "cat raw; cat raw >&2")
    run_to_end(spec)
    assert spec.folder.output.read_bytes().endswith(raw + raw)


def test_a_line_of_100_mb_stops_nobody(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "head -c 100000000 /dev/zero | tr '\\0' x; exit 7")
    assert run_to_end(spec).code == 7
    assert spec.folder.output.stat().st_size > 100_000_000


def test_exit_json_is_tried_again_until_the_disk_has_room(tmp_path: Path) -> None:
    """A file-size limit stands for the full disk: the shim may write nothing until it is lifted."""
    spec = launch_spec(tmp_path, "touch up; sleep 600")
    with running(spec) as watched:
        eventually((tmp_path / "up").exists)
        eventually(lambda: "command_pid" in spec.folder.shim.read_text())
        resource.prlimit(watched.identity.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        attempts.stop(watched.identity)
        eventually(lambda: not descendants(watched.identity.pid))
        time.sleep(0.1)
        assert identify(watched.identity.pid) == watched.identity
        assert sorted(path.name for path in spec.folder.path.iterdir()) == [
            "launch.json",
            "output.log",
            "shim.json",
        ]
        resource.prlimit(watched.identity.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert end_of(spec).signal == signal.SIGTERM


def test_a_disk_too_full_for_shim_json_starts_nothing_and_says_so_once_there_is_room(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], check=False, capture_output=True
    ).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        spec = launch_spec(small, f"touch {tmp_path}/ran")
        attempts.prepare(spec)
        (small / "filler").write_bytes(b"x" * os.statvfs(small).f_bavail * os.statvfs(small).f_bsize)
        watched = attempts.start(spec)
        time.sleep(0.2)
        assert not spec.folder.exit.exists()
        (small / "filler").unlink()
        assert end_of(spec).code == 126
        eventually(lambda: identify(watched.identity.pid) is None)
        attempts.release(watched.pidfd)
        assert not (tmp_path / "ran").exists()
    finally:
        subprocess.run(["umount", small], check=True)


def test_the_end_is_written_where_a_moved_folder_now_is(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "touch up; sleep 0.3; exit 6")
    with running(spec):
        eventually((tmp_path / "up").exists)
        spec.run_dir.rename(tmp_path / "job.1")
        moved = tmp_path / "job.1" / "attempts" / "1" / "exit.json"
        eventually(moved.exists)
    assert json.loads(moved.read_text())["code"] == 6


def test_a_deleted_folder_does_not_keep_the_shim(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "sleep 0.2; rm -rf job")
    with running(spec) as watched:
        eventually(lambda: identify(watched.identity.pid) is None)


def test_a_shim_needs_less_than_12_mb(tmp_path: Path) -> None:
    spec = launch_spec(tmp_path, "touch up; sleep 600")
    with running(spec) as watched:
        eventually((tmp_path / "up").exists)
        status = Path(f"/proc/{watched.identity.pid}/status").read_text()
    resident_kib = int(status.split("VmHWM:")[1].split()[0])
    assert resident_kib < 12 * 1024
