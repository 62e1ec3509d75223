"""The exploitation monitor: at a cadence of its own, what the teachers believe beside what is true.

It looks at a few images of val and of the pool, the same ones in all seeds and conditions, draws no random
number, and changes nothing of the training but its end, if that is wished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pkgs.data.draws import order
from pkgs.data.pool import Pool
from pkgs.data.samples import Part
from pkgs.ensemble.committee import Committee
from pkgs.ensemble.evaluation import judging
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.loss import shown_mask
from pkgs.foundation.files import write_json
from pkgs.losses.error_map import error_share
from pkgs.losses.loss_sum import IGNORE
from pkgs.models.error_teacher import ErrorPrediction
from pkgs.student.alarm import IN_ROW, Check, is_exploited, sentence
from pkgs.student.expansion_config import ExpansionConfig
from pkgs.student.pool_step import opened, opinion
from pkgs.training.feed import pieces
from pkgs.training.ranks import Ranks
from pkgs.training.replicas import in_float32

POOL_COLUMNS: Final = (
    *("pool_predicted_error", "pool_real_error", "pool_foreground", "moved", "gated", "disagreement"),
)
COLUMNS: Final = ("predicted_error", "real_error", "error_gap", *POOL_COLUMNS)
"""What it adds to val.csv; a quantity that cannot be known stays empty."""
UNIT: Final = 2**24
"""Sums are whole numbers of this fraction: no number of processes changes a bit of them."""
LARGEST: Final = 2.0**16
"""Raw numbers beyond it (D5) are cut, so that sums stay whole."""
Places = NDArray[np.int64]
Sums = dict[str, list[int]]
"""Sum in units of 1 / UNIT, and number, by the name of the column."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The images that are looked at, by their places in val and in the pool."""

    val: Part
    val_places: Places
    pool: Pool
    pool_places: Places

    @classmethod
    def of(cls, val: Part, pool: Pool, *, count: int, seed: int) -> Watched:
        """Choose `count` images of each by `seed`, the split's: not the run's."""
        places = [
            np.sort(order(seed, 0, count=len(part))[:count].astype(np.int64)) for part in (val, pool.part)
        ]
        return cls(val, places[0], pool, places[1])


