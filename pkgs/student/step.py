"""What makes the student a student: s = mean BCE(z, y) on labelled images, changed at random.

All conditions of one seed share initial weights, order of samples and draws; `no_augment` only leaves the
changes out, `gt_augment` shows the loss a falsified y. What compares them afterwards stands in `evaluation`.
"""

# ruff: noqa: N815 - tensors end in their axes, fields too
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from pkgs.data.augment import augment, draw
from pkgs.data.falsify import draw_published, published_label
from pkgs.data.samples import Batch
from pkgs.data.transforms.augmentation import AugmentationDraws
from pkgs.data.transforms.contract import dump
from pkgs.data.transforms.corruption import CorruptionDraws
from pkgs.ensemble.evaluation import PerSource, evaluate
from pkgs.losses.segmentation import bce_sum
from pkgs.models.output import LogitsOnly
from pkgs.student.method import Common, StudentMethod
from pkgs.training.feed import pieces
from pkgs.training.method import StepLoss, TrainedPart
from pkgs.training.metrics import PixelSums, merged
from pkgs.training.replicas import placed


@dataclass(frozen=True, slots=True)
class Shown:
    """Samples, and once they are prepared, how they were changed."""

    samples: Batch
    target_BHW: Tensor | None = None
    """What the student's loss takes for the truth; falsified in `gt_augment`."""
    changes: AugmentationDraws | None = None
    falsified: CorruptionDraws | None = None


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
        config, compat = self.config, self.config.compat
        changes = draw(
            config.augment, self.seed, first=draws.start, batch=len(draws),
            reference=compat.reference_augment, cycle=compat.rng_cycle,
        )  # fmt: skip
        samples = augment(batch.samples.to(self.ranks.device), changes, reference=compat.reference_augment)
        falsified = self._falsified(draws, sides=samples.label_BHW.shape[1:])
        target = samples.label_BHW
        if falsified is not None and not compat.gt_augment_noop:
            target = published_label(target, falsified)
        return Shown(samples, target, changes, falsified)

    def loss(self, batch: Shown) -> StepLoss:
        total, weight = self.replica(batch.samples.image_BCHW, batch.target_BHW)
        return StepLoss(total, weight, {"s": (total, weight)})

    def evidence(self, batch: Shown, /) -> Mapping[str, Tensor]:
        drawn = {} if batch.changes is None else dump(batch.changes)
        kept = {"image_BCHW": batch.samples.image_BCHW, "label_BHW": batch.samples.label_BHW, **drawn}
        if batch.falsified is None or batch.target_BHW is None:
            return kept
        spoilt = {f"falsified.{name}": tensor for name, tensor in dump(batch.falsified).items()}
        return {**kept, "target_BHW": batch.target_BHW, **spoilt}

    def validate(self) -> Mapping[str, float]:
        """Return the pooled scores on val; each process measures its neighbours of the images."""
        mine = pieces(range(len(self.val)), count=self.ranks.world)[self.ranks.rank]
        size = self.config.training.batch_samples
        per_source = evaluate(self.network, self.val.between(mine), batch=size, check=self.check)
        return merged(summed(self.ranks.gathered(per_source)).values()).scores()

    def _falsified(self, draws: range, *, sides: Sequence[int]) -> CorruptionDraws | None:
        chance = self.config.target.corrupt
        if not chance:
            return None
        height, width = sides
        return draw_published(
            self.seed, first=draws.start, batch=len(draws), sides=(height, width), p=chance,
            cycle=self.config.compat.rng_cycle,
        )  # fmt: skip


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
