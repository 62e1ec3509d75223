"""Every cause of failure (design.md section 7), produced by a real process under a real manager."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.managers import Queue, eventually, queue_for_module, queue_in, row

FIRST_TIME = "test -e $QUEUE_RUN_DIR/flag && exit 0; touch $QUEUE_RUN_DIR/flag; "
"""What follows happens at the first attempt only; the second one is well."""
CUDA_OOM = "echo 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB'; exit 1"
CUDA_ERROR = "echo 'RuntimeError: CUDA error: an illegal memory access was encountered'; exit 1"
NO_SPACE = "echo 'OSError: [Errno 28] No space left on device'; exit 1"
PYTHON = sys.executable

ROWS = (
    row("oom/alone", FIRST_TIME + CUDA_OOM),
    row("oom/shared", FIRST_TIME + CUDA_OOM, gpu_mem="4G"),
    row("oom/for_ever", CUDA_OOM),
    row("host_oom", FIRST_TIME + f"{PYTHON} -c 'raise MemoryError'", gpus="0"),
    row("killed", FIRST_TIME + "kill -9 $$", gpus="0"),
    row("terminated", FIRST_TIME + "kill -TERM $$", gpus="0"),
    row("cuda", FIRST_TIME + CUDA_ERROR),
    row("disk_full", FIRST_TIME + NO_SPACE, gpus="0", retries="0"),
    row("timeout", "sleep 60", gpus="0", timeout="1s", retries="0"),
    row("stalled", "sleep 60", gpus="0", retries="0"),
    row("nan", "exit 81", gpus="0", retries="5"),
    row("usage", "echo 'error: unrecognized arguments: --sede'; exit 2", gpus="0", retries="5"),
    row("exception", f"{PYTHON} -c 'raise ValueError(17)'", gpus="0", retries="5"),
    row("no_command", "no_such_command_anywhere", gpus="0", retries="5"),
    row("no_file", f"{PYTHON} no_such_file.py", gpus="0", retries="5"),
    row("segfault", f"{PYTHON} -c 'import os; os.abort()'", gpus="0", retries="5"),
    row("blocked", "echo never", gpus="0", retries="5"),
    row("too_long", f"echo {'{run_dir}' * 5000}", gpus="0", retries="5"),
    row("grandchild", "sleep 600 & echo parent is done", gpus="0"),
    row("not_utf8", r"printf 'bad \xff\xfe\x80 bytes \xed\xa0\x80\n'; exit 3", gpus="0"),
    row("escapes", r"printf '\033[31mred\033[0m\007\n'; exit 3", gpus="0"),
    row("one_line", "head -c 200000000 /dev/zero | tr '\\0' x; exit 3", gpus="0"),
    row("secret", 'test -n "$MY_API_KEY" && exit 3', gpus="0"),
)
SECRET = "sesame-7f3a91"  # noqa: S105 - made up, to look for


@pytest.fixture(scope="module")
def queue() -> Iterator[Queue]:
    """Give the queue after all rows have had their end."""
    with queue_for_module(environment={"MY_API_KEY": SECRET}, stall_s=2.0, grace_s=1.0) as queue:
        queue.root.mkdir()
        (queue.root / "blocked").write_text("a file where a run folder should be")
        queue.write(*ROWS)
        ended = queue.run_until_idle("--gpus", "sim:8x24G", "--cpu-slots", "4")
        assert ended.returncode == 1, ended.stdout + ended.stderr
        yield queue


@pytest.mark.parametrize(
    ("job", "cause", "attempts", "status"),
    [
        ("oom/alone", "GPU out of memory", 2, "completed"),
        ("oom/shared", "GPU out of memory", 2, "completed"),
        ("oom/for_ever", "GPU out of memory", 2, "failed"),
        ("host_oom", "host out of memory", 2, "completed"),
        ("killed", "killed from outside", 2, "completed"),
        ("terminated", "killed from outside", 2, "completed"),
        ("cuda", "GPU lost or CUDA error", 2, "completed"),
        ("disk_full", "disk full", 2, "completed"),
        ("timeout", "timeout", 1, "failed"),
        ("stalled", "no progress", 1, "failed"),
        ("nan", "loss became NaN", 1, "failed"),
        ("usage", "bad config or missing file", 1, "failed"),
        ("exception", "error in the code", 1, "failed"),
        ("no_command", "bad config or missing file", 1, "failed"),
        ("no_file", "bad config or missing file", 1, "failed"),
        ("segfault", "error in the code", 1, "failed"),
        ("blocked", "bad config or missing file", 1, "failed"),
        ("too_long", "bad config or missing file", 1, "failed"),
        ("grandchild", None, 1, "completed"),
        ("not_utf8", "error in the code", 1, "failed"),
        ("one_line", "error in the code", 1, "failed"),
    ],
)
def test_the_cause_is_found_and_decides_about_another_attempt(
    queue: Queue, job: str, cause: str | None, attempts: int, status: str
) -> None:
    seen = queue.attempts(job)
    assert (seen[0]["cause"], len(seen), queue.row(job)["status"]) == (cause, attempts, status)
    assert queue.row(job)["progress"] == "1 of 1"


@pytest.mark.parametrize("job", [line["id"] for line in ROWS])
def test_a_failed_row_says_why_where_the_log_is_and_what_to_do(queue: Queue, job: str) -> None:
    line = queue.row(job)
    if line["status"] == "completed":
        assert line["message"] == ""
        return
    assert f"`retry {job}`" in line["message"]
    folder = queue.attempt(job, len(queue.attempts(job)))
    assert str(folder.output) in line["message"] or "no log could be written" in line["message"]
    assert (str(folder.output) in line["message"]) == folder.output.exists()


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("oom/for_ever", "GPU out of memory: torch.OutOfMemoryError: CUDA out of memory"),
        ("timeout", "longer than its timeout"),
        ("stalled", "no output, no heartbeat and an idle device"),
        ("nan", "The loss became NaN"),
        ("usage", "unrecognized arguments: --sede"),
        ("exception", "ValueError: 17"),
        ("no_command", "no_such_command_anywhere: command not found"),
        ("no_file", "no_such_file.py"),
        ("segfault", "SIGABRT"),
        ("blocked", "Not a directory"),
        ("too_long", "Argument list too long"),
        ("not_utf8", "bad ��"),
        ("escapes", "last words: red"),
    ],
)
def test_the_message_tells_what_the_process_said(queue: Queue, job: str, words: str) -> None:
    assert words in queue.row(job)["message"]


def test_no_message_is_longer_than_a_cell_can_bear(queue: Queue) -> None:
    assert max(len(line["message"]) for line in queue.rows().values()) < 1000


def test_out_of_gpu_memory_runs_again_alone_or_with_a_quarter_more(queue: Queue) -> None:
    assert [attempt["reserve_mib"] for attempt in queue.attempts("oom/alone")] == [None, None]
    assert [attempt["reserve_mib"] for attempt in queue.attempts("oom/shared")] == [4096, 5121]


def test_a_cuda_error_goes_on_another_card_and_sets_the_first_one_apart(queue: Queue) -> None:
    first, second = (attempt["devices"] for attempt in queue.attempts("cuda"))
    assert first != second
    apart = {card["uuid"]: card["why"] for card in queue.live()["devices"] if card["state"] == "quarantined"}
    assert list(apart) == [first]
    assert "illegal memory access" in apart[first]


def test_the_end_does_not_wait_for_a_grandchild_that_keeps_the_output_open(queue: Queue) -> None:
    (start, end), *_ = queue.ask("SELECT start_unix_s, end_unix_s FROM attempts WHERE job = 'grandchild'")
    assert end - start < 5
    assert queue.log("grandchild") == "parent is done"
    assert not queue.processes()


def test_the_job_s_raw_bytes_are_kept(queue: Queue) -> None:
    assert b"bad \xff\xfe\x80 bytes \xed\xa0\x80\n" in queue.attempt("not_utf8").output.read_bytes()
    assert queue.attempt("one_line").output.stat().st_size > 200_000_000


def test_no_secret_of_the_environment_is_written_anywhere(queue: Queue) -> None:
    assert queue.attempts("secret")[0]["code"] == 3, "the run itself gets it"
    found = subprocess.run(["grep", "-rl", SECRET, "."], cwd=queue.folder, capture_output=True, check=False)
    assert found.stdout == b""


def test_a_disk_without_room_starts_nothing_and_goes_on_by_itself(tmp_path: Path) -> None:
    with queue_in(tmp_path, free_disk_floor_mib=2**40) as queue:
        queue.write(row("waits", "echo done", gpus="0"))
        with queue.manager("--poll", "0.05"):
            paused = eventually(lambda: queue.live().get("paused"), what="a pause")
            assert "less than the floor" in paused
            assert "MiB free" in queue.command("why", "waits").stdout
            assert not queue.attempts("waits")


def test_three_failures_in_a_row_hold_the_job_and_leave_its_other_seeds_alone(tmp_path: Path) -> None:
    with queue_in(tmp_path) as queue:
        queue.write(
            row("bad", "exit 1", seeds="0..9", gpus="0"),
            row("good", "echo {seed}", seeds="0..9", gpus="0"),
        )
        assert queue.run_until_idle("--cpu-slots", "1").returncode == 1
        assert queue.row("bad")["status"] == "hold"
        assert queue.row("bad")["progress"] == "3 of 10"
        assert (
            "held after 3 failures in a row. Last: seed 2: Ended with exit code 1"
            in queue.row("bad")["message"]
        )
        assert queue.row("good")["progress"] == "10 of 10"


def test_three_jobs_in_a_row_that_fail_on_one_card_set_it_apart(tmp_path: Path) -> None:
    bad_card = 'test "$CUDA_VISIBLE_DEVICES" != SIM-1 || { sleep 0.1; echo some error; exit 1; }; sleep 0.3'
    with queue_in(tmp_path) as queue:
        queue.write(*(row(f"job{number}", bad_card) for number in range(12)))
        queue.run_until_idle("--gpus", "sim:4x24G")
        hit = [line["id"] for line in queue.rows().values() if line["status"] == "failed"]
        assert len(hit) == 3
        (apart,) = [card for card in queue.live()["devices"] if card["state"] == "quarantined"]
        assert apart["uuid"] == "SIM-1"
        assert "runs of 3 jobs failed on it in a row" in apart["why"]


def test_cancel_leaves_no_process_behind(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1); time.sleep(600)"
    forked_twice = (
        "import os, time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); time.sleep(600)"
    )
    programs = f'{PYTHON} -c "{stubborn}" & {PYTHON} -c "{forked_twice}"'
    command = f"{programs} & setsid sleep 600 & (sleep 600 &); sleep 600"
    with queue_in(tmp_path, grace_s=1.0) as queue:
        queue.write(row("many", command, gpus="0"))
        with queue.manager("--poll", "0.05"):
            eventually(lambda: len(queue.processes()) >= 6, what="all its processes")
            assert queue.command("cancel", "many").returncode == 0
            queue.await_status("many", "cancelled")
            eventually(lambda: not queue.processes(), what="the end of all of them")
        assert queue.attempts("many")[0]["cause"] == "cancelled"


def test_a_job_gets_the_time_to_save_before_it_is_killed(tmp_path: Path) -> None:
    saves = "trap 'sleep 1.5; echo saved > checkpoint; exit 143' TERM; echo up; while :; do sleep 0.05; done"
    with queue_in(tmp_path, grace_s=20.0) as queue:
        queue.write(
            row("saver", saves, gpus="0"), row("liar", "trap 'exit 0' TERM; sleep 600 & wait", gpus="0")
        )
        with queue.manager("--poll", "0.05", "--cpu-slots", "2"):
            eventually(lambda: queue.attempt("saver").output.exists() and queue.log("saver"), what="a trap")
            queue.command("cancel", "saver", "liar")
            eventually(
                lambda: "each has time to save" in queue.row("saver")["message"], what="a word about it"
            )
            queue.await_status("saver", "cancelled")
            queue.await_status("liar", "cancelled")
        assert (tmp_path / "checkpoint").read_text() == "saved\n"


@pytest.mark.slow
def test_two_gigabytes_in_one_line_stop_nobody(tmp_path: Path) -> None:
    with queue_in(tmp_path) as queue:
        queue.write(
            row("flood", "head -c 2147483648 /dev/zero | tr '\\0' x; exit 3", gpus="0"),
            row("beside", "echo fine", gpus="0", after=""),
        )
        began_s = time.monotonic()
        queue.run_until_idle("--cpu-slots", "2", within_s=300)
        assert queue.row("beside")["status"] == "completed"
        assert "exit code 3" in queue.row("flood")["message"]
        shown = queue.command("logs", "flood")
        assert len(shown.stdout) < 10_000
        assert time.monotonic() - began_s < 240
        queue.attempt("flood").output.unlink()
