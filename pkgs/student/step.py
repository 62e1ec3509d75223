"""What makes the student a student: s = mean BCE(z, y) on labelled images, changed at random.

All conditions of one seed share initial weights, order of samples and draws; `no_augment` only leaves the
changes out. What compares conditions afterwards stands in `evaluation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from pkgs.data.augment import augment, draw
from pkgs.data.cache.loader import Loader
from pkgs.data.samples import Batch, Part
from pkgs.data.transforms.augmentation import AugmentationDraws
from pkgs.data.transforms.contract import dump
from pkgs.ensemble.evaluation import PerSource, evaluate
from pkgs.losses.segmentation import bce_sum
from pkgs.models.output import LogitsOnly
from pkgs.student.config import StudentConfig
from pkgs.training.feed import pieces
from pkgs.training.method import StepLoss, TrainedPart
from pkgs.training.metrics import PixelSums, merged
from pkgs.training.ranks import Ranks
from pkgs.training.replicas import placed


@dataclass(frozen=True, slots=True)
class Shown:
    """Samples, and once they are prepared, how they were changed."""

    samples: Batch
    changes: AugmentationDraws | None = None


@final
class Student:
    """A segmentation network that learns from labelled images alone."""

    def __init__(  # noqa: PLR0913 - all by name
        self,
        network: nn.Module,
        config: StudentConfig,
        *,
        seed: int,
        train: Loader,
        val: Part,
        ranks: Ranks,
        check: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self.network, self.config, self.seed = network, config, seed
        self.train, self.val, self.ranks, self.check = train, val, ranks, check
        self.replica = placed(LogitsOnly(network), bce_sum, config=config.training, ranks=ranks, say=say)

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


def summed(shares: Sequence[PerSource]) -> PerSource:
    """Return the sums of every source over all shares."""
    whole: PerSource = {}
    for share in shares:
        for source, sums in share.items():
            whole[source] = whole.get(source, PixelSums()) + sums
    return whole
