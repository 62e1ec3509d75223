"""A training with augmentation and live cache, killed again and again: the same bits at its end."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml

from pkgs.student.__main__ import main
from pkgs.training.tables import CLOCK
from tests.builders.cem_mitolab import write_cem_mitolab
from tests.builders.kills import killed_at

STEPS = 60
TIMED = {"time_unix_s", "samples_per_s", "attempt"}
LOADERS = {"no workers": {"kind": "inline"}, "two workers": {"kind": "process", "workers": 2}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cem_mitolab(tmp_path_factory.mktemp("data"), sources=8)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that nothing disturbed, with a cache of its own."""
    folder = tmp_path_factory.mktemp("whole")
    train(data, folder, loader={"kind": "inline"})
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def train(data: Path, folder: Path, *, loader: dict[str, object]) -> None:
    """Go on with the run in `folder` to its end."""
    settings = {
        "data": {
            "root": str(data),
            "size_px": 32,
            "split": {"min_sources": 1, "max_source_share": 0.2, "train": 0.8, "val": 0.1, "test": 0.1},
            "cache": {"folder": str(folder / "cache")},
            "loader": loader,
        },
        "model": {"name": "unet2d"},
        "augment": {"spatial": 0.75, "raw": 0.5},
        "training": {
            "length": f"{STEPS} steps", "batch_samples": 4, "optimiser": {"lr": 0.01}, "threads": 1,
            "schedule": {"name": "cosine", "warmup": "5 steps"}, "ema_decay": 0.9, "log_every": "3 steps",
            "validate_every": "20 steps", "save_every": "7 steps",
        },
        "output": {"samples": 2},
    }  # fmt: skip
    config = folder / "tiny.yaml"
    config.write_text(yaml.safe_dump(settings))
    run = str(folder / "run")
    assert main(["--config", str(config), "--run-dir", run, "--seed", "3", "--device", "cpu"]) == 0


def last_rows(path: Path) -> list[dict[str, str]]:
    """Return the last row of each step (of each step, weights and source in test.csv), without times."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in ("step", "weights", "source") if name in rows[0]]
    assert set(CLOCK) <= set(rows[0])
    kept = {tuple(row[n] for n in names): {k: v for k, v in row.items() if k not in TIMED} for row in rows}
    return [kept[key] for key in sorted(kept)]


def assert_same(folder: Path, whole: Path) -> None:
    for name in ("last", "best"):
        file = f"run/checkpoints/{name}/student.safetensors"
        ours, theirs = (safetensors.torch.load_file(path / file) for path in (folder, whole))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    for name in ("train.csv", "val.csv", "test.csv"):
        assert last_rows(folder / "run" / name) == last_rows(whole / "run" / name)


def kill_and_finish(data: Path, folder: Path, *, loader: dict[str, object], chance: random.Random) -> int:
    """Kill a run at random acts until one attempt comes to its end; return how often it was killed."""
    folder.mkdir()
    kills = 0
    while killed_at(chance.randrange(10, 150), lambda: train(data, folder, loader=loader)):
        kills += 1
    train(data, folder, loader=loader)  # finished already: this must change nothing
    return kills


def test_a_training_killed_at_random_ends_as_one_that_was_not(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    chance = random.Random(4)  # noqa: S311 - no secret
    assert kill_and_finish(data, tmp_path / "a", loader=LOADERS["no workers"], chance=chance) > 2
    assert_same(tmp_path / "a", whole)


@pytest.mark.slow
@pytest.mark.parametrize("workers", LOADERS)
def test_a_hundred_kills_at_random_steps_change_nothing(
    data: Path, whole: Path, tmp_path: Path, workers: str
) -> None:
    chance = random.Random(5)  # noqa: S311 - no secret
    kills = number = 0
    while kills < 100:
        number += 1
        kills += kill_and_finish(data, tmp_path / str(number), loader=LOADERS[workers], chance=chance)
        assert_same(tmp_path / str(number), whole)
