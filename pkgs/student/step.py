"""What makes the student a student: s = mean BCE(z, y) on labelled images, changed at random.

All conditions of one seed share initial weights, order of samples and draws; `no_augment` only leaves the
changes out. What compares conditions afterwards stands in `evaluation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from pkgs.data.augment import augment, draw
from pkgs.data.samples import Batch
from pkgs.data.transforms.augmentation import AugmentationDraws
from pkgs.data.transforms.contract import dump
from pkgs.ensemble.evaluation import PerSource, evaluate
from pkgs.losses.segmentation import bce_sum
from pkgs.models.output import LogitsOnly
from pkgs.student.common import Common, StudentMethod
from pkgs.training.feed import pieces
from pkgs.training.method import StepLoss, TrainedPart
from pkgs.training.metrics import PixelSums, merged
from pkgs.training.replicas import placed


@dataclass(frozen=True, slots=True)
class Shown:
    """Samples, and once they are prepared, how they were changed."""

    samples: Batch
    changes: AugmentationDraws | None = None


@final
class Student(StudentMethod[Shown]):
    """A segmentation network that learns from labelled images alone."""

    def __init__(self, common: Common) -> None:
        self.network, self.config, self.seed = common.network, common.config, common.seed
        self.train, self.val, self.ranks, self.check = common.loader, common.val, common.ranks, common.check
        self.replica = placed(
            LogitsOnly(self.network), bce_sum, config=self.config.training, ranks=self.ranks, say=common.say
        )

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"student": self.network}

    @property
    def parts(self) -> Sequence[TrainedPart[Shown]]:
        training = self.config.training
        return [TrainedPart("student", ("student",), training.optimiser, training.schedule, self.loss)]

    @property
    def samples(self) -> int:
        return self.train.samples

    def fetch(self, draws: range, /) -> Shown:
        fetched = self.train.fetch(draws)
        return Shown(Batch(fetched.arrays["image"], fetched.arrays["label"], fetched.ids))

    def prepare(self, batch: Shown, /, *, draws: range) -> Shown:
        changes = draw(self.config.augment, self.seed, first=draws.start, batch=len(draws))
        return Shown(augment(batch.samples.to(self.ranks.device), changes), changes)

    def loss(self, batch: Shown) -> StepLoss:
        total, weight = self.replica(batch.samples.image_B1HW, batch.samples.label_BHW)
        return StepLoss(total, weight)

    def evidence(self, batch: Shown, /) -> Mapping[str, Tensor]:
        drawn = {} if batch.changes is None else dump(batch.changes)
        return {"image_B1HW": batch.samples.image_B1HW, "label_BHW": batch.samples.label_BHW, **drawn}

    def validate(self) -> Mapping[str, float]:
        """Return the pooled scores on val; each process measures its neighbours of the images."""
        mine = pieces(range(len(self.val)), count=self.ranks.world)[self.ranks.rank]
        size = self.config.training.batch_samples
        per_source = evaluate(self.network, self.val.between(mine), batch=size, check=self.check)
        return merged(summed(self.ranks.gathered(per_source)).values()).scores()


def build(common: Common) -> Student:
    """Return the method `supervised`."""
    return Student(common)


def summed(shares: Sequence[PerSource]) -> PerSource:
    """Return the sums of every source over all shares."""
    whole: PerSource = {}
    for share in shares:
        for source, sums in share.items():
            whole[source] = whole.get(source, PixelSums()) + sums
    return whole
