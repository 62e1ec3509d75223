"""The trackers of a run together: names, rows, ends, and what is absent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest

from pkgs.foundation.config import ConfigError, strict
from pkgs.training.stop import Stopped
from pkgs.training.trackers import catalog
from pkgs.training.trackers.catalog import TRACKERS, open_trackers
from pkgs.training.trackers.config import TrackerConfig, TrackerName
from pkgs.training.trackers.guard import Limits
from pkgs.training.trackers.tracker import Outcome, TrackedRun, lasting

PATIENT = Limits(call_s=60, start_s=60, exit_s=120)
"""The machine of a test may be busy."""


class Notes:
    """A tracker that notes what it is told."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.outcome: Outcome | None = None

    def start(self, _run: TrackedRun) -> None:
        """Nothing to open."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.rows.append((step, dict(values)))

    def finish(self, outcome: Outcome) -> None:
        self.outcome = outcome


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    made = Notes()
    monkeypatch.setattr(catalog, "TRACKERS", {"tensorboard": lambda _config: made})
    return made


def run(folder: Path) -> TrackedRun:
    return TrackedRun("ke/a/seed_0", folder / "trackers")


def test_every_name_of_the_configuration_is_in_the_catalogue() -> None:
    assert tuple(TRACKERS) == get_args(TrackerName)


def test_the_catalogue_imports_no_tracker() -> None:
    code = (
        "import sys, pkgs.training.trackers.catalog\n"
        f"print(sorted(set({list(TRACKERS)!r}) & set(sys.modules)), 'torch' in sys.modules)"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "[] False"


def test_a_row_of_a_table_arrives_as_numbers_with_the_name_of_its_part(notes: Notes, tmp_path: Path) -> None:
    with open_trackers(TrackerConfig(names=("tensorboard",)), run(tmp_path), say=pytest.fail) as trackers:
        trackers.scalars(3, {"loss": 0.5, "epoch": 1, "samples_per_s": None, "note": "text"})
        trackers.scalars(4, {"iou": 0.25}, part="val")
    assert notes.rows == [(3, {"train/loss": 0.5, "train/epoch": 1.0}), (4, {"val/iou": 0.25})]
    assert notes.outcome == "finished"


@pytest.mark.parametrize(("error", "outcome"), [(Stopped, "stopped"), (ValueError, "failed")])
def test_a_run_that_did_not_end_well_is_closed_as_such(
    notes: Notes, tmp_path: Path, error: type[Exception], outcome: str
) -> None:
    with (
        pytest.raises(error),
        open_trackers(TrackerConfig(names=("tensorboard",)), run(tmp_path), say=pytest.fail),
    ):
        raise error
    assert notes.outcome == outcome


def test_without_names_nothing_is_made(tmp_path: Path) -> None:
    with open_trackers(TrackerConfig(), run(tmp_path), say=pytest.fail) as trackers:
        trackers.scalars(1, {"loss": 0.5})
    assert not (tmp_path / "trackers").exists()


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow", "visdom"])
def test_a_tracker_that_is_not_installed_is_said_before_the_first_step(
    name: TrackerName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    said: list[str] = []
    with open_trackers(
        TrackerConfig(names=(name,)), run(tmp_path), say=said.append, limits=PATIENT
    ) as trackers:
        trackers.scalars(1, {"loss": 0.5})
    assert len(said) == 1
    assert said[0].startswith(f"Tracker {name} is not installed")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"names": ["tensorbord"]}, "tensorboard"),
        ({"mlflow_uri": "https://me:secret@host/"}, "holds a password"),
        ({"visdom_url": "http://me:secret@host:8097"}, "VISDOM_PASSWORD"),
        ({"visdom_url": "localhost:8097"}, "expected an address such as http://localhost:8097"),
        ({"api_key": "secret"}, "Unknown setting 'api_key'"),
        ({"wandb_mode": "on"}, "offline"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(raw: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        strict(TrackerConfig, raw, where="a.yaml")


def test_a_lasting_name_is_made_once(tmp_path: Path) -> None:
    assert lasting(tmp_path / "name", lambda: "first") == ("first", True)
    assert lasting(tmp_path / "name", lambda: "second") == ("first", False)
