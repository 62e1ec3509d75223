"""The notification hook: a time limit, three tries, never more than four at once, never in the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pkgs.jobqueue.manager import notify
from pkgs.jobqueue.manager.notify import Notifier
from tests.builders.managers import eventually


def tend(notifier: Notifier, *, until: Callable[[], bool]) -> None:
    def look() -> bool:
        notifier.tend(time.monotonic())
        return until()

    eventually(look, what="the hook's work")


def test_the_hook_gets_job_status_and_message(tmp_path: Path) -> None:
    out = tmp_path / "out"
    notifier = Notifier(f'echo "$QUEUE_JOB|$QUEUE_STATUS|$QUEUE_MESSAGE" > {out}', limit_s=10)
    notifier.send(job="ke/a", status="failed", message="it's; $(bad) `news`")
    notifier.finish(within_s=10)
    assert out.read_text() == "ke/a|failed|it's; $(bad) `news`\n"


def test_without_a_hook_nothing_is_kept(tmp_path: Path) -> None:
    notifier = Notifier("", limit_s=10)
    notifier.send(job="a", status="failed", message="")
    began_s = time.monotonic()
    notifier.finish(within_s=10)
    assert time.monotonic() - began_s < 1


def test_a_hook_that_fails_is_tried_three_times(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    notifier = Notifier(f"echo x >> {tries}; exit 1", limit_s=10)
    notifier.send(job="a", status="failed", message="")
    tend(notifier, until=lambda: not notifier._messages)
    assert tries.read_text() == "x\nx\nx\n"


def test_a_hook_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    notifier = Notifier(f"sleep 600 & echo $! > {pid}; wait", limit_s=0.3)
    notifier.send(job="a", status="failed", message="")
    tend(notifier, until=lambda: not notifier._messages)
    eventually(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists(), what="the end of its child")


def test_at_most_four_hooks_run_at_once(tmp_path: Path) -> None:
    notifier = Notifier(
        f"touch {tmp_path}/$QUEUE_JOB; while test -e {tmp_path}/$QUEUE_JOB; do sleep 0.02; done", limit_s=10
    )
    for number in range(6):
        notifier.send(job=str(number), status="failed", message="")
    tend(notifier, until=lambda: len(list(tmp_path.iterdir())) == 4)
    for _ in range(10):
        notifier.tend(time.monotonic())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3"]
    for number in range(4):
        (tmp_path / str(number)).unlink()
    tend(notifier, until=lambda: {path.name for path in tmp_path.iterdir()} == {"4", "5"})
    for number in (4, 5):
        (tmp_path / str(number)).unlink()
    tend(notifier, until=lambda: not notifier._messages)


def test_of_too_much_news_the_oldest_that_waits_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "MOST_WAITING", 10)
    notifier = Notifier("true", limit_s=10)
    for number in range(100):
        notifier.send(job=str(number), status="failed", message="")
    kept = [message.words["QUEUE_JOB"] for message in notifier._messages]
    assert kept == ["0", "1", "2", "3", "94", "95", "96", "97", "98", "99"]


def test_the_last_news_gets_its_chance_and_no_more(tmp_path: Path) -> None:
    notifier = Notifier("sleep 600", limit_s=600)
    notifier.send(job="a", status="failed", message="")
    began_s = time.monotonic()
    notifier.finish(within_s=0.3)
    assert time.monotonic() - began_s < 5
    (message,) = notifier._messages
    assert message.process is not None
    message.process.kill()
    message.process.wait()
