"""TensorBoard, read back with its own reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.training.trackers.catalog import open_trackers
from pkgs.training.trackers.config import TrackerConfig
from pkgs.training.trackers.guard import Limits
from pkgs.training.trackers.tracker import TrackedRun

pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")

CONFIG = TrackerConfig(names=("tensorboard",))
PATIENT = Limits(call_s=60, start_s=60, exit_s=120)
"""The machine of a test may be busy."""


def curve(folder: Path, name: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder / "tensorboard"))
    reader.Reload()
    return [(event.step, event.value) for event in reader.Scalars(name)]


def test_values_come_back_with_their_steps(tmp_path: Path) -> None:
    with open_trackers(CONFIG, TrackedRun("a", tmp_path), say=pytest.fail, limits=PATIENT) as trackers:
        for step in (1, 2):
            trackers.scalars(step, {"loss": 1 / step})
        trackers.scalars(2, {"iou": 0.75}, part="val")
    assert curve(tmp_path, "train/loss") == [(1, 1.0), (2, 0.5)]
    assert curve(tmp_path, "val/iou") == [(2, 0.75)]


def test_steps_that_come_again_after_a_resume_replace_the_first_ones(tmp_path: Path) -> None:
    with open_trackers(CONFIG, TrackedRun("a", tmp_path), say=pytest.fail, limits=PATIENT) as trackers:
        for step in (1, 2, 3):
            trackers.scalars(step, {"loss": 1.0})
    with open_trackers(
        CONFIG, TrackedRun("a", tmp_path, first_step=1), say=pytest.fail, limits=PATIENT
    ) as trackers:
        for step in (2, 3):
            trackers.scalars(step, {"loss": 0.5})
    assert curve(tmp_path, "train/loss") == [(1, 1.0), (2, 0.5), (3, 0.5)]
