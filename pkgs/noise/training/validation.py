"""What a validation measures: the labels as they were given, and beside them the clean ones where known.

The distance of `iou_noisy` and `iou_clean` over the epochs is the memorisation curve: of unseen patches in a
fold, of patches that were trained on where all of them are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np
from torch import Tensor, nn

from pkgs.data.cache.cache import Cache
from pkgs.data.samples import Part
from pkgs.ensemble.columns import VAL_COLUMNS
from pkgs.ensemble.evaluation import batches_of, judging
from pkgs.noise.compat import LOGIT_HALF, CompatConfig
from pkgs.noise.training.losses import LabelLoss
from pkgs.training.metrics import HALF, PixelSums, measure, measure_overlap, merged
from pkgs.training.ranks import Ranks

LOSS: Final = "loss"
CURVE: Final = ("iou_noisy", "iou_clean")
"""Columns of val.csv where clean masks are known."""
BATCH_SCORES: Final = ("iou", "dice", "accuracy")
"""What the reference averaged over batches."""


@dataclass(slots=True)
class Measured:
    """What a process has measured of its share of val."""

    given: list[PixelSums] = field(default_factory=list)
    """One per image, against the labels as they were given."""
    clean: list[PixelSums] = field(default_factory=list)
    """Likewise against clean ones; only overlap."""
    loss: float = 0.0
    weight: float = 0.0
    batches: list[dict[str, float]] = field(default_factory=list)
    """Scores of each batch alone, nothing in nothing as 0."""


@final
class Validation:
    """Measures a network on val.

    Args:
        val: With the labels as they were given.
        clean: The clean ones by place, None where nobody knows them.
        label_loss: The loss of the training, without its teacher.
        batch: Images at once; decides about memory alone, unless `compat.batch_metrics`.
        compat: `logit_threshold`, `batch_metrics`.
        check: Called before each batch.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        val: Part,
        *,
        clean: Cache | None,
        label_loss: LabelLoss,
        batch: int,
        compat: CompatConfig,
        check: Callable[[], None],
    ) -> None:
        self.val, self.clean, self.label_loss = val, clean, label_loss
        self.batch, self.compat, self.check = batch, compat, check

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of val.csv."""
        return (*VAL_COLUMNS, LOSS, *(CURVE if self.clean is not None else ()))

    def scores(self, network: nn.Module, *, mine: range, ranks: Ranks) -> Mapping[str, float]:
        """Return the scores of all processes together; each measures its range of places."""
        shares: Sequence[Measured] = ranks.gathered(self._measured(network, mine))
        given = merged([sums for share in shares for sums in share.given]).scores()
        scores = {**given, LOSS: _ratio(sum(s.loss for s in shares), sum(s.weight for s in shares))}
        if self.clean is not None:
            clean = merged([sums for share in shares for sums in share.clean]).scores()
            scores |= dict(zip(CURVE, (given["iou"], clean["iou"]), strict=True))
        if self.compat.batch_metrics:
            batches = [batch for share in shares for batch in share.batches]
            scores |= {name: float(np.mean([batch[name] for batch in batches])) for name in BATCH_SCORES}
        return scores

    def _measured(self, network: nn.Module, mine: range) -> Measured:
        found = Measured()
        threshold = foreground_from(self.compat)
        with judging(network):
            for places, samples in batches_of(network, self.val.between(mine), self.batch):
                self.check()
                logits = network(samples.image_BCHW).logits.float()
                loss = self.label_loss(logits, samples.label_BHW)
                found.loss, found.weight = found.loss + float(loss.total), found.weight + float(loss.weight)
                given = measure(logits, samples.label_BHW, threshold=threshold)
                found.given += given
                found.batches.append(scores_of_batch(given))
                found.clean += self._against_clean(logits, [mine.start + place for place in places])
        return found

    def _against_clean(self, logits_B1HW: Tensor, places: Sequence[int]) -> list[PixelSums]:
        if self.clean is None:
            return []
        label_BHW = self.clean.gather(np.array(places))["label"].to(logits_B1HW.device)
        return measure_overlap(logits_B1HW[:, 0].sigmoid() >= foreground_from(self.compat), label_BHW)


def foreground_from(compat: CompatConfig) -> float:
    """Return the probability from which on a pixel is foreground."""
    return LOGIT_HALF if compat.logit_threshold else HALF


def scores_of_batch(images: Sequence[PixelSums]) -> dict[str, float]:
    """Return what the reference took of a batch: scores pooled within it, and 0 for nothing in nothing."""
    pooled = merged(images)
    scores = pooled.scores()
    nothing = pooled.tp + pooled.fp + pooled.fn == 0
    return {name: 0.0 if nothing and name != "accuracy" else scores[name] for name in BATCH_SCORES}


def _ratio(total: float, weight: float) -> float:
    return total / weight if weight else 0.0
