"""What makes the student a student: s = mean BCE(z, y) on labelled images, changed at random.

All conditions of one seed share initial weights, order of samples and draws; `no_augment` only leaves the
changes out. What compares conditions afterwards stands in `evaluation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

import torch
from torch import Tensor, nn

from pkgs.data.augment import augment, draw
from pkgs.data.draws import draw_indices
from pkgs.data.samples import Batch, Part
from pkgs.losses.segmentation import bce_sum
from pkgs.models.output import LogitsOnly
from pkgs.student.config import StudentConfig
from pkgs.student.evaluation import evaluate
from pkgs.training.loop import StepLoss
from pkgs.training.metrics import merged
from pkgs.training.replicas import Replica, spread


@final
class Student:
    """A segmentation network that learns from labelled images alone."""

    def __init__(  # noqa: PLR0913 - all by name
        self,
        network: nn.Module,
        config: StudentConfig,
        *,
        seed: int,
        train: Part,
        val: Part,
        device: torch.device,
        check: Callable[[], None],
    ) -> None:
        self.network, self.config, self.seed = network, config, seed
        self.train, self.val, self.device, self.check = train, val, device, check
        self.replica = spread(Replica(LogitsOnly(network), bce_sum), device)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"student": self.network}

    @property
    def samples(self) -> int:
        return len(self.train)

    def batch(self, step: int) -> Batch:
        """Return the batch of `step`: a function of the seed and the number of the draw, nothing else."""
        size = self.config.training.batch_samples
        indices = draw_indices(self.seed, step * size, batch=size, count=len(self.train))
        changes = draw(self.config.augment, self.seed, first=step * size, batch=size)
        return augment(self.train.batch(indices).to(self.device), changes)

    def loss(self, step: int) -> StepLoss:
        batch = self.batch(step)
        total, weight = self.replica(batch.image_B1HW, batch.label_BHW)
        return StepLoss(total, weight)

    def inputs(self, step: int) -> Mapping[str, Tensor]:
        batch = self.batch(step)
        return {"image_B1HW": batch.image_B1HW, "label_BHW": batch.label_BHW}

    def validate(self) -> Mapping[str, float]:
        size = self.config.training.batch_samples
        per_source = evaluate(self.network, self.val, batch=size, check=self.check)
        return merged(per_source.values()).scores()
