"""The processes of one run, each with a device: their shares of a step, and sums over all of them.

Alone, everything here is free. Gradients are summed by hand instead of by DistributedDataParallel: that one
averages over processes, whose weights differ from step to step (ignored pixels, uneven shares), binds a step
to one forward pass of one module, and needs `no_sync` for micro-batches. Ours sums once per step.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar, final

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pkgs.training.config import TrainingConfig
from pkgs.training.feed import pieces

T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of how many processes this is, and its device."""

    device: torch.device
    rank: int = 0
    world: int = 1
    replicas: bool = False
    """Whether this process spreads a batch over all visible GPUs (DataParallel)."""

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def share(self, draws: range) -> range:
        """Return this process's neighbours of a step's draws; together they are the step, unpadded."""
        return pieces(draws, count=self.world)[self.rank]

    def sum(self, tensor: Tensor) -> Tensor:
        """Add the tensors of all processes up, in place."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def sum_all(self, tensors: Sequence[Tensor]) -> None:
        """Add each tensor up over all processes, in place; one message per dtype."""
        if self.world == 1:
            return
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            same = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.reshape(-1) for tensor in same])
            dist.all_reduce(flat)
            parts = torch.split(flat, [tensor.numel() for tensor in same])
            torch._foreach_copy_(same, [p.view(t.shape) for p, t in zip(parts, same, strict=True)])

    def any(self, *, flag: bool) -> bool:
        """Say whether the flag is up in some process; all get the same answer."""
        if self.world == 1:
            return flag
        seen = torch.tensor(int(flag))  # on the CPU: gloo, no wait for the device
        dist.all_reduce(seen, op=dist.ReduceOp.MAX)
        return bool(seen.item())

    def gathered(self, value: T) -> list[T]:
        """Return everybody's value, by rank; for small things such as sums of metrics."""
        if self.world == 1:
            return [value]
        values: list[T | None] = [None] * self.world
        dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    def take_buffers_of_first(self, modules: Mapping[str, nn.Module]) -> None:
        """Give all processes the buffers of the first: running statistics differ with what each has seen."""
        if self.world > 1:
            for module in modules.values():
                for buffer in module.buffers():
                    dist.broadcast(buffer, src=0)

    @contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """Let the first process do this alone, then the others: what the first writes they find written."""
        if self.world > 1 and not self.first:
            dist.barrier()
        try:
            yield
        finally:
            if self.world > 1 and self.first:
                dist.barrier()

    def leave(self, *, wait: bool) -> None:
        """Close the group, after all have come here if `wait`: torchrun stops the others when one fails."""
        if self.world > 1:
            if wait:
                dist.barrier()
            dist.destroy_process_group()


def under_torchrun() -> bool:
    """Say whether torchrun, or something that speaks like it, started this process."""
    return "LOCAL_RANK" in os.environ and "MASTER_PORT" in os.environ


def join(config: TrainingConfig, *, device: torch.device) -> Ranks:
    """Return this process's place; under torchrun, join the others there.

    Args:
        config: Its `parallel` decides.
        device: What the command line chose; under ddp on CUDA this process takes the card of its rank.

    Raises:
        ValueError: If `parallel` does not fit how the process was started.
    """
    if not under_torchrun():
        several = device.type == "cuda" and torch.cuda.device_count() > 1
        return Ranks(device, replicas=several and config.parallel in {"auto", "dp"})
    if config.parallel not in {"auto", "ddp"}:
        raise ValueError(
            f"training.parallel is {config.parallel}, but torchrun started this process. Set it to ddp or "
            "auto, or start the command without torchrun."
        )
    local = int(os.environ["LOCAL_RANK"])
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"torchrun started a process for GPU {local}, but torch sees {torch.cuda.device_count()}. "
                "Start at most one process per visible GPU."
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    return Ranks(device, rank=dist.get_rank(), world=dist.get_world_size())


def without_effect(config: TrainingConfig, ranks: Ranks) -> list[str]:
    """Return a sentence for each setting that changes nothing here."""
    said = []
    if config.parallel == "dp" and not ranks.replicas:
        said.append("training.parallel is dp, but there are not several GPUs; one device does the work.")
    if config.processes and ranks.world == 1:
        said.append(f"training.processes is {config.processes}, but training.parallel is not ddp.")
    if config.compile == "auto" and ranks.replicas:
        said.append("training.compile is auto, but not under dp; use ddp to have both.")
    return said


def check_shares(ranks: Ranks, config: TrainingConfig) -> None:
    """Refuse a batch that leaves a process or a micro-batch without a sample.

    Raises:
        ValueError: Then.
    """
    needed = ranks.world * config.accumulate
    if config.batch_samples < needed:
        raise ValueError(
            f"training.batch_samples is {config.batch_samples}: too few for {ranks.world} processes with "
            f"{config.accumulate} micro-batches each. Set it to at least {needed}."
        )
