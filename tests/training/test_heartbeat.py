"""Telling that the run lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.foundation.progress import read_progress
from pkgs.foundation.run_folder import RunFolder
from pkgs.training.heartbeat import Heartbeat


def test_the_file_says_how_far_the_run_is(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with Heartbeat(folder, steps=10, title="x") as heart:
        heart.measured({"loss": 0.5})
        heart.moved(4, epoch=1, seconds=0.25)
    told = read_progress(folder)
    assert told is not None
    assert (told.step, told.steps, told.epoch, told.seconds_per_step) == (4, 10, 1, 0.25)
    assert told.metrics == {"loss": 0.5}
    assert told.eta_unix_s is not None


def test_the_file_is_replaced_at_most_every_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, writes = [0.0], []
    monkeypatch.setattr("pkgs.training.heartbeat.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("pkgs.training.heartbeat.write_progress", lambda *_: writes.append(clock[0]))
    heart = Heartbeat(RunFolder(tmp_path), steps=1000, title="x")
    for step in range(35):
        clock[0] = step / 10
        heart.moved(step, epoch=0, seconds=0.1)
    assert len(writes) == 4


def test_without_a_terminal_there_is_a_line_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr("pkgs.training.heartbeat.time.monotonic", lambda: clock[0])
    with Heartbeat(RunFolder(tmp_path), steps=100, title="ke seed 3") as heart:
        for step in range(100):
            clock[0] = step / 4
            heart.moved(step + 1, epoch=0, seconds=0.25)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ke seed 3: step 1 of 100")
    assert 3 <= len(lines) <= 4