@final
class Monitor:
    """Measures, keeps what was measured, and raises the alarm; a `Watcher` and a `Follower` of the loop.

    Make it while the student has the weights it starts from: `moved` is counted from there.

    Args:
        student: From images to logits.
        committee: The teachers.
        watched: The images.
        config: Cadence, gate, combination, and what follows an alarm.
        compat: How the teachers are asked; under `unanchored_expansion` their raw number is what falls.
        ranks: The processes that share the images.
        batch: Images at once.
        file: Where alarms go, `alarms.json`.
        check: Called before each batch.
        say: Told of an alarm.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        student: nn.Module,
        committee: Committee,
        *,
        watched: Watched,
        config: ExpansionConfig,
        compat: CompatConfig,
        ranks: Ranks,
        batch: int,
        file: Path,
        check: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self.student, self.committee, self.watched = student, committee, watched
        self.config, self.compat, self.ranks, self.batch = config, compat, ranks, batch
        self.file, self.check, self.say = file, check, say
        self.checks: list[Check] = []
        """The start, and the last few."""
        self.alarms: list[dict[str, Any]] = []
        with judging(student), judging(committee):
            self._start = {places[0]: self._probability(x).cpu() for places, x in self._pool_batches()}

    @property
    def every(self) -> int:
        return self.config.monitor_every

    @property
    def over(self) -> bool:
        return self.config.on_exploit == "stop" and bool(self.alarms)

    def look(self, step: int, /) -> Mapping[str, float]:
        """Measure, raise the alarm if it is time, and return the cells of val.csv that are known.

        Looking again after the same step replaces what was seen then.
        """
        with judging(self.student), judging(self.committee):
            mine = {**self._val_sums(), **self._pool_sums()}
        sums: Sums = {}
        for share in self.ranks.gathered(mine):
            for name, pair in share.items():
                before = sums.get(name, [0, 0])
                sums[name] = [before[0] + pair[0], before[1] + pair[1]]
        cells = {name: total / UNIT / count for name, (total, count) in sums.items() if count}
        cells["error_gap"] = cells["real_error"] - cells["predicted_error"]
        self._note(Check(step, cells["predicted_error"], cells["real_error"]))
        return cells

    def update(self, happened: Tensor | None, /) -> None:
        """Take no note of single steps."""
        del happened

    def state_dict(self) -> Mapping[str, Any]:
        return {"checks": [asdict(check) for check in self.checks], "alarms": list(self.alarms)}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        self.checks = [Check(**check) for check in state["checks"]]
        self.alarms = list(state["alarms"])
        self._write()

    def _note(self, check: Check) -> None:
        earlier = [one for one in self.checks if one.step < check.step]
        self.checks = [*earlier[:1], *earlier[1:][-IN_ROW + 1 :], check]
        self.alarms = [alarm for alarm in self.alarms if alarm["step"] < check.step]
        start, later = self.checks[0], self.checks[1:]
        if not self.alarms and is_exploited(start, later):
            told = sentence(start, later, ended=self.config.on_exploit == "stop")
            self.alarms.append({"step": check.step, "name": "exploitation", "sentence": told})
            self.say(f"Warning: {told}")
        self._write()

    def _write(self) -> None:
        """Write what is known; an empty list says that somebody looked and saw nothing."""
        if self.ranks.first:
            write_json(self.file, self.alarms)

    def _val_sums(self) -> Sums:
        predicted, real = [0, 0], [0, 0]
        for places in self._shared(self.watched.val_places):
            batch = self.watched.val.batch(places).to(self.ranks.device)
            logits, probability = self._answer(batch.image_BCHW)
            seen = (batch.label_BHW != IGNORE).unsqueeze(1)
            _add(real, error_share(probability, batch.label_BHW), seen=seen)
            _add(predicted, **self._predicted(self._asked(batch.image_BCHW, logits), seen=seen))
        return {"predicted_error": predicted, "real_error": real}

    def _pool_sums(self) -> Sums:
        sums = {name: [0, 0] for name in POOL_COLUMNS}
        for places, image in self._pool_batches():
            logits, probability = self._answer(image)
            every = torch.ones_like(probability, dtype=torch.bool)
            answer = self._asked(image, logits)
            said = opinion(answer, self.config, compat=self.compat)
            moved = (probability - self._start[places[0]].to(probability)).abs()
            _add(sums["pool_predicted_error"], **self._predicted(answer, seen=every))
            _add(sums["pool_foreground"], probability >= 0.5, seen=every)
            _add(sums["moved"], moved, seen=every)
            _add(sums["gated"], opened(said, self.config), seen=every)
            if self.committee.size > 1:
                _add(sums["disagreement"], said.spread_B1HW, seen=every)
            if self.watched.pool.truth is not None:
                label = self.watched.pool.truth.batch(np.array(places)).label_BHW.to(self.ranks.device)
                seen = (label != IGNORE).unsqueeze(1)
                _add(sums["pool_real_error"], error_share(probability, label), seen=seen)
        return sums

    def _predicted(self, answer: ErrorPrediction, *, seen: Tensor) -> dict[str, Tensor]:
        """Return what the teachers predict of the student's mask, and which of it counts, for `_add`."""
        if not self.compat.unanchored_expansion:
            return {"values": opinion(answer, self.config, compat=self.compat).share_B1HW, "seen": seen}
        raw = answer.image_logits_B.mean(dim=0).clamp(-LARGEST, LARGEST)
        return {"values": raw, "seen": torch.ones_like(raw, dtype=torch.bool)}

    def _asked(self, image_BCHW: Tensor, logits_B1HW: Tensor) -> ErrorPrediction:
        """Return the answers of all teachers, with a first axis of theirs."""
        answer = self.committee(image_BCHW, shown_mask(logits_B1HW, compat=self.compat))
        return ErrorPrediction(*in_float32(answer))

    def _answer(self, image_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        logits: Tensor = in_float32(self.student(image_BCHW))
        return logits, torch.sigmoid(logits)

    def _probability(self, image_BCHW: Tensor) -> Tensor:
        return self._answer(image_BCHW)[1]

    def _pool_batches(self) -> Iterator[tuple[tuple[int, ...], Tensor]]:
        for places in self._shared(self.watched.pool_places):
            yield (
                tuple(places.tolist()),
                self.watched.pool.part.batch(places).to(self.ranks.device).image_BCHW,
            )

    def _shared(self, places: Places) -> Iterator[Places]:
        """Yield this process's places, a batch at a time."""
        mine = pieces(range(len(places)), count=self.ranks.world)[self.ranks.rank]
        for first in range(mine.start, mine.stop, self.batch):
            self.check()
            yield places[first : min(first + self.batch, mine.stop)]


def _add(sum_2: list[int], values: Tensor, *, seen: Tensor) -> None:
    """Add the seen values and their number."""
    kept = values[seen].double()
    sum_2[0] += int((kept * UNIT).round().long().sum())
    sum_2[1] += kept.numel()
