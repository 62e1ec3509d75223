"""What makes an expansion: labelled and unlabelled images in one step, bounds and an anchor on what is new.

    loss = ls s + lT(step) P(x_u) + lc mean (p - p_ema)^2,    s = mean BCE(z, y)

lT rises over the first steps. With lT = 0 it is the control `continued`: the same steps, the same images, the
same draws, no teacher. `pool_step` has P.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor, nn

from pkgs.data.samples import Batch
from pkgs.ensemble.columns import TRAIN_COLUMNS, VAL_COLUMNS
from pkgs.losses.loss_sum import LossSum
from pkgs.student import monitor
from pkgs.student.expansion_config import ExpansionConfig
from pkgs.student.method import Common, StudentMethod
from pkgs.student.pool_step import PoolSums, ramp, without_gradient
from pkgs.student.step import Shown, Student
from pkgs.student.unlabelled import ShownImages, Unlabelled, evidence_of
from pkgs.training.ema import Ema
from pkgs.training.loop import Follower
from pkgs.training.method import StepLoss, TrainedPart

SCALARS: Final = ("s", "P", "consistency", "gated", "lambda_t")


@dataclass(frozen=True, slots=True)
class Pair:
    """Labelled and unlabelled images of a step, and the weight of the teachers' term in it."""

    labelled: Shown | None
    unlabelled: ShownImages | None
    teacher_weight: float = 0.0


class WithPool(StudentMethod[Pair]):
    """What methods with unlabelled images share. A step's half that it does not use is None."""

    def __init__(self, common: Common) -> None:
        self.network, self.config, self.expansion = common.network, common.config, common.config.expansion
        self.unlabelled = Unlabelled(common)  # first: it loads the start
        self.labelled = Student(common)
        self.batch_samples = common.config.training.batch_samples

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"student": self.network}

    @property
    def parts(self) -> Sequence[TrainedPart[Pair]]:
        training = self.config.training
        return [TrainedPart("student", ("student",), training.optimiser, training.schedule, self.loss)]

    @property
    def samples(self) -> int:
        return self.labelled.samples

    @property
    def average(self) -> Ema:
        return self.unlabelled.average

    @property
    def watcher(self) -> monitor.Monitor:
        return self.unlabelled.monitor

    @property
    def followers(self) -> Mapping[str, Follower]:
        return {"monitor": self.unlabelled.monitor, "pool": self.unlabelled.record}

    @property
    def train_columns(self) -> Sequence[str]:
        return (*TRAIN_COLUMNS, *SCALARS)

    @property
    def val_columns(self) -> Sequence[str]:
        return (*VAL_COLUMNS, *monitor.COLUMNS)

    def validate(self) -> Mapping[str, float]:
        return self.labelled.validate()

    def evidence(self, batch: Pair, /) -> Mapping[str, Tensor]:
        kept = {} if batch.labelled is None else self.labelled.evidence(batch.labelled)
        return {**kept, **evidence_of(batch.unlabelled)}

    def predicted_error(self, samples: Batch, probability_B1HW: Tensor) -> Tensor:
        return self.unlabelled.predicted_error(samples, probability_B1HW)

    def close(self) -> None:
        self.unlabelled.loader.close()

    def teacher_weight(self, draws: range) -> float:
        """Return lT of the step that these draws belong to."""
        step = draws.start // self.batch_samples
        share = self.expansion.ramp
        return self.expansion.teacher_weight * ramp(step, steps=self.unlabelled.steps, share=share)

    def loss(self, batch: Pair) -> StepLoss:
        raise NotImplementedError


@final
class Expansion(WithPool):
    """A labelled and an unlabelled batch in each step; D5 uses the unlabelled one alone."""

    def fetch(self, draws: range, /) -> Pair:
        labelled = None if self.config.compat.unanchored_expansion else self.labelled.fetch(draws)
        return Pair(labelled, self.unlabelled.fetch(draws))

    def prepare(self, batch: Pair, /, *, draws: range) -> Pair:
        assert batch.unlabelled is not None
        return Pair(
            None if batch.labelled is None else self.labelled.prepare(batch.labelled, draws=draws),
            self.unlabelled.prepare(batch.unlabelled, draws=draws),
            self.teacher_weight(draws),
        )

    def loss(self, batch: Pair) -> StepLoss:
        assert batch.unlabelled is not None
        image = batch.unlabelled.samples.image_BCHW
        if batch.labelled is None:
            total, weight = self.unlabelled.step(image)
            return unanchored_loss(total, weight)
        s = self.labelled.loss(batch.labelled)
        pool = self.unlabelled.step(image)
        return whole_loss(
            LossSum(s.total.sum(), s.weight.sum()),
            pool,
            config=self.expansion,
            teacher_weight=batch.teacher_weight,
        )


def build(common: Common) -> Expansion:
    """Return the method `expansion`."""
    return Expansion(common)


def whole_loss(s: LossSum, pool: PoolSums, *, config: ExpansionConfig, teacher_weight: float) -> StepLoss:
    """Return ls s + lT P + lc C of a batch.

    The weight is that of s, its seen pixels: over micro-batches and processes s is exact, and P and C, whose
    pixels are all seen, are weighted alike.

    Args:
        s: Sum over the seen pixels of the labelled batch, and their number.
        pool: Sums over the unlabelled batch.
        config: Weights.
        teacher_weight: lT of this step.
    """
    signal, consistency, pixels = pool.signal.sum(), pool.consistency.sum(), pool.pixels.sum()
    new = (teacher_weight * signal + config.consistency_weight * consistency) / pixels
    return StepLoss(
        config.labelled_weight * s.total + new * s.weight,
        s.weight,
        _scalars(s, pool, teacher_weight=teacher_weight),
    )


def pool_loss(pool: PoolSums, *, config: ExpansionConfig, teacher_weight: float) -> StepLoss:
    """Return lT P + lc C alone."""
    signal, consistency, pixels = pool.signal.sum(), pool.consistency.sum(), pool.pixels.sum()
    none = LossSum(torch.zeros_like(pixels), torch.zeros_like(pixels))
    return StepLoss(
        teacher_weight * signal + config.consistency_weight * consistency,
        pixels,
        _scalars(none, pool, teacher_weight=teacher_weight),
    )


def labelled_loss(s: StepLoss, *, config: ExpansionConfig) -> StepLoss:
    """Return ls s alone, with the scalars of a whole step."""
    total, weight = s.total.sum(), s.weight.sum()
    none = torch.zeros_like(weight)
    scalars = _scalars(LossSum(total, weight), PoolSums(none, none, none, none), teacher_weight=None)
    return StepLoss(config.labelled_weight * total, weight, scalars)


def unanchored_loss(total: Tensor, weight: Tensor) -> StepLoss:
    """Return mean T, of teachers that were perhaps asked without gradient."""
    none = torch.zeros_like(weight)
    scalars = _scalars(LossSum(none, none), PoolSums(total, none, none, weight), teacher_weight=1.0)
    return StepLoss(total if total.requires_grad else without_gradient(total), weight, scalars)


def _scalars(s: LossSum, pool: PoolSums, *, teacher_weight: float | None) -> dict[str, tuple[Tensor, Tensor]]:
    """Return what train.csv tells of a step; None: the teachers had no part in it."""
    one = torch.ones_like(s.weight)
    told = one * 0 if teacher_weight is None else one
    return {
        "s": (s.total, s.weight),
        "P": (pool.signal, pool.pixels),
        "consistency": (pool.consistency, pool.pixels),
        "gated": (pool.opened, pool.pixels),
        "lambda_t": (told * (teacher_weight or 0.0), told),
    }
