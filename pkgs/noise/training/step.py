"""What makes a network one of this study: w D + (1 - w) L on labels of which some are wrong.

`student`: w above 0 and a frozen teacher of clean labels, whose features are the anchor. `supervised`: w = 0,
the control. `teacher`: w = 0 on clean labels. All three share initial weights, order of samples and draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from torch import Tensor, nn

from pkgs.data.augment import augment, draw
from pkgs.data.cache.loader import Loader
from pkgs.data.samples import Batch
from pkgs.data.transforms.augmentation import AugmentationDraws
from pkgs.data.transforms.contract import dump
from pkgs.noise.config import NoiseConfig
from pkgs.noise.training.distillation import Frozen, TaughtLoss, TaughtSums
from pkgs.noise.training.losses import label_loss
from pkgs.noise.training.stopping import JUDGED, EarlyStop
from pkgs.noise.training.validation import Validation
from pkgs.training.feed import pieces
from pkgs.training.method import StepLoss, TrainedPart
from pkgs.training.ranks import Ranks
from pkgs.training.replicas import laid_out, spread
from pkgs.training.tables import CLOCK

TAUGHT: Final = "distillation"
"""Name of D in train.csv; L bears the name of its loss."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Samples, and once they are prepared, how they were changed."""

    samples: Batch
    changes: AugmentationDraws | None = None


@final
class NoiseStudent:
    """A `training.method.Method`: a network, and a teacher that is neither trained nor saved.

    Args:
        network: Trained; on its device.
        teacher: Its anchor, None without one; on the same device.
        config: All settings.
        seed: Of the run.
        loader: Of the training patches; closed by whoever made it.
        validation: Of val.
        stop: Counts bad validations as the reference did; None: the loop's own patience alone.
        ranks: The processes that share each step.
        say: Told of what cannot be compiled.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        network: nn.Module,
        teacher: nn.Module | None,
        config: NoiseConfig,
        *,
        seed: int,
        loader: Loader,
        validation: Validation,
        stop: EarlyStop | None,
        ranks: Ranks,
        say: Callable[[str], None],
    ) -> None:
        self.network, self.config, self.seed, self.loader = network, config, seed, loader
        self.validation, self.stop, self.ranks = validation, stop, ranks
        training = config.training

        def placed(each: nn.Module) -> nn.Module:
            return laid_out(each, config=training, ranks=ranks, say=say)

        taught = TaughtLoss(
            placed(network),
            Frozen(placed(teacher)) if teacher is not None else None,
            label_loss=label_loss(config.loss, config.compat),
            loss=config.loss,
            config=config.distillation,
        )
        self.replica = spread(taught, ranks=ranks)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"student": self.network}

    @property
    def parts(self) -> Sequence[TrainedPart[Shown]]:
        training = self.config.training
        return [TrainedPart("student", ("student",), training.optimiser, training.schedule, self.loss)]

    @property
    def samples(self) -> int:
        return self.loader.samples

    @property
    def train_columns(self) -> Sequence[str]:
        """Columns of train.csv."""
        return (*CLOCK, "loss", "grad_norm", self.config.loss.name, TAUGHT)

    @property
    def val_columns(self) -> Sequence[str]:
        """Columns of val.csv."""
        return (*self.validation.columns, *((JUDGED,) if self.stop is not None else ()))

    def fetch(self, draws: range, /) -> Shown:
        fetched = self.loader.fetch(draws)
        return Shown(Batch(fetched.arrays["image"], fetched.arrays["label"], fetched.ids))

    def prepare(self, batch: Shown, /, *, draws: range) -> Shown:
        changes = draw(self.config.augment, self.seed, first=draws.start, batch=len(draws))
        return Shown(augment(batch.samples.to(self.ranks.device), changes), changes)

    def loss(self, batch: Shown) -> StepLoss:
        sums: TaughtSums = self.replica(batch.samples.image_BCHW, batch.samples.label_BHW)
        told = {self.config.loss.name: (sums.label, sums.weight), TAUGHT: (sums.taught, sums.weight)}
        return StepLoss(sums.total, sums.weight, told)

    def evidence(self, batch: Shown, /) -> Mapping[str, Tensor]:
        drawn = {} if batch.changes is None else dump(batch.changes)
        return {"image_BCHW": batch.samples.image_BCHW, "label_BHW": batch.samples.label_BHW, **drawn}

    def validate(self) -> Mapping[str, float]:
        """Return the scores on val; each process measures its neighbours of the patches."""
        mine = pieces(range(len(self.validation.val)), count=self.ranks.world)[self.ranks.rank]
        scores = dict(self.validation.scores(self.network, mine=mine, ranks=self.ranks))
        if self.stop is not None:
            scores[JUDGED] = self.stop.judged(scores[self.stop.best_config.metric])
        return scores
