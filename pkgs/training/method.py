"""What the loop asks of a method: networks, parts of a step, batches, scores. Knows no data and no network.

A *draw* is one use of a training sample, numbered from 0 over the whole run. The step k of a run with
batches of B samples uses the draws k B .. (k + 1) B - 1. Micro-batches and the shares of processes are
sub-ranges of these, so nothing of that changes what a draw sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from torch import Tensor, nn

from pkgs.training.config import OptimiserConfig, ScheduleConfig

B = TypeVar("B")
"""A method's batch: a small class of tensors, and what else the method needs."""


@dataclass(frozen=True, slots=True)
class StepLoss:
    """What a part makes of one batch: sums and their weights, never means."""

    total: Tensor
    """Sum of the loss; one number, or one per replica."""
    weight: Tensor
    """What the sum is divided by, in the same shape: samples, pixels, pairs."""
    scalars: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Further sums and their weights for the log; the same names in every step."""


@dataclass(frozen=True, slots=True)
class TrainedPart(Generic[B]):
    """One optimiser and what it minimises. A step does its parts in order, on one batch."""

    name: str
    """Stands in the log behind `loss_`, `lr_` and `grad_norm_`; the first part's columns go without."""
    trains: tuple[str, ...]
    """Names of the modules whose weights it changes."""
    optimiser: OptimiserConfig
    schedule: ScheduleConfig
    loss: Callable[[B], StepLoss]


class Method(Protocol[B]):
    """What makes a training the training that it is."""

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The networks whose weights are saved, by the name of their file; on their device."""

    @property
    def parts(self) -> Sequence[TrainedPart[B]]:
        """The parts of a step, in their order."""

    @property
    def samples(self) -> int:
        """Number of training samples: the length of an epoch."""

    def fetch(self, draws: range, /) -> B:
        """Return the samples of these draws, on the host.

        A function of the draws and the seed alone that touches no global generator: it runs ahead, in
        another thread.
        """

    def prepare(self, batch: B, /, *, draws: range) -> B:
        """Return the batch on the device, changed at random; again a function of seed and draws alone."""

    def validate(self) -> Mapping[str, float]:
        """Return the scores on val; under ddp each process measures its share and all return the whole."""

    def evidence(self, batch: B, /) -> Mapping[str, Tensor]:
        """Return what to keep of a prepared batch whose loss was not finite, with its drawn parameters."""
