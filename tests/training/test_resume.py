"""Exact resume: stopped or killed anywhere, a run ends with the same weights and the same tables."""

from __future__ import annotations

import os
import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pkgs.training.stop import Stopped
from tests.builders.kills import killed_at
from tests.builders.lines import flat, last_rows, line_config, line_loop

STEPS = 6
SETTINGS = {"save_every": "3 steps", "log_every": "2 steps", "validate_every": "4 steps"}
"""Lines of train.csv, validations and saves fall apart, so running sums must be kept."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return folder


def second() -> torch.nn.Module:
    torch.manual_seed(1)
    return torch.nn.Linear(2, 1)


def run(folder: Path) -> None:
    loop, method = line_loop(folder, line_config(**SETTINGS), second=second())
    loop.resume()
    loop.run()
    torch.save([flat(module) for module in method.modules.values()], folder / "weights.pt")


def assert_same(folder: Path, whole: Path) -> None:
    ours, theirs = (torch.load(path / "weights.pt", weights_only=True) for path in (folder, whole))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    for name in ("train.csv", "val.csv"):
        assert last_rows(folder / name) == last_rows(whole / name)
    for name in ("last", "best"):
        shown = [(path / "checkpoints" / name).resolve() for path in (folder, whole)]
        steps = [path.name.split("_")[1] for path in shown]
        assert steps[0] == steps[1]
        files = [(path / "student.safetensors").read_bytes() for path in shown]
        assert files[0] == files[1]


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_a_run_stopped_at_any_step_ends_as_one_that_was_not(tmp_path: Path, whole: Path, at: int) -> None:
    loop, method = line_loop(tmp_path, line_config(**SETTINGS), second=second())
    real = loop.log

    def log() -> None:
        real()
        method.stop.asked = loop.state.step == at

    loop.log = log  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        loop.run()
    run(tmp_path)
    assert_same(tmp_path, whole)


@pytest.mark.parametrize("event", [3, 14, 40, 60, 80])
def test_a_run_killed_with_sigkill_between_two_acts_ends_as_one_that_was_not(
    tmp_path: Path, whole: Path, event: int
) -> None:
    assert killed_at(event, lambda: run(tmp_path))
    run(tmp_path)
    assert_same(tmp_path, whole)


@pytest.mark.slow
def test_a_hundred_random_kills_one_after_the_other_change_nothing(tmp_path: Path, whole: Path) -> None:
    chance = random.Random(1)  # noqa: S311 - no secret
    kills = runs = 0
    while kills < 100:
        runs += 1
        folder = tmp_path / str(runs)
        while killed_at(chance.randrange(60), partial(run, folder)):
            kills += 1
        assert_same(folder, whole)
    assert runs > 5


def test_a_validation_cut_off_by_a_stop_is_done_after_the_resume(tmp_path: Path) -> None:
    loop, _ = line_loop(tmp_path / "b", stop_in_validation=2)
    with pytest.raises(Stopped):
        loop.run()
    again, _ = line_loop(tmp_path / "b")
    again.resume()
    again.run()
    assert [row["step"] for row in again.places.val.rows()] == ["2", "4", "6"]
    undisturbed, _ = line_loop(tmp_path / "a")
    undisturbed.run()
    best = [(tmp_path / name / "checkpoints/best").resolve().name for name in ("a", "b")]
    assert best[0] == best[1]


def test_validation_and_tables_never_touch_the_generators_of_training(tmp_path: Path) -> None:
    quiet, first = line_loop(tmp_path / "a", line_config(validate_every="6 steps", log_every="6 steps"))
    quiet.run()
    noisy, second = line_loop(tmp_path / "b", line_config(validate_every="1 steps"), noisy_validation=True)
    real = noisy.places.train.append

    def append(*rows: object) -> None:
        np.random.rand()
        random.random()  # noqa: S311
        torch.rand(1)
        real(*rows)  # type: ignore[arg-type]

    object.__setattr__(noisy.places.train, "append", append)
    noisy.run()
    assert second.validations == 6
    assert torch.equal(flat(first.network), flat(second.network))


def test_a_resume_says_which_checkpoint_was_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loop, _ = line_loop(tmp_path)
    loop.run()
    (tmp_path / "checkpoints/last/state.pt").write_bytes(b"cut")
    again, _ = line_loop(tmp_path)
    assert again.resume()
    assert again.state.step == 4
    assert "state.pt is damaged; taking the one before" in capsys.readouterr().out


def test_a_resume_on_other_data_is_refused(tmp_path: Path) -> None:
    loop, _ = line_loop(tmp_path)
    loop.run()
    again, _ = line_loop(tmp_path)
    object.__setattr__(again.places, "about", {"data_digest": "d2"})
    with pytest.raises(ValueError, match=r"other data \(digest d1, now d2\)"):
        again.resume()


def test_a_resume_with_another_architecture_is_refused(tmp_path: Path) -> None:
    loop, _ = line_loop(tmp_path)
    loop.run()
    again, _ = line_loop(tmp_path, network=torch.nn.Linear(2, 1))
    with pytest.raises(ValueError, match=r"missing \['bias', 'weight'\], surplus \['0.bias'.*model\.name"):
        again.resume()


def test_a_full_disk_ends_the_run_and_the_checkpoint_before_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, _ = line_loop(tmp_path)
    real = loop.train_step

    def train_step() -> None:
        real()
        if loop.state.step == 4:
            monkeypatch.setattr(os, "fsync", full)

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    loop.train_step = train_step  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space left"):
        loop.run()
    monkeypatch.undo()
    again, _ = line_loop(tmp_path)
    assert again.resume()
    assert again.state.step == 2


def test_the_state_loads_without_unpickling_code(tmp_path: Path) -> None:
    loop, _ = line_loop(tmp_path)
    loop.run()
    state = torch.load(tmp_path / "checkpoints/last/state.pt", weights_only=True)
    assert set(state) == {"loop", "parts", "followers", "running", "generators", "about"}
    assert state["generators"][0].keys() == {"python", "numpy", "cpu", "cuda"}


class Count:
    """A follower that counts."""

    def __init__(self) -> None:
        self.steps = 0

    def update(self, happened: object) -> None:
        assert happened is None
        self.steps += 1

    def state_dict(self) -> dict[str, int]:
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.steps = state["steps"]


def test_followers_are_told_of_each_step_and_saved(tmp_path: Path) -> None:
    loop, method = line_loop(tmp_path)
    loop.followers["count"] = Count()
    method.stop.asked = True
    with pytest.raises(Stopped):
        loop.run()
    again, _ = line_loop(tmp_path)
    count = again.followers["count"] = Count()
    again.resume()
    again.run()
    assert count.steps == STEPS
