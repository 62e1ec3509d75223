"""What every method of this package is built from, and what it can do besides training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from pkgs.data.cache.loader import Loader
from pkgs.data.inputs import Inputs
from pkgs.data.samples import Batch, Part
from pkgs.ensemble.columns import TRAIN_COLUMNS, VAL_COLUMNS
from pkgs.student.config import StudentConfig
from pkgs.training.arguments import Arguments
from pkgs.training.checkpoint_folder import Name
from pkgs.training.ema import Ema
from pkgs.training.loop import Follower, Watcher
from pkgs.training.method import TrainedPart
from pkgs.training.ranks import Ranks

B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Common:
    """The parts of a run that all methods share."""

    arguments: Arguments
    config: StudentConfig
    network: nn.Module
    """A new student on its device; the same in all conditions of a seed."""
    loader: Loader
    """Of the labelled training images; closed by whoever made it."""
    val: Part
    ranks: Ranks
    check: Callable[[], None]
    """Call it between batches of a long work: it beats, and leaves if a stop was asked for."""
    say: Callable[[str], None]
    inputs: Inputs
    """All labelled samples and their split."""

    @property
    def device(self) -> torch.device:
        return self.ranks.device

    @property
    def seed(self) -> int:
        return self.arguments.seed


@dataclass(frozen=True, slots=True)
class Judged:
    """What `StudentMethod.judge` gets: where, on what, and with which weights."""

    weights: Name
    """Those that all modules of the method have now."""
    step: int
    """Where they are from; `best` is often `last` itself."""
    val: Part
    test: Part


class StudentMethod(ABC, Generic[B]):
    """A `training.method.Method` with a student in it. The last four are for methods with a teacher."""

    network: nn.Module
    """The student itself, which is judged."""

    @property
    @abstractmethod
    def modules(self) -> Mapping[str, nn.Module]: ...

    @property
    @abstractmethod
    def parts(self) -> Sequence[TrainedPart[B]]: ...

    @property
    @abstractmethod
    def samples(self) -> int: ...

    @abstractmethod
    def fetch(self, draws: range, /) -> B: ...

    @abstractmethod
    def prepare(self, batch: B, /, *, draws: range) -> B: ...

    @abstractmethod
    def validate(self) -> Mapping[str, float]: ...

    @abstractmethod
    def evidence(self, batch: B, /) -> Mapping[str, Tensor]: ...

    @property
    def train_columns(self) -> Sequence[str]:
        """Columns of train.csv: clock, loss, norm, and the method's own scalars."""
        return TRAIN_COLUMNS

    @property
    def val_columns(self) -> Sequence[str]:
        """Columns of val.csv."""
        return VAL_COLUMNS

    @property
    def average(self) -> Ema | None:
        """The moving average that the method keeps itself; without one, `training.ema_decay` says."""
        return None

    @property
    def watcher(self) -> Watcher | None:
        """Who looks at the run from outside and adds to val.csv."""
        return None

    def close(self) -> None:
        """Close what the method has opened, once the run is over or broken off."""
        return

    @property
    def followers(self) -> Mapping[str, Follower]:
        """What is told of each step, saved and resumed, by name; `ema` is taken."""
        return {}

    def settle(self, weights: Name, *, checkpoints: Path) -> None:
        """Do what is left after training, with `weights` loaded, before anything is judged."""
        del weights, checkpoints

    def judge(self, judged: Judged, *, folder: Path) -> None:
        """Write further tables about these weights into `folder`, predictions/ of the run."""
        del judged, folder

    def predicted_error(self, samples: Batch, probability_B1HW: Tensor) -> Tensor | None:
        """Return r [B, 1, H, W], the predicted error share of these masks; None without a teacher."""
        del samples, probability_B1HW
        return None
