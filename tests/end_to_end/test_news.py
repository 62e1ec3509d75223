"""What people are told: the notification hook, a word about changed code, pauses before a retry, energy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders.fake_nvml import Card, FakeNvml, World
from tests.builders.managers import Queue, eventually, queue_in, row

TELL = 'echo "$QUEUE_JOB $QUEUE_STATUS $QUEUE_MESSAGE" >> told.txt'


def told(queue: Queue) -> list[str]:
    path = queue.folder / "told.txt"
    return path.read_text().splitlines() if path.exists() else []


def test_the_hook_hears_of_every_change_of_a_job_the_last_one_too(tmp_path: Path) -> None:
    with queue_in(tmp_path, notify=TELL) as queue:
        queue.write(row("good", "sleep 1", gpus="0"), row("bad", "sleep 1; exit 1", gpus="0"))
        queue.run_until_idle("--cpu-slots", "2")
        ends = [line.split(" ", 2) for line in told(queue)]
        assert ["good", "completed"] in [words[:2] for words in ends]
        (failed,) = [words[2] for words in ends if words[:2] == ["bad", "failed"]]
        assert "exit code 1" in failed
        assert "`retry bad`" in failed


@pytest.mark.slow
def test_a_hook_that_hangs_is_ended_and_holds_up_nobody(tmp_path: Path) -> None:
    with queue_in(tmp_path, notify="sleep 600", notify_limit_s=0.3) as queue:
        queue.write(
            row("a", "sleep 0.6", seeds="0..3", gpus="0"), row("b", "sleep 0.6", after="a:all", gpus="0")
        )
        with queue.manager("--cpu-slots", "2"):
            queue.await_status("b", "completed")
            log = queue.root / "queue" / "manager.log"
            eventually(lambda: "notification failed" in log.read_text(), what="the hook's end")


def test_code_that_changed_between_two_seeds_is_said_in_the_message(tmp_path: Path) -> None:
    with queue_in(tmp_path) as queue:
        (tmp_path / "train.sh").write_text("test -e go || while ! test -e go; do sleep 0.05; done\n")
        queue.write(row("study/a", "bash train.sh", seeds="0..1", gpus="0"))
        with queue.manager("--cpu-slots", "1"):
            eventually(lambda: queue.attempts("study/a"), what="the first seed")
            (tmp_path / "train.sh").write_text("true\n")
            (tmp_path / "go").touch()
            message = queue.await_status("study/a", "completed")["message"]
        assert "train.sh changed since this job was queued" in message
        assert "may not be comparable" in message


def test_a_pause_before_a_retry_says_until_when_and_why(tmp_path: Path) -> None:
    with queue_in(tmp_path, retry_pauses_s=[600]) as queue:
        queue.write(row("oom", "echo MemoryError; exit 1", gpus="0"))
        with queue.manager():
            message = eventually(lambda: queue.row("oom")["message"], what="a word about the pause")
            assert message.startswith("pauses until ")
            assert "tries again, after: host out of memory" in message
            assert queue.row("oom")["status"] == "open"
            queue.command("retry", "oom")
            eventually(lambda: len(queue.attempts("oom")) == 2, what="another try, as the user asked for it")


def test_telemetry_and_energy_of_a_run_are_kept(tmp_path: Path) -> None:
    nvml = FakeNvml(tmp_path)
    card = Card("GPU-0000", util=0, power_w=100)
    nvml.show(World((card,)))
    with queue_in(tmp_path, environment=nvml.environment()) as queue:
        queue.write(
            row("burn", 'echo "claim GPU-0000 $$ 5000 compute" >> $FAKE_NVML_STATE; touch up; sleep 3')
        )
        with queue.manager("--poll", "0.05"):
            eventually((tmp_path / "up").exists, what="the run")
            claims = [line for line in nvml.state.read_text().splitlines() if line.startswith("claim")]
            nvml.state.write_text(World((replace(card, util=80),)).text() + "\n".join(claims) + "\n")
            queue.await_status("burn", "completed")
        found = queue.ask(
            "SELECT peak_gpu_mib, energy_j, mean_util_percent, cpu_s, peak_rss_bytes FROM attempts"
        )
        peak_mib, energy_j, util, cpu_s, rss = found[0]
        assert peak_mib == 5000
        assert 100 < energy_j < 600, "100 W for about three seconds"
        assert 20 < util <= 80
        assert cpu_s >= 0
        assert rss > 0
        assert len(queue.ask("SELECT at_unix_s FROM telemetry")) >= 3
