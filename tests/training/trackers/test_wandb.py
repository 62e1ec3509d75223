"""Weights & Biases, offline."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.training.trackers.catalog import open_trackers
from pkgs.training.trackers.config import TrackerConfig
from pkgs.training.trackers.guard import Limits
from pkgs.training.trackers.tracker import TrackedRun

pytest.importorskip("wandb", reason="the extra `wandb` is not installed")

CONFIG = TrackerConfig(names=("wandb",), project="ke")
PATIENT = Limits(call_s=60, start_s=60, exit_s=120)
"""The machine of a test may be busy; only the library's answers are looked at here."""


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)


def test_online_without_a_key_asks_nobody_and_is_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    config = CONFIG.model_copy(update={"wandb_mode": "online"})
    with open_trackers(config, TrackedRun("a", tmp_path), say=said.append, limits=PATIENT) as trackers:
        trackers.scalars(1, {"loss": 0.5})
    assert len(said) == 1
    assert "no key; set WANDB_API_KEY, or leave wandb_mode at offline" in said[0]


def test_an_offline_run_is_written_into_the_run_folder_and_goes_on_after_a_resume(tmp_path: Path) -> None:
    folder = tmp_path / "trackers"
    for attempt in range(2):
        run = TrackedRun("a/seed_0", folder, config={"training": {"lr": 0.125}}, first_step=attempt)
        with open_trackers(CONFIG, run, say=pytest.fail, limits=PATIENT) as trackers:
            trackers.scalars(attempt + 1, {"loss": 0.5})
    identity = (folder / "wandb_run").read_text().strip()
    files = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))
    assert {file.name for file in files} == {f"run-{identity}.wandb"}
    for file in files:
        assert all(word in file.read_bytes() for word in (b"train/loss", b"a/seed_0", b"0.125"))
