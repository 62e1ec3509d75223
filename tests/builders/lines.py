"""A method so small that its whole training takes milliseconds: a line through noise, with dropout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from pkgs.foundation.run_folder import RunFolder
from pkgs.training.config import OptimiserConfig, ScheduleConfig, TrainingConfig
from pkgs.training.heartbeat import Heartbeat
from pkgs.training.loop import Loop
from pkgs.training.method import StepLoss, TrainedPart
from pkgs.training.ranks import Ranks
from pkgs.training.state import Places
from pkgs.training.stop import Stopped, StopRequest
from pkgs.training.tables import CLOCK, Table

CPU = torch.device("cpu")
TRAIN = (*CLOCK, "loss", "grad_norm", "mean_weight", "loss_second", "grad_norm_second", "lr_second")
VAL = (*CLOCK, "nll", "iou")


@dataclass
class Line:
    """Learns the sum of its inputs; draw d is a function of d, some draws weigh more than others."""

    network: nn.Module
    second: nn.Module | None = None
    poison: int = -1
    """Draw that holds a NaN."""
    stop: StopRequest = field(default_factory=StopRequest)
    stop_in_validation: int = -1
    scores: Callable[[int], float] | None = None
    """What the n-th validation finds, instead of the distance to the truth."""
    noisy_validation: bool = False
    uneven: bool = False
    """Whether draws weigh 0, 1 and 2 in turn."""
    validations: int = 0
    samples: int = 6
    fetched: list[range] = field(default_factory=list)
    ranks: Ranks = field(default_factory=lambda: Ranks(CPU))

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"student": self.network, **({"second": self.second} if self.second else {})}

    @property
    def parts(self) -> Sequence[TrainedPart[Tensor]]:
        first = TrainedPart("student", ("student",), OptimiserConfig(lr=0.01), ScheduleConfig(), self.loss)
        if self.second is None:
            return [first]
        second = OptimiserConfig(name="sgd", lr=0.1)
        return [first, TrainedPart("second", ("second",), second, ScheduleConfig(), self.second_loss)]

    def fetch(self, draws: range, /) -> Tensor:
        self.fetched.append(draws)
        rows = [torch.rand(2, generator=torch.Generator().manual_seed(draw)) for draw in draws]
        x = torch.stack(rows)
        return torch.where(torch.tensor([[draw == self.poison] for draw in draws]), torch.nan, x)

    def prepare(self, batch: Tensor, /, *, draws: range) -> Tensor:
        weight = [draw % 3 if self.uneven else 1 for draw in draws]
        return torch.cat([batch, torch.tensor(weight, dtype=batch.dtype)[:, None]], dim=1)

    def loss(self, batch: Tensor) -> StepLoss:
        return self._loss(self.network, batch)

    def second_loss(self, batch: Tensor) -> StepLoss:
        assert self.second is not None
        return self._loss(self.second, batch)

    def _loss(self, network: nn.Module, batch: Tensor) -> StepLoss:
        x, weight = batch[:, :2], batch[:, 2]
        off = network(x).float()[:, 0] - x.sum(dim=1)
        seen = ((weight * weight).sum(), weight.sum())
        return StepLoss((weight * off**2).sum(), weight.sum(), {"mean_weight": seen} if self.uneven else {})

    def evidence(self, batch: Tensor, /) -> Mapping[str, Tensor]:
        return {"x": batch}

    def validate(self) -> Mapping[str, float]:
        self.validations += 1
        if self.noisy_validation:
            torch.rand(7)
        if self.validations == self.stop_in_validation:
            raise Stopped
        if self.scores is not None:
            return {"nll": self.scores(self.validations), "iou": 0.5}
        weight = next(self.network.parameters())
        return {"nll": float((weight - 1).detach().abs().sum()), "iou": 0.5}


def line_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.2), nn.Linear(4, 1))


def line_config(**settings: object) -> TrainingConfig:
    base = {"length": "6 steps", "batch_samples": 3, "validate_every": "2 steps", "log_every": "1 steps"}
    return TrainingConfig.model_validate({**base, **settings})


def line_loop(
    folder: Path, config: TrainingConfig | None = None, *, ranks: Ranks | None = None, **traps: object
) -> tuple[Loop[Tensor], Line]:
    """Return a loop over a line in `folder`, and the line; `traps` are its fields."""
    method = Line(**{"network": line_network(), **traps})  # type: ignore[arg-type]
    places = Places(
        checkpoints=folder / "checkpoints",
        train=Table(folder / "train.csv", TRAIN),
        val=Table(folder / "val.csv", VAL),
        nan=folder / "attempts/1/nan",
        attempt=1,
        command=("train",),
        about={"data_digest": "d1"},
    )
    folder.mkdir(exist_ok=True, parents=True)
    ranks = ranks or Ranks(CPU)
    heart = Heartbeat(RunFolder(folder), title="line", quiet=not ranks.first)
    loop = Loop(method, config or line_config(), places=places, heart=heart, stop=method.stop, ranks=ranks)
    return loop, method


def flat(module: nn.Module) -> Tensor:
    """Return all weights in one row."""
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])


def last_rows(path: Path) -> list[dict[str, str]]:
    """Return the last row of each step, without what depends on the clock."""
    rows = Table(path, TRAIN if path.name == "train.csv" else VAL).rows()
    timed = {"time_unix_s", "samples_per_s", "attempt"}
    kept = {row["step"]: {k: v for k, v in row.items() if k not in timed} for row in rows}
    return [kept[step] for step in sorted(kept, key=int)]
