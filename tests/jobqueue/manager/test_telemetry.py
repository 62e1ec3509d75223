"""What a running attempt uses, its signs of life, and what it says of its own progress."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pkgs.foundation.progress import Progress
from pkgs.foundation.run_folder import RunFolder
from pkgs.jobqueue.devices.inventory import DeviceProcess, DeviceReading
from pkgs.jobqueue.manager.telemetry import (
    TICKS_PER_S,
    Meter,
    Sample,
    Usage,
    families,
    progress_told,
    read_oom_kills,
    read_usage,
)

NOW = 1_795_262_400.0


def reading(**facts: object) -> DeviceReading:
    values: dict[str, object] = {
        "total_mib": 24_000,
        "used_mib": 10,
        "util_percent": 0,
        "power_w": 100.0,
        **facts,
    }
    return DeviceReading("GPU-0", "0", **values)  # type: ignore[arg-type]


def take(meter: Meter, at_s: float, *, ticks: int = 0, devices: tuple[DeviceReading, ...] = ()) -> Sample:
    table = {7: Usage(1, ticks, 50.0)}
    return meter.take(at_s, now_unix_s=NOW + at_s, family=frozenset({7}), table=table, devices=list(devices))


def test_a_family_is_everybody_below_its_root() -> None:
    table = {pid: Usage(parent, 0, 0.0) for pid, parent in {2: 1, 3: 2, 4: 3, 5: 1, 6: 5}.items()}
    assert families(table, [2, 5, 99]) == {2: {2, 3, 4}, 5: {5, 6}, 99: {99}}


def test_the_process_table_of_this_machine_holds_us_and_our_child() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        table = read_usage()
        assert table[child.pid].parent == os.getpid()
        assert table[os.getpid()].rss_mib > 5
    finally:
        child.communicate()


def test_energy_is_power_over_time_and_utilisation_a_mean() -> None:
    meter = Meter("a", last_sign_s=0.0)
    take(meter, 0.0, devices=(reading(util_percent=20),))
    take(meter, 10.0, devices=(reading(util_percent=60),))
    take(meter, 20.0, devices=(reading(util_percent=70, power_w=200.0),))
    assert meter.energy_j == 100 * 10 + 200 * 10
    assert meter.mean_util_percent == 50


def test_what_is_not_known_stays_unknown() -> None:
    meter = Meter("a", last_sign_s=0.0)
    take(meter, 0.0)
    sample = take(
        meter, 5.0, devices=(reading(util_percent=None, power_w=None, used_mib=None, processes=None),)
    )
    assert (sample.util_percent, sample.memory_mib, sample.power_w) == (None, None, None)
    assert (meter.energy_j, meter.mean_util_percent, meter.peak_gpu_mib) == (None, None, None)


def test_the_peak_is_that_of_our_own_processes_on_one_device() -> None:
    meter = Meter("a", last_sign_s=0.0)
    ours, other = DeviceProcess(7, 3000), DeviceProcess(99, 9000)
    take(meter, 0.0, devices=(reading(used_mib=12_000, processes=(ours, other)),))
    assert meter.peak_gpu_mib == 3000
    take(meter, 1.0, devices=(reading(used_mib=2000, processes=(DeviceProcess(7, 2000),)),))
    assert meter.peak_gpu_mib == 3000


def test_where_no_process_is_shown_the_whole_use_counts() -> None:
    meter = Meter("a", last_sign_s=0.0)
    take(meter, 0.0, devices=(reading(used_mib=5000, processes=()),))
    assert meter.peak_gpu_mib == 5000


@pytest.mark.parametrize(
    ("ticks", "util", "sign_s"),
    [(TICKS_PER_S, 0, 10.0), (0, 5, 10.0), (0, 0, 0.0), (0, None, 0.0)],
)
def test_work_on_a_core_or_a_device_is_a_sign_of_life(ticks: int, util: int | None, sign_s: float) -> None:
    meter = Meter("a", last_sign_s=0.0)
    take(meter, 0.0)
    take(meter, 10.0, ticks=ticks, devices=(reading(util_percent=util),))
    assert meter.last_sign_s == sign_s


def test_output_and_heartbeat_are_signs_of_life(tmp_path: Path) -> None:
    output, heartbeat = tmp_path / "output.log", tmp_path / "progress.json"
    meter = Meter("a", last_sign_s=0.0)
    meter.note_files(1.0, [output, heartbeat])
    meter.note_files(2.0, [output, heartbeat])
    silent_s = meter.last_sign_s
    output.write_text("a word")
    meter.note_files(3.0, [output, heartbeat])
    assert meter.last_sign_s == 3.0 > silent_s
    heartbeat.write_text("{}")
    meter.note_files(4.0, [output, heartbeat])
    meter.note_files(5.0, [output, heartbeat])
    assert meter.last_sign_s == 4.0


def test_kills_for_want_of_memory_are_counted_where_the_kernel_tells(tmp_path: Path) -> None:
    assert read_oom_kills(tmp_path / "missing") == 0
    (tmp_path / "events").write_text("low 0\noom 3\noom_kill 2\n")
    assert read_oom_kills(tmp_path / "events") == 2


def told(folder: Path, content: object) -> Progress | None:
    (folder / "progress.json").write_text(json.dumps(content))
    return progress_told(RunFolder(folder), now_unix_s=NOW)


def test_sound_progress_is_taken_as_it_is(tmp_path: Path) -> None:
    sound = {"step": 3, "steps": 9, "eta_unix_s": NOW + 60, "seconds_per_step": 0.5, "metrics": {"iou": 0.4}}
    assert told(tmp_path, sound) == Progress(3, 9, 0, 0.5, NOW + 60, {"iou": 0.4})


@pytest.mark.parametrize(
    "extra",
    [
        {"eta_unix_s": "soon"},
        {"eta_unix_s": float("nan")},
        {"eta_unix_s": 1e300},
        {"eta_unix_s": True},
        {"seconds_per_step": []},
        {"metrics": 3},
        {"metrics": {"x": "y", "z": None}},
    ],
)
def test_numbers_that_are_none_are_left_out(tmp_path: Path, extra: dict[str, object]) -> None:
    assert told(tmp_path, {"step": 1, "steps": 2, **extra}) == Progress(1, 2)


@pytest.mark.parametrize(
    "content", [{"step": 1, "steps": 0}, {"step": "a", "steps": 2}, {"steps": 2}, [], None, "text"]
)
def test_progress_without_steps_is_none(tmp_path: Path, content: object) -> None:
    assert told(tmp_path, content) is None


def test_a_step_beyond_the_last_is_the_last(tmp_path: Path) -> None:
    assert told(tmp_path, {"step": 10**30, "steps": 5}) == Progress(5, 5)
