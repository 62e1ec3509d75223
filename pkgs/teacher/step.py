"""What makes the teacher a teacher: w L_T(x, y~, y) + (1 - w) L_T(x, y, y), y~ the truth falsified.

With `falsify.kind: objects` L_T(x, m, y) alone, m the label with wrong objects in 8 of 10 draws, else y.

Order of samples, draws and changes of the images are those of the students of the same seed.
"""

# ruff: noqa: N815 - tensors end in their axes, fields too
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
from pkgs.errormap.corruption import FixedCorruption, MaskDraws, corrupted, draw_corruption
from pkgs.errormap.loss import MixedLoss, MixedSums
from pkgs.models.error_teacher import ErrorTeacher
from pkgs.teacher import validation
from pkgs.teacher.config import PretrainingConfig
from pkgs.training.compiling import compiled
from pkgs.training.feed import pieces
from pkgs.training.method import StepLoss, TrainedPart
from pkgs.training.ranks import Ranks
from pkgs.training.replicas import lay_channels_last


@dataclass(frozen=True, slots=True)
class Shown:
    """Samples, and once they are prepared, the falsified masks and how all was changed."""

    samples: Batch
    mask_B1HW: Tensor | None = None
    changes: tuple[AugmentationDraws, MaskDraws] | None = None


@final
class Pretraining:
    """An error teacher that learns from falsified masks of labelled images."""

    def __init__(  # noqa: PLR0913 - all by name
        self,
        teacher: ErrorTeacher,
        config: PretrainingConfig,
        *,
        seed: int,
        train: Part,
        loader: Loader,
        val: Part,
        ranks: Ranks,
        check: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self.teacher, self.config, self.seed = teacher, config, seed
        self.train, self.loader, self.val = train, loader, val
        self.ranks, self.check = ranks, check
        self.val_masks = FixedCorruption(
            val, seed=config.data.split.seed, compat=config.compat, falsify=config.falsify
        )
        self.mixed = _placed(teacher, config, ranks=ranks, say=say)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"teacher": self.teacher}

    @property
    def parts(self) -> Sequence[TrainedPart[Shown]]:
        training = self.config.training
        return [TrainedPart("teacher", ("teacher",), training.optimiser, training.schedule, self.loss)]

    @property
    def samples(self) -> int:
        return self.loader.samples

    def fetch(self, draws: range, /) -> Shown:
        return Shown(self.train.fetched(self.loader.fetch(draws)))

    def prepare(self, batch: Shown, /, *, draws: range) -> Shown:
        config, first, count, compat = self.config, draws.start, len(draws), self.config.compat
        moves = draw(
            config.augment, self.seed, first=first, batch=count,
            reference=compat.reference_augment, cycle=compat.rng_cycle,
        )  # fmt: skip
        samples = augment(batch.samples.to(self.ranks.device), moves, reference=compat.reference_augment)
        height, width = samples.label_BHW.shape[1:]
        falsified = draw_corruption(
            self.seed, first=first, batch=count, sides=(height, width), compat=compat, falsify=config.falsify
        )
        return Shown(samples, corrupted(samples, falsified), (moves, falsified))

    def loss(self, batch: Shown) -> StepLoss:
        samples = batch.samples
        sums: MixedSums = self.mixed(samples.image_BCHW, batch.mask_B1HW, samples.label_BHW)
        scalars = {"teacher_pred": (sums.predicted, sums.weight)}
        if both_kinds(self.config):
            scalars["teacher_gt"] = (sums.true, sums.weight)
        return StepLoss(sums.total, sums.weight, scalars)

    def evidence(self, batch: Shown, /) -> Mapping[str, Tensor]:
        kept = {"image_BCHW": batch.samples.image_BCHW, "label_BHW": batch.samples.label_BHW}
        if batch.mask_B1HW is None or batch.changes is None:
            return kept
        moves, falsified = batch.changes
        drawn = {f"corruption.{name}": value for name, value in dump(falsified).items()}
        return {**kept, "mask_B1HW": batch.mask_B1HW, **dump(moves), **drawn}

    def validate(self) -> Mapping[str, float]:
        """Return the scores on val; each process measures its neighbours of the images."""
        mine = pieces(range(len(self.val)), count=self.ranks.world)[self.ranks.rank]
        found = self.measured(self.val.between(mine), self.val_masks)
        whole = validation.merged(self.ranks.gathered(found))
        config = self.config
        return validation.scores(validation.pooled(whole), config=config.teacher, compat=config.compat)

    def measured(self, part: Part, masks: FixedCorruption) -> validation.BySource:
        """Return how far the teacher is off on some images, by source."""
        config = self.config
        return validation.measured(
            self.teacher,
            part,
            corrupted=masks,
            config=config.teacher,
            compat=config.compat,
            batch=config.training.batch_samples,
            check=self.check,
        )


def both_kinds(config: PretrainingConfig) -> bool:
    """Say whether every image is shown with a falsified mask and with the true one; `objects` draws which."""
    return config.falsify.kind == "sound"


def _placed(
    teacher: ErrorTeacher, config: PretrainingConfig, *, ranks: Ranks, say: Callable[[str], None]
) -> nn.Module:
    """Return teacher and loss as they run: laid out, compiled, on one device or on all visible GPUs."""
    if config.training.channels_last:
        lay_channels_last(teacher)
    if ranks.replicas:
        return nn.DataParallel(MixedLoss(teacher, config.teacher, config.compat, both=both_kinds(config)))
    fast = compiled(teacher, config.training.compile, device=ranks.device, say=say)
    return MixedLoss(fast, config.teacher, config.compat, both=both_kinds(config))
