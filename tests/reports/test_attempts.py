from __future__ import annotations

import math
from pathlib import Path

import pytest

from pkgs.foundation.files import write_json
from pkgs.foundation.run_folder import RunFolder
from pkgs.reports.attempts import State, read_ending, read_usage
from tests.builders.run_folders import write_attempt


@pytest.mark.parametrize(
    ("code", "signal", "state", "sentence"),
    [
        (0, None, State.COMPLETED, ""),
        (1, None, State.FAILED, "exit code 1"),
        (81, None, State.DIVERGED, "the loss became NaN (exit code 81)"),
        (143, None, State.STOPPED, "stopped (exit code 143), to be resumed"),
        (None, 9, State.FAILED, "killed by SIGKILL"),
        (None, 44, State.FAILED, "killed by signal 44"),
    ],
)
def test_exit_json_decides_how_a_run_ended(
    tmp_path: Path, code: int | None, signal: int | None, state: State, sentence: str
) -> None:
    folder = RunFolder(tmp_path)
    write_attempt(folder, 1, code=code, signal=signal)
    ending = read_ending(folder)
    assert ending is not None
    assert (ending.state, ending.sentence) == (state, sentence)


def test_the_newest_attempt_counts_also_beyond_nine(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for number in (2, 9, 10):
        write_attempt(folder, number, code=0 if number == 10 else 1)
    ending = read_ending(folder)
    assert ending is not None
    assert ending.state is State.COMPLETED


def test_a_broken_exit_json_is_an_attempt_without_end(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_attempt(folder, 1, code=0)
    folder.attempt(1).exit.write_text('{"code": ')
    ending = read_ending(folder)
    assert ending is not None
    assert ending.state is State.UNFINISHED


def test_costs_are_added_over_attempts_and_memory_is_the_peak(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_attempt(folder, 1, code=1)
    write_attempt(folder, 2, code=0)
    write_attempt(folder, 3, code=None, ended=False)
    usage = read_usage(folder)
    assert (usage.attempts, usage.without_end) == (3, 1)
    assert (usage.wall_s, usage.cpu_s, usage.peak_rss_mib) == (370.0, 340.0, 512.0)
    assert math.isnan(usage.energy_j)


def test_a_run_by_hand_has_no_attempts(tmp_path: Path) -> None:
    assert read_ending(RunFolder(tmp_path)) is None
    assert math.isnan(read_usage(RunFolder(tmp_path)).wall_s)


def test_the_energy_is_the_sum_of_what_the_queue_measured_per_attempt(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for number, energy_j in ((1, 100.0), (2, 50.0)):
        folder.attempt(number).path.mkdir(parents=True)
        write_json(folder.attempt(number).usage, {"energy_j": energy_j, "peak_gpu_mib": 5})
    assert read_usage(folder).energy_j == 150.0
