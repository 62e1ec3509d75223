"""The loop: counts steps, asks cadences, calls verbs. It knows no method, no data and no network.

Three plus three steps equal six, bit for bit on a CPU: all that it needs to go on is in `last`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, final

from torch import Tensor

from pkgs.training import checkpoints as stored
from pkgs.training.checkpoint_folder import Name
from pkgs.training.config import TrainingConfig
from pkgs.training.durations import is_due
from pkgs.training.feed import AHEAD_STEPS, Feed, pieces
from pkgs.training.generators import generators, preserved_generators, restore_generators
from pkgs.training.guard import Guard, Tripped
from pkgs.training.heartbeat import Heartbeat
from pkgs.training.method import Method
from pkgs.training.nan import NotFiniteError, keep_evidence, replay_evidence
from pkgs.training.ranks import Ranks, check_shares
from pkgs.training.running import Running
from pkgs.training.state import Cadence, Places, State
from pkgs.training.stop import Stopped, StopRequest
from pkgs.training.tables import Cell, Table
from pkgs.training.trackers.catalog import Trackers
from pkgs.training.updates import Update, updates_of

B = TypeVar("B")


class Follower(Protocol):
    """What goes along with the weights, such as a moving average: told of each step, saved, resumed."""

    def update(self, happened: Tensor | None, /) -> None:
        """Take note of the step that was just made; those that fp16 skipped are not told.

        `happened` is a boolean on the device, not yet read by anybody; None: it surely did.
        """

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any], /) -> None: ...


class Watcher(Protocol):
    """Looks at the run from outside at a cadence of its own, before the first step too; may end the run."""

    @property
    def every(self) -> int:
        """After how many steps it looks; the last step is always due."""

    @property
    def over(self) -> bool:
        """Whether the step just made shall be the last: validated, saved and judged like any last one."""

    def look(self, step: int, /) -> Mapping[str, float]:
        """Return cells for val.csv, the same whoever else looks; all processes are asked together."""


@final
class Loop(Generic[B]):
    """Trains the parts of a method, each with its optimiser.

    Args:
        method: What is trained.
        config: How.
        places: Where to write.
        heart: Tells how far the run is.
        stop: Asks to leave after a step.
        ranks: The processes that share each step.
        followers: Saved with the weights, by name.
        trackers: Told each line of train.csv and val.csv.
        watcher: Adds to val.csv; pass it among the followers too if it has a state.

    Raises:
        ValueError: If val.csv has no column for `best`, or a batch is too small to be shared.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        method: Method[B],
        config: TrainingConfig,
        *,
        places: Places,
        heart: Heartbeat,
        stop: StopRequest,
        ranks: Ranks,
        followers: Mapping[str, Follower] | None = None,
        trackers: Trackers | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        check_shares(ranks, config)
        places.check_metric(config.best.metric)
        self.method, self.config, self.places, self.heart, self.stop = method, config, places, heart, stop
        self.ranks, self.followers = ranks, dict(followers or {})
        self.trackers, self.watcher = trackers or Trackers([]), watcher
        self.state, self.running = State(), Running(ranks.device)
        self.cadence = Cadence.of(config, samples=method.samples)
        self.steps = heart.steps = self.cadence.steps
        late = ranks.device.type != "cpu"
        self.guard = Guard(method.modules.values(), device=ranks.device, late=late)
        self.updates = updates_of(method, config, ranks=ranks, guard=self.guard, running=self.running)
        ahead = 0 if config.debug or not late else AHEAD_STEPS
        self.feed = Feed(method, draws_of=self._draws, steps=self.steps, ahead=ahead)

    def run(self) -> None:
        """Go on from the state until the last step is made and validated.

        Raises:
            Stopped: If a stop was asked for; `last` is saved.
            NotFiniteError: If loss or gradient is not finite; nothing of that update was applied.
            OSError: If a checkpoint cannot be written; the one before stays in force.
        """
        try:
            try:
                with self.feed.running():
                    self.validate()  # one that a stop cut off
                    while not self.is_done():
                        self.train_step()
                        self.log()
                        self.validate()
                        self.save_if_due()
                        self.leave_if_asked()
            except Stopped:
                self.save("last")
                raise
        except Tripped as trip:
            raise self._refusal(trip.update) from None

    def train_step(self) -> None:
        """Make one step: the updates of all parts, in order, on one batch."""
        started, step = time.perf_counter(), self.state.step
        batches = self.feed.take(step)
        for k, update in enumerate(self.updates):
            number = step * len(self.updates) + k
            update(batches, step=step, number=number, history=self.state.history)
        if not any(update.skipped_in_row for update in self.updates):
            for follower in self.followers.values():
                follower.update(self.guard.happened)
        self.state.step = step + 1
        self.heart.moved(self.state.step, epoch=self._epoch(), seconds=time.perf_counter() - started)

    def log(self) -> None:
        """Append a line to train.csv if it is time."""
        if not is_due(self.state.step, every=self.cadence.log, last=self.steps):
            return
        self.guard.check()
        means = self.running.means()
        self.running.clear()
        rates = {f"lr{u.suffix}": self._lr(u) for u in self.updates[1:]}
        self._tell("train", self.places.train, {**self.clock(), **rates, **means})
        self.heart.measured({name: means[name] for name in means if name.startswith("loss")})

    def validate(self) -> None:
        """Measure val, choose `best` and save `last` if it is time and was not done after this step."""
        state = self.state
        seen = self._watched()
        due = is_due(state.step, every=self.cadence.validate, last=self.steps) or self._is_over()
        due = due and state.validated != state.step
        scores = self._scored() if due else {}
        if seen or scores:
            self._tell("val", self.places.val, {**self.clock(), **scores, **seen})
        state.watched = state.step if seen else state.watched
        if not due:
            return
        state.validated = state.step
        best, value = self.config.best, scores[self.config.best.metric]
        state.history.append((state.step, value))
        self.heart.measured({f"val_{best.metric}": value})
        if state.best_step == 0 or best.improves(value, on=state.best):
            state.best, state.best_step, state.without_best = value, state.step, 0
            self.save("best")
        else:
            state.without_best += 1
        self.save("last")

    def save_if_due(self) -> None:
        """Save `last` between validations, if that is wished."""
        every = self.cadence.save
        if every and self.state.step % every == 0 and self.state.validated != self.state.step:
            self.save("last")

    def leave_if_asked(self) -> None:
        """Leave here if any process was asked to stop: all of them, after the same step."""
        if self.ranks.any(flag=self.stop.asked):
            raise Stopped

    def is_done(self) -> bool:
        """Say whether the last step is made, or val has found nothing better for too long."""
        patience = self.config.patience
        return self.state.step >= self.steps or 0 < patience <= self.state.without_best or self._is_over()

    def save(self, name: Name) -> None:
        """Write a checkpoint.

        Raises:
            OSError: If it cannot be written; the one before stays in force.
        """
        self.guard.check()
        state = self._stored()  # all processes give their generators
        if not self.ranks.first:
            return
        stored.save_checkpoint(
            self.places.checkpoints,
            name,
            step=self.state.step,
            modules=self.method.modules,
            state=state,
            about=self.places.about,
        )

    def resume(self) -> bool:
        """Take over `last` if there is one; say whether there was.

        Raises:
            ValueError: If it is from other data, another network or another version.
        """
        found = stored.load_checkpoint(self.places.checkpoints, "last")
        if found is None:
            return False
        for note in found.notes:
            self.heart.say(f"Warning: {note}")
        where = str(self.places.checkpoints / "last")
        stored.refuse_others(found, data_digest=self.places.about.get(stored.DATA_DIGEST, ""), where=where)
        for name, module in self.method.modules.items():
            stored.load_weights(module, found.of(name, where=where), where=where)
        for update in self.updates:
            update.load(found.state["parts"][update.part.name])
        for name, follower in self.followers.items():
            follower.load_state_dict(found.state["followers"][name])
        self.running.load(found.state["running"])
        self._take_generators(found.state["generators"])
        self.state = State(**found.state["loop"])
        self.heart.moved(self.state.step, epoch=self._epoch())
        return True

    def replay(self, folder: Path) -> list[str]:
        """Do again what the NaN guard held back and say what is not finite; changes nothing on disk.

        Raises:
            ValueError: If `folder` holds no such evidence.
        """
        return replay_evidence(folder, method=self.method, updates=self.updates)

    def clock(self) -> dict[str, Cell]:
        """Return the first columns of a line (`tables.CLOCK`): when, which attempt, how far, how fast."""
        pace = self.heart.seconds_per_step
        return {
            "time_unix_s": round(time.time(), 3),
            "attempt": self.places.attempt,
            "step": self.state.step,
            "epoch": self._epoch(),
            "lr": self._lr(self.updates[0]),
            "samples_per_s": round(self.config.batch_samples / pace, 2) if pace else None,
        }

    def _watched(self) -> Mapping[str, float]:
        """Return what the watcher sees if it is time and it has not looked after this step."""
        watcher, step = self.watcher, self.state.step
        if watcher is None or step == self.state.watched:
            return {}
        if not is_due(step, every=watcher.every, last=self.steps):
            return {}
        self._before_measuring()
        with preserved_generators():
            return watcher.look(step)

    def _scored(self) -> Mapping[str, float]:
        self._before_measuring()
        with preserved_generators():
            return self.method.validate()

    def _before_measuring(self) -> None:
        self.guard.check()
        self.ranks.take_buffers_of_first(self.method.modules)

    def _is_over(self) -> bool:
        return self.watcher is not None and self.watcher.over

    def _lr(self, update: Update[B]) -> float:
        """Return the rate of the last step made."""
        return update.schedule.lr_at(max(self.state.step - 1, 0), self.state.history)

    def _tell(self, part: str, table: Table, row: Mapping[str, Cell]) -> None:
        if self.ranks.first:
            with preserved_generators():
                table.append(row)
                self.trackers.scalars(self.state.step, row, part=part)

    def _refusal(self, number: int) -> NotFiniteError:
        """Keep what made update `number` not finite, and return what to say about it."""
        step, k = divmod(number, len(self.updates))
        update = self.updates[k]
        if self.ranks.first:
            keep_evidence(
                self.places.nan,
                method=self.method,
                part=update.part.name,
                step=step,
                draws=self._draws_of_all(step),
                state={
                    "generators": self.guard.generators_before(number),
                    "scaler": update.scaler.state_dict(),
                },
                command=self.places.command,
            )
        return NotFiniteError(
            f"Loss or gradient is not finite at step {step + 1} of {self.steps} (part {update.part.name}"
            f"{update.said_of_skips()}). The batch and the weights before it are in {self.places.nan}. "
            "A lower training.optimiser.lr is the usual cure; about.json there has a command that shows more."
        )

    def _stored(self) -> dict[str, Any]:
        return {
            "loop": self.state.stored(),
            "parts": {update.part.name: update.state() for update in self.updates},
            "followers": {name: dict(f.state_dict()) for name, f in self.followers.items()},
            "running": self.running.state(),
            "generators": self.ranks.gathered(generators()),
        }

    def _take_generators(self, states: list[Mapping[str, Any]]) -> None:
        if len(states) != self.ranks.world:
            self.heart.say(
                f"Warning: `last` is from {len(states)} processes, now there are {self.ranks.world}: batches "
                "stay the same, what the network draws itself (dropout) does not."
            )
        if self.ranks.rank < len(states):
            restore_generators(states[self.ranks.rank])

    def _draws(self, step: int) -> list[range]:
        """Return the micro-batches of this process."""
        batch = self.config.batch_samples
        mine = self.ranks.share(range(step * batch, (step + 1) * batch))
        return pieces(mine, count=self.config.accumulate)

    def _draws_of_all(self, step: int) -> list[range]:
        batch = self.config.batch_samples
        shares = pieces(range(step * batch, (step + 1) * batch), count=self.ranks.world)
        return [piece for share in shares for piece in pieces(share, count=self.config.accumulate)]

    def _epoch(self) -> int:
        return self.state.step * self.config.batch_samples // self.method.samples
