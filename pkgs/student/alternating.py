"""What makes an alternating expansion: rounds on unlabelled images, then as many steps on labelled ones.

A new student; one optimiser through all rounds. Its labelled steps see the images of the baseline in the
baseline's order, as if the unlabelled ones were not there.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from pkgs.student.expansion import Pair, WithPool, labelled_loss, pool_loss, unanchored_loss
from pkgs.student.method import Common
from pkgs.student.pool_step import PoolSums, without_gradient
from pkgs.training.method import StepLoss


@final
class Alternating(WithPool):
    """Half of the steps on labelled images, half on unlabelled ones, `round_steps` at a time."""

    def fetch(self, draws: range, /) -> Pair:
        unlabelled, own = self._place(draws)
        return Pair(None, self.unlabelled.fetch(own)) if unlabelled else Pair(self.labelled.fetch(own), None)

    def prepare(self, batch: Pair, /, *, draws: range) -> Pair:
        _, own = self._place(draws)
        if batch.unlabelled is None:
            assert batch.labelled is not None
            return Pair(self.labelled.prepare(batch.labelled, draws=own), None)
        return Pair(None, self.unlabelled.prepare(batch.unlabelled, draws=own), self.teacher_weight(draws))

    def loss(self, batch: Pair) -> StepLoss:
        if batch.unlabelled is None:
            assert batch.labelled is not None
            return labelled_loss(self.labelled.loss(batch.labelled), config=self.expansion)
        image = batch.unlabelled.samples.image_BCHW
        if self.config.compat.unanchored_expansion:
            return unanchored_loss(*self.unlabelled.step(image))
        if not self.config.compat.committee_no_grad:
            return self._pool_loss(image, batch.teacher_weight)
        with torch.no_grad():  # D7 in this condition: the whole pass, and on half of the batch
            lost = self._pool_loss(image[: max(1, len(image) // 2)], batch.teacher_weight)
        return StepLoss(without_gradient(lost.total), lost.weight, lost.scalars)

    def _pool_loss(self, image_BCHW: Tensor, teacher_weight: float) -> StepLoss:
        sums: PoolSums = self.unlabelled.step(image_BCHW)
        return pool_loss(sums, config=self.expansion, teacher_weight=teacher_weight)

    def _place(self, draws: range) -> tuple[bool, range]:
        """Return whether the step of these draws is unlabelled, and its draws counted within its kind."""
        return place(draws, batch=self.batch_samples, round_steps=self.expansion.round_steps)


def place(draws: range, *, batch: int, round_steps: int) -> tuple[bool, range]:
    """Return whether a step is unlabelled, and its draws counted within its kind.

    Args:
        draws: Of the step or a part of it, counted over all steps.
        batch: Samples of a step.
        round_steps: Steps on unlabelled images before as many on labelled ones.
    """
    step, within = divmod(draws.start, batch)
    number, inside = divmod(step, 2 * round_steps)
    own = (number * round_steps + inside % round_steps) * batch + within
    return inside < round_steps, range(own, own + len(draws))


def build(common: Common) -> Alternating:
    """Return the method `alternating`."""
    return Alternating(common)
