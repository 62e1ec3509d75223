"""The loop beside the same training in plain PyTorch: what its services cost a step.

Both train the same network from the same weights on the same batches with the same optimiser, schedule and
number of steps, validate and save nothing, and end with the same weights to the last bit. The bare loop
reads its loss at the same cadence and knows neither resume nor guard, norm, heartbeat nor tables.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.side_by_side import Measured
from pkgs.foundation.run_folder import RunFolder
from pkgs.models.light_unet import LightUNet
from pkgs.models.output import LogitsOnly
from pkgs.training.config import OptimiserConfig, ScheduleConfig, TrainingConfig
from pkgs.training.heartbeat import Heartbeat
from pkgs.training.loop import Loop
from pkgs.training.method import StepLoss, TrainedPart
from pkgs.training.ranks import Ranks
from pkgs.training.state import Places
from pkgs.training.stop import StopRequest
from pkgs.training.tables import CLOCK, Table

SIDE_PX: Final = 64
BATCH: Final = 8
SAMPLES: Final = 256
LOG_EVERY: Final = 10
OPTIMISER: Final = OptimiserConfig(name="radam", lr=1e-2)
SCHEDULE: Final = ScheduleConfig(name="cosine", final_lr=1e-5)

Batch = tuple[Tensor, Tensor]


@final
class Pixels:
    """A U-Net on random images: real arithmetic, and data that cost nothing to fetch."""

    def __init__(self, *, device: torch.device) -> None:
        self.device = device
        torch.manual_seed(0)
        self.network = LogitsOnly(LightUNet(dims=2)).to(device)
        source = torch.Generator().manual_seed(1)
        self.images = torch.rand(SAMPLES, 1, SIDE_PX, SIDE_PX, generator=source)
        self.labels = (self.images[:, 0] > 0.5).float()

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"student": self.network}

    @property
    def parts(self) -> Sequence[TrainedPart[Batch]]:
        return [TrainedPart("student", ("student",), OPTIMISER, SCHEDULE, self.loss)]

    @property
    def samples(self) -> int:
        return SAMPLES

    def fetch(self, draws: range, /) -> Batch:
        chosen = torch.arange(draws.start, draws.stop) % SAMPLES
        return self.images[chosen], self.labels[chosen]

    def prepare(self, batch: Batch, /, *, draws: range) -> Batch:  # noqa: ARG002 - nothing is changed here
        return batch[0].to(self.device), batch[1].to(self.device)

    def loss(self, batch: Batch) -> StepLoss:
        image_BCHW, label_BHW = batch
        logits = logits_of(self.network(image_BCHW))[:, 0].float()
        each = F.binary_cross_entropy_with_logits(logits, label_BHW, reduction="none")
        return StepLoss(each.sum(), torch.full((), each.numel(), device=self.device))

    def validate(self) -> Mapping[str, float]:
        return {"nll": 0.0}

    def evidence(self, batch: Batch, /) -> Mapping[str, Tensor]:
        return {"image_BCHW": batch[0], "label_BHW": batch[1]}


def logits_of(answer: object) -> Tensor:
    """Return the logits of a network that answers with them alone or with a tuple."""
    return answer if isinstance(answer, Tensor) else answer.logits  # type: ignore[attr-defined,no-any-return]


def measure(*, repeats: int, quick: bool) -> list[Measured]:
    """Return the seconds of a step of our loop and of a bare one, alternately.

    Short blocks of steps by turns, so that a slow moment of the machine hurts both alike; on a CPU with one
    thread, for threads that wait for a core measure the neighbour who has it.

    Raises:
        RuntimeError: If they do not end with the same weights.
    """
    steps, blocks = (6, 1) if quick else (20, 8)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _block(device, steps=steps, first_ours=True)  # only warms up
        pairs = [
            [_block(device, steps=steps, first_ours=bool(block % 2)) for block in range(blocks)]
            for _ in range(repeats)
        ]
    finally:
        torch.set_num_threads(threads)
    where = "one CPU thread" if device.type == "cpu" else device.type
    return [
        Measured(
            name="loop_overhead",
            ours=tuple(sum(ours for ours, _ in pair) / blocks for pair in pairs),
            peer=tuple(sum(bare for _, bare in pair) / blocks for pair in pairs),
            unit="s/step",
            higher_is_better=False,
            target=0.97,
            peer_name="bare PyTorch loop",
            note=f"unet2d, {BATCH} x {SIDE_PX} x {SIDE_PX}, {blocks} x {steps} steps, {where}, equal weights",
        )
    ]


def _block(device: torch.device, *, steps: int, first_ours: bool) -> tuple[float, float]:
    """Return the seconds of a step of ours and of the bare loop, over a short training each."""
    order = (train_ours, train_bare) if first_ours else (train_bare, train_ours)
    seconds, weights = {}, []
    for train in order:
        seconds[train], network = train(Pixels(device=device), steps=steps)
        weights.append(torch.cat([weight.detach().flatten() for weight in network.parameters()]))
    if device.type == "cpu" and not torch.equal(*weights):
        raise RuntimeError("training_loop: the two loops end with different weights; the times say nothing.")
    return seconds[train_ours], seconds[train_bare]


def train_ours(method: Pixels, *, steps: int) -> tuple[float, nn.Module]:
    """Return seconds per step and the trained network."""
    length = f"{steps} steps"
    config = TrainingConfig(
        length=length, batch_samples=BATCH, optimiser=OPTIMISER, schedule=SCHEDULE,
        validate_every=f"{steps + 1} steps", log_every=f"{LOG_EVERY} steps", parallel="none",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = Places(
            checkpoints=folder / "checkpoints",
            train=Table(folder / "train.csv", (*CLOCK, "loss", "grad_norm")),
            val=Table(folder / "val.csv", (*CLOCK, "nll")),
            nan=folder / "nan",
            attempt=1,
            command=(),
        )
        heart = Heartbeat(RunFolder(folder), title="benchmark", quiet=False)
        loop = Loop(
            method, config, places=places, heart=heart, stop=StopRequest(), ranks=Ranks(method.device)
        )
        loop.validate = _nothing  # type: ignore[method-assign]  # nor saves: no overhead of steps
        started = time.perf_counter()
        loop.run()
        _wait(method.device)
        return (time.perf_counter() - started) / steps, method.network


def train_bare(method: Pixels, *, steps: int) -> tuple[float, nn.Module]:
    """Return seconds per step and the trained network."""
    network = method.network
    optimiser = torch.optim.RAdam(network.parameters(), lr=OPTIMISER.lr, weight_decay=OPTIMISER.weight_decay)
    started = time.perf_counter()
    for step in range(steps):
        share = step / max(steps - 1, 1)
        lr = SCHEDULE.final_lr + (OPTIMISER.lr - SCHEDULE.final_lr) * (1 + math.cos(math.pi * share)) / 2
        for group in optimiser.param_groups:
            group["lr"] = lr
        draws = range(step * BATCH, (step + 1) * BATCH)
        image_BCHW, label_BHW = method.prepare(method.fetch(draws), draws=draws)
        optimiser.zero_grad(set_to_none=True)
        logits = logits_of(network(image_BCHW))[:, 0].float()
        loss = (
            F.binary_cross_entropy_with_logits(logits, label_BHW, reduction="none").sum() / label_BHW.numel()
        )
        loss.backward()
        optimiser.step()
        if (step + 1) % LOG_EVERY == 0:
            loss.item()
    _wait(method.device)
    return (time.perf_counter() - started) / steps, network


def _nothing() -> None:
    """Stand for a validation and its checkpoints."""


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
