"""What every training does around what is its own: a loop from a method, and a run from a loop. Loads torch.

It knows no method, no data and no network; `program` comes before it, `loop` after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, final

import torch
from torch import nn

from pkgs.foundation.seeds import Purpose, derive
from pkgs.training import run_record
from pkgs.training.arguments import Arguments
from pkgs.training.checkpoints import DATA_DIGEST
from pkgs.training.ema import Ema
from pkgs.training.heartbeat import Heartbeat
from pkgs.training.loop import Follower, Loop, Watcher
from pkgs.training.method import Method
from pkgs.training.numerics import cannot_obey, set_numerics
from pkgs.training.program import Plan, say
from pkgs.training.ranks import Ranks, without_effect
from pkgs.training.starting_point import INPUTS
from pkgs.training.state import steps_in
from pkgs.training.stop import StopRequest

B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Joined:
    """The parts of a run, put together; nothing is trained yet."""

    loop: Loop[Any]
    opened: Sequence[AbstractContextManager[object]]
    """Closed once the run is over or broken off, the last one first: the loader, what a method opened."""
    judge: Callable[[], None]
    """Scores what was trained and writes test.csv last; called in the first process, after the last step."""


@final
@dataclass(frozen=True, slots=True)
class Start:
    """What a run begins with, before there are data and networks, and what all methods build from it."""

    plan: Plan
    arguments: Arguments
    module: str
    heart: Heartbeat
    stop: StopRequest
    ranks: Ranks

    @property
    def device(self) -> torch.device:
        return self.ranks.device

    @property
    def seed(self) -> int:
        return self.arguments.seed

    @property
    def bad_file(self) -> Path | None:
        """Where a loader lists bad samples; None in processes that do not write."""
        return self.arguments.folder.bad_samples if self.ranks.first else None

    def check(self) -> None:
        """Beat, and leave if a stop was asked for; for between two pieces of a long work.

        Raises:
            Stopped: Then; where several processes share the run they leave together, at the end of a step.
        """
        self.heart.beat()
        if self.ranks.world == 1:
            self.stop.check()

    def warn(self, warnings: Iterable[str]) -> None:
        """Say each of them."""
        for warning in warnings:
            self.heart.say(f"Warning: {warning}")

    def draws(self, samples: int) -> int:
        """Return how many draws the whole run has, with so many training samples."""
        training = self.plan.training
        return steps_in(training.length, config=training, samples=samples) * training.batch_samples

    def after_networks(self) -> None:
        """Seed what networks draw on their own (dropout), by process, and say which settings do nothing.

        Call it when the networks are built, whose weights come from generators of their own.
        """
        others = [self.ranks.rank] if self.ranks.rank else []
        torch.manual_seed(derive(self.seed, Purpose.INIT, "library", *others))
        self.warn(without_effect(self.plan.training, self.ranks))

    def average(self, network: nn.Module) -> Ema | None:
        """Return a moving average of the network's weights if `training.ema_decay` asks for one."""
        decay = self.plan.training.ema_decay
        return Ema(network, decay=decay) if decay else None

    def loop(  # noqa: PLR0913 - all by name
        self,
        method: Method[B],
        *,
        fingerprint: str,
        model: str,
        train: Sequence[str],
        val: Sequence[str],
        average: Ema | None = None,
        followers: Mapping[str, Follower] | None = None,
        watcher: Watcher | None = None,
    ) -> Loop[B]:
        """Return the loop of the run, before its first step.

        Args:
            method: What is trained.
            fingerprint: Digest of the data; a resume on others is refused.
            model: Name of the network.
            train: Columns of train.csv.
            val: Columns of val.csv.
            average: Goes along with the weights as `ema`.
            followers: What else goes along, by name.
            watcher: Adds to val.csv.

        Raises:
            ValueError: If val.csv has no column for `best`, or a batch is too small to be shared.
        """
        plan = self.plan
        if plan.training.deterministic and self.device.type == "cuda":
            layers = cannot_obey(method.modules)
            self.warn(f"training.deterministic: {layer} has no exact backward on CUDA." for layer in layers)
        places = run_record.places(
            self.arguments,
            plan.config,
            module=self.module,
            fingerprint=fingerprint,
            model=model,
            train=train,
            val=val,
        )
        return Loop(
            method,
            plan.training,
            places=places,
            heart=self.heart,
            stop=self.stop,
            ranks=self.ranks,
            followers={**(followers or {}), **({} if average is None else {"ema": average})},
            watcher=watcher,
        )


def carry_out(start: Start) -> None:
    """Train from wherever the run is to its end, then judge it; or compute again what the NaN guard kept.

    Raises:
        ValueError: If data, device or checkpoint cannot be used.
        Stopped: If a stop was asked for.
        NotFiniteError: If loss or gradient is not finite.
        OSError: If something cannot be written.
    """
    numerics = set_numerics(start.plan.training)
    joined = start.plan.join(start)
    loop, replay_nan = joined.loop, start.arguments.replay_nan
    if replay_nan is not None:
        say("\n".join(loop.replay(replay_nan)))
        return
    if start.ranks.first:
        _write_down(start, numerics, fingerprint=loop.places.about[DATA_DIGEST])
    if loop.resume():
        loop.heart.say(f"{loop.heart.title}: going on from step {loop.state.step} of {loop.steps}.")
    _train(joined, start)


def _train(joined: Joined, start: Start) -> None:
    """Train, then judge; everything that is open is closed at the end."""
    plan, loop = start.plan, joined.loop
    trackers = run_record.trackers_of(loop, start.arguments, plan.config, trackers=plan.trackers)
    with ExitStack() as opened:
        for each in (loop.heart, *joined.opened):
            opened.enter_context(each)
        loop.trackers = opened.enter_context(trackers)
        loop.run()
        if loop.ranks.first:
            joined.judge()


def _write_down(start: Start, numerics: Mapping[str, object], *, fingerprint: str) -> None:
    """Keep the settings, and what provenance.json says of data, numerics and inputs."""
    plan = start.plan
    about = {"data": plan.origin(), "numerics": numerics}
    if plan.starting_points is not None:
        about[INPUTS] = {name: point.digest() for name, point in plan.starting_points().items()}
    run_record.write_down(start.arguments, plan.config, fingerprint=fingerprint, about=about)
