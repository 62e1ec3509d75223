"""A tracker that raises, hangs, is slow or absent is said once and dropped; the run goes on."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from pkgs.training.trackers.guard import Guard, Limits
from pkgs.training.trackers.tracker import Outcome, TrackedRun

PATIENCE_S = 30.0
"""Only a broken test waits as long."""


@dataclass
class Fake:
    """A tracker that notes what it is told and does what `act` says in each call."""

    act: Callable[[str], None] = lambda _verb: None
    told: list[object] = field(default_factory=list)

    def start(self, run: TrackedRun) -> None:
        self.act("start")
        self.told.append(run.name)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.act("scalars")
        self.told.append((step, dict(values), threading.current_thread().name))

    def finish(self, outcome: Outcome) -> None:
        self.act("finish")
        self.told.append(outcome)


class Hang:
    """Hangs in one verb until the test is over."""

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.entered, self.released = threading.Event(), threading.Event()

    def __call__(self, verb: str) -> None:
        if verb == self.verb:
            self.entered.set()
            assert self.released.wait(PATIENCE_S)


@dataclass
class Clock:
    """Stands still until it is set."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def run(tmp_path: Path) -> TrackedRun:
    return TrackedRun("ke/a/seed_0", tmp_path / "trackers")


@pytest.fixture(params=["start", "scalars", "finish"])
def hang(request: pytest.FixtureRequest) -> Iterator[Hang]:
    made = Hang(request.param)
    yield made
    made.released.set()


def fails(verb: str) -> Callable[[str], None]:
    def act(called: str) -> None:
        if called == verb:
            raise ValueError("server said no.\nand more")

    return act


def test_calls_arrive_in_order_and_in_another_thread(said: list[str], run: TrackedRun) -> None:
    tracker = Fake()
    guard = Guard("fake", tracker, say=said.append)
    guard.start(run)
    values = {"train/loss": 0.5}
    guard.scalars(1, values)
    values["train/loss"] = 9.0  # the run may go on with its own row
    guard.finish("finished")
    assert tracker.told == ["ke/a/seed_0", (1, {"train/loss": 0.5}, "tracker fake"), "finished"]
    assert run.folder.is_dir()
    assert said == []


@pytest.mark.parametrize("verb", ["start", "scalars", "finish"])
def test_a_tracker_that_raises_is_said_once_and_never_called_again(
    verb: str, said: list[str], run: TrackedRun
) -> None:
    tracker = Fake(fails(verb))
    guard = Guard("fake", tracker, say=said.append)
    guard.start(run)
    for step in range(3):
        guard.scalars(step, {})
    guard.finish("finished")
    guard.scalars(4, {})
    assert said == [
        "Tracker fake failed with ValueError: server said no. It is left out from here on; "
        "the CSV files have every value."
    ]
    assert guard.dropped
    assert "finished" not in tracker.told


def test_a_tracker_whose_library_ends_the_process_ends_only_its_thread(
    said: list[str], run: TrackedRun
) -> None:
    def leave(_verb: str) -> None:
        raise SystemExit(2)

    guard = Guard("fake", Fake(leave), say=said.append)
    guard.start(run)
    guard.finish("finished")
    assert len(said) == 1
    assert "SystemExit" in said[0]


def test_a_tracker_that_is_not_installed_is_named_with_the_cure(said: list[str], run: TrackedRun) -> None:
    def absent(_verb: str) -> None:
        raise ModuleNotFoundError("No module named 'visdom'", name="visdom")

    guard = Guard("visdom", Fake(absent), say=said.append)
    guard.start(run)
    guard.wait_until_started(PATIENCE_S)
    assert said[0].startswith(
        "Tracker visdom is not installed (no module named 'visdom'); `pip install visdom`"
    )


