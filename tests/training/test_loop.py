"""The loop: exact resume, cadences, stops and what is not finite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pkgs.foundation.run_folder import RunFolder
from pkgs.training.config import TrainingConfig
from pkgs.training.heartbeat import Heartbeat
from pkgs.training.loop import Loop, Places, StepLoss
from pkgs.training.nan import NotFiniteError
from pkgs.training.stop import Stopped, StopRequest
from pkgs.training.tables import CLOCK, Table

STEPS = 6


@dataclass
class Line:
    """A method that fits a line through noise; with dropout, which draws from torch's own generator."""

    network: nn.Module
    poison: int = -1
    """Step whose batch holds a NaN."""
    stop: StopRequest = field(default_factory=StopRequest)
    stop_in_validation: int = -1
    validations: int = 0
    samples: int = 6

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"student": self.network}

    def batch(self, step: int) -> Tensor:
        x = torch.rand(3, 2, generator=torch.Generator().manual_seed(step))
        return x * float("nan") if step == self.poison else x

    def loss(self, step: int) -> StepLoss:
        x = self.batch(step)
        return StepLoss(((self.network(x)[:, 0] - x.sum(dim=1)) ** 2).sum(), torch.tensor(3.0))

    def inputs(self, step: int) -> Mapping[str, Tensor]:
        return {"x": self.batch(step)}

    def validate(self) -> Mapping[str, float]:
        self.validations += 1
        if self.validations == self.stop_in_validation:
            raise Stopped
        weight = self.network[0].weight
        return {"nll": float((weight - 1).detach().abs().sum()), "iou": 0.5}


def build(folder: Path, **traps: object) -> tuple[Loop, Line]:
    torch.manual_seed(0)
    method = Line(nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.2)), **traps)  # type: ignore[arg-type]
    config = TrainingConfig(
        length=f"{STEPS} steps", batch_samples=3, validate_every="2 steps", log_every="1 steps"
    )
    places = Places(
        checkpoints=folder / "checkpoints",
        train=Table(folder / "train.csv", (*CLOCK, "loss")),
        val=Table(folder / "val.csv", (*CLOCK, "nll", "iou")),
        nan=folder / "attempts/1/nan",
        attempt=1,
        command=("train",),
    )
    folder.mkdir(exist_ok=True)
    heart = Heartbeat(RunFolder(folder), title="line")
    return Loop(method, config, places=places, heart=heart, stop=method.stop), method


def weights_after(loop: Loop, method: Line) -> Tensor:
    loop.run()
    return torch.cat([weight.detach().flatten() for weight in method.network.parameters()])


def whole(folder: Path) -> Tensor:
    return weights_after(*build(folder))


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_a_run_stopped_at_any_step_ends_as_one_that_was_not(tmp_path: Path, at: int) -> None:
    loop, method = build(tmp_path / "b")
    real = loop.log

    def log() -> None:
        real()
        method.stop.asked = loop.state.step == at

    loop.log = log  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        loop.run()
    again, method = build(tmp_path / "b")
    assert again.resume()
    assert again.state.step == at
    assert torch.equal(weights_after(again, method), whole(tmp_path / "a"))


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_a_run_killed_at_any_step_ends_as_one_that_was_not(tmp_path: Path, at: int) -> None:
    loop, _ = build(tmp_path / "b")
    real = loop.train_step

    def train_step() -> None:
        real()
        if loop.state.step == at:
            raise KeyboardInterrupt  # nothing is saved: as good as SIGKILL

    loop.train_step = train_step  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    again, method = build(tmp_path / "b")
    assert again.resume() == (at > 2)
    assert again.state.step == (at - 1) // 2 * 2
    assert torch.equal(weights_after(again, method), whole(tmp_path / "a"))


def test_a_validation_cut_off_by_a_stop_is_done_after_the_resume(tmp_path: Path) -> None:
    loop, _ = build(tmp_path / "b", stop_in_validation=2)
    with pytest.raises(Stopped):
        loop.run()
    again, method = build(tmp_path / "b")
    again.resume()
    weights_after(again, method)
    assert [row["step"] for row in Table(tmp_path / "b/val.csv", (*CLOCK, "nll", "iou")).rows()] == [
        "2", "4", "6",
    ]  # fmt: skip
    whole(tmp_path / "a")
    best = [(tmp_path / name / "checkpoints/best").resolve().name for name in ("a", "b")]
    assert best[0] == best[1]


def test_tables_have_time_step_rate_and_pace_in_every_row(tmp_path: Path) -> None:
    whole(tmp_path / "a")
    rows = Table(tmp_path / "a/train.csv", (*CLOCK, "loss")).rows()
    assert [row["step"] for row in rows] == [str(step) for step in range(1, STEPS + 1)]
    assert all(row[name] for row in rows for name in (*CLOCK, "loss"))


def test_the_first_validation_counts_for_best(tmp_path: Path) -> None:
    loop, method = build(tmp_path / "a")
    method.validate = lambda: {"nll": float(method.validations + loop.state.step), "iou": 0.0}  # type: ignore[method-assign]
    loop.run()
    assert (tmp_path / "a/checkpoints/best").resolve().name == "best_00000002"


def test_a_loss_that_is_not_finite_is_held_back_and_kept(tmp_path: Path) -> None:
    loop, method = build(tmp_path / "a", poison=3)
    with pytest.raises(NotFiniteError, match=r"not finite at step 4 of 6.*lr"):
        loop.run()
    assert all(bool(torch.isfinite(weight).all()) for weight in method.network.parameters())
    kept = tmp_path / "a/attempts/1/nan"
    assert sorted(path.name for path in kept.iterdir()) == [
        "about.json", "batch.safetensors", "state.pt", "student.safetensors",
    ]  # fmt: skip
    assert loop.state.step == 3


def test_bf16_trains_as_well(tmp_path: Path) -> None:
    loop, method = build(tmp_path / "a")
    loop.config = loop.config.model_copy(update={"precision": "bf16"})
    assert bool(torch.isfinite(weights_after(loop, method)).all())