def test_a_hanging_call_is_given_up_while_the_run_goes_on(
    hang: Hang, said: list[str], run: TrackedRun
) -> None:
    clock = Clock()
    tracker = Fake(hang)
    guard = Guard("fake", tracker, say=said.append, limits=Limits(call_s=2, start_s=20), clock=clock)
    guard.start(run)
    guard.scalars(1, {})
    if hang.verb == "finish":
        clock = count().__next__  # each look is a second later
        guard._clock = clock
        guard.finish("finished")
    else:
        assert hang.entered.wait(PATIENCE_S)
        clock.now = 1.9
        guard.scalars(2, {})
        assert said == []
        clock.now = 21.0
        guard.scalars(3, {})
        guard.finish("finished")  # does not wait: it was given up
    limit = 20 if hang.verb == "start" else 2
    assert [line.partition(". It")[0] for line in said] == [f"Tracker fake did not answer within {limit} s"]


def test_a_tracker_that_falls_behind_is_dropped_instead_of_filling_the_memory(
    said: list[str], run: TrackedRun
) -> None:
    hang = Hang("start")
    guard = Guard("fake", Fake(hang), say=said.append, limits=Limits(backlog=10))
    guard.start(run)
    for step in range(20):
        guard.scalars(step, {})
    hang.released.set()
    assert [line.partition(". It")[0] for line in said] == ["Tracker fake is 10 calls behind"]


def test_the_end_of_a_run_waits_for_a_slow_tracker_only_so_long(said: list[str], run: TrackedRun) -> None:
    hang = Hang("scalars")
    guard = Guard(
        "fake", Fake(hang), say=said.append, limits=Limits(call_s=1e9, exit_s=10), clock=count().__next__
    )
    guard.start(run)
    guard.scalars(1, {})
    guard.finish("finished")
    hang.released.set()
    assert [line.partition(". It")[0] for line in said] == [
        "Tracker fake was not done 10 s after the end of the run"
    ]


def test_a_given_up_tracker_that_comes_back_is_not_called_again(said: list[str], run: TrackedRun) -> None:
    clock, hang = Clock(), Hang("scalars")
    tracker = Fake(hang)
    guard = Guard("fake", tracker, say=said.append, clock=clock)
    guard.start(run)
    guard.scalars(1, {})
    guard.scalars(2, {})
    assert hang.entered.wait(PATIENCE_S)
    clock.now = 3.0
    guard.scalars(3, {})
    hang.released.set()
    assert guard._ended.wait(PATIENCE_S)
    assert [entry[0] for entry in tracker.told if isinstance(entry, tuple)] == [1]
    assert "finished" not in tracker.told


def test_the_thread_of_a_tracker_does_not_keep_the_process_alive(said: list[str], run: TrackedRun) -> None:
    hang = Hang("start")
    guard = Guard("fake", Fake(hang), say=said.append)
    guard.start(run)
    assert hang.entered.wait(PATIENCE_S)
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "tracker fake")
    assert thread.daemon
    hang.released.set()


def test_a_process_ends_although_a_tracker_hangs_for_ever() -> None:
    code = (
        "import threading, pathlib\n"
        "from pkgs.training.trackers.guard import Guard, Limits\n"
        "from pkgs.training.trackers.tracker import TrackedRun\n"
        "class Stuck:\n"
        "    def start(self, run): threading.Event().wait()\n"
        "    def finish(self, outcome): print('never')\n"
        "guard = Guard('stuck', Stuck(), say=print, limits=Limits(start_s=0.01))\n"
        "guard.start(TrackedRun('a', pathlib.Path('.')))\n"
        "guard.finish('finished')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert ended.stdout.startswith("Tracker stuck did not answer within 0.01 s.")


def test_a_folder_that_cannot_be_made_costs_the_tracker_and_not_the_run(
    said: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    guard = Guard("fake", Fake(), say=said.append)
    guard.start(TrackedRun("a", tmp_path / "file" / "trackers"))
    guard.finish("finished")
    assert "NotADirectoryError" in said[0]
