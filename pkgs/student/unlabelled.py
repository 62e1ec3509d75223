"""The unlabelled side of a student: pool, moving average, teachers and monitor, put together for a method.

The pool's order and changes are streams of their own: with and without it, labelled images are drawn alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from pkgs.data.augment import augment, draw
from pkgs.data.config import PoolConfig
from pkgs.data.pool import Pool, PoolPart, open_loader, open_pool
from pkgs.data.samples import Batch, Images
from pkgs.data.transforms.augmentation import AugmentationDraws
from pkgs.data.transforms.contract import dump
from pkgs.ensemble.committee import Committee, Form, faster_form, remembered_form
from pkgs.errormap.frozen import load_error_teacher
from pkgs.errormap.loss import shown_mask
from pkgs.foundation.seeds import Purpose
from pkgs.models.error_teacher import ErrorPrediction
from pkgs.models.output import LogitsOnly
from pkgs.models.weight_file import read_weights
from pkgs.student.method import Common
from pkgs.student.monitor import Monitor, Watched
from pkgs.student.pool_step import PoolStep, UnanchoredStep, opinion
from pkgs.training.checkpoints import load_weights
from pkgs.training.ema import Ema
from pkgs.training.generators import preserved_generators
from pkgs.training.replicas import in_float32, laid_out, spread
from pkgs.training.state import steps_in


@dataclass(frozen=True, slots=True)
class ShownImages:
    """Unlabelled images, and once they are prepared, how they were changed."""

    samples: Images
    changes: AugmentationDraws | None = None


@final
class PoolRecord:
    """A follower that refuses to go on with another pool than the run began with."""

    def __init__(self, part: PoolPart, *, root: str) -> None:
        self.root = root
        self.digest = hashlib.sha256("\n".join(part.ids).encode()).hexdigest()[:16]

    def update(self, happened: Tensor | None, /) -> None:
        del happened

    def state_dict(self) -> Mapping[str, Any]:
        return {"digest": self.digest}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Compare.

        Raises:
            ValueError: If the pool holds other images now.
        """
        if state["digest"] != self.digest:
            raise ValueError(
                f"{self.root}: the pool holds other images than when the run began (digest "
                f"{state['digest']}, now {self.digest}). Take the change back, or move the run's "
                "folder away to start anew (in Jobs.csv: status rerun)."
            )


@final
class Unlabelled:
    """What a method with unlabelled images is made of, besides its labelled side.

    Made before a resume, while the student has the weights it starts from.

    Raises:
        ValueError: If pool, start or teachers cannot be used.
    """

    def __init__(self, common: Common) -> None:
        config, self.ranks, self.seed = common.config, common.ranks, common.seed
        self.config, self.expansion, self.compat = config, config.expansion, config.compat
        self.network = common.network
        if self.expansion.start:
            start = config.starting_points["student"].file
            load_weights(self.network, read_weights(start), where=str(start))
        self.pool = _pool_of(common)
        self.record = PoolRecord(self.pool.part, root=_pool_config(common).root)
        self.steps = steps_in(config.training.length, config=config.training, samples=common.loader.samples)
        self.loader = open_loader(
            self.pool.part,
            config=_pool_config(common),
            seed=self.seed,
            draws=self.steps * config.training.batch_samples,
            bad_file=None,
        )
        self.committee = _committee_of(common)
        self.average = Ema(self.network, decay=self.expansion.ema_decay, warm_up=not self.expansion.start)
        self.step = self._step(common)
        self.monitor = Monitor(
            LogitsOnly(self.network),
            self.committee,
            watched=Watched.of(
                common.val, self.pool, count=self.expansion.monitor_images, seed=config.data.split.seed
            ),
            config=self.expansion,
            compat=self.compat,
            ranks=self.ranks,
            batch=config.training.batch_samples,
            file=common.arguments.folder.alarms,
            check=common.check,
            say=common.say,
        )

    def fetch(self, draws: range) -> ShownImages:
        """Return the pool's images of these draws, on the host."""
        return ShownImages(self.pool.part.fetched(self.loader.fetch(draws)))

    def prepare(self, batch: ShownImages, *, draws: range) -> ShownImages:
        """Return them on the device, changed at random as labelled ones are, by draws of their own."""
        changes = draw(
            self.config.augment,
            self.seed,
            first=draws.start,
            batch=len(draws),
            purpose=Purpose.POOL,
            reference=self.compat.reference_augment,
            cycle=self.compat.rng_cycle,
        )
        images = augment(
            batch.samples.to(self.ranks.device), changes, reference=self.compat.reference_augment
        )
        return ShownImages(images, changes)

    def predicted_error(self, samples: Batch, probability_B1HW: Tensor) -> Tensor:
        """Return r of the teachers together [B, 1, H, W], at most 1."""
        mask = probability_B1HW.logit(eps=1e-6)
        answer = ErrorPrediction(
            *in_float32(self.committee(samples.image_BCHW, shown_mask(mask, compat=self.compat)))
        )
        return opinion(answer, self.expansion, compat=self.compat).share_B1HW.clamp(0, 1)

    def _step(self, common: Common) -> nn.Module:
        student = laid_out(
            LogitsOnly(self.network), config=self.config.training, ranks=self.ranks, say=common.say
        )
        step: nn.Module
        if self.compat.unanchored_expansion:
            step = UnanchoredStep(student, self.committee, compat=self.compat)
        else:
            asked = self.committee if self.expansion.teacher_weight else None
            average = LogitsOnly(self.average.module)
            step = PoolStep(student, average, asked, config=self.expansion, compat=self.compat)
        return spread(step, ranks=self.ranks)


def evidence_of(batch: ShownImages | None) -> dict[str, Tensor]:
    """Return what to keep of a batch whose loss was not finite."""
    if batch is None:
        return {}
    drawn = {} if batch.changes is None else dump(batch.changes)
    return {"pool_image_B1HW": batch.samples.image_BCHW, **{f"pool_{k}": v for k, v in drawn.items()}}


def _pool_of(common: Common) -> Pool:
    config = common.config
    with common.ranks.first_goes_first():  # the first makes the cache
        pool = open_pool(
            _pool_config(common),
            entries=common.inputs.entries,
            data=config.data,
            device=common.device,
            keep_overlap=config.compat.pool_overlap,
            tick=common.check,
            say=common.say,
        )
    if not config.training.short_training:
        return pool
    few = range(config.training.batch_samples)
    truth = None if pool.truth is None else pool.truth.between(few)
    return Pool(pool.part.between(few), pool.dropped, truth)


def _pool_config(common: Common) -> PoolConfig:
    assert common.config.pool is not None  # the configuration says so
    return common.config.pool


def _committee_of(common: Common) -> Committee:
    """Load the teachers, and choose how they are asked: once, before the first step."""
    config = common.config
    teachers = [
        load_error_teacher(point.run, name=config.teacher.model.name, size_px=config.data.size_px)[0].to(
            common.device
        )
        for name, point in config.starting_points.items()
        if name != "student"
    ]
    return Committee(teachers, form=_form(common, teachers))


def _form(common: Common, teachers: Sequence[nn.Module]) -> Form:
    config = common.config
    if config.expansion.form != "auto":
        return config.expansion.form
    if len(teachers) == 1 or common.ranks.replicas:  # threads cannot share stacked weights
        return "loop"
    side, batch = config.data.size_px, config.training.batch_samples
    image = torch.full((batch, 1, side, side), 0.5, device=common.device)
    backward = config.expansion.signal == "through" or config.compat.unanchored_expansion

    def choose() -> tuple[Form, dict[str, float]]:
        with preserved_generators():
            form, seconds = faster_form(teachers, (image, image), backward=backward)
        told = ", ".join(f"{name} {taken * 1e3:.0f} ms" for name, taken in seconds.items())
        common.say(f"Committee of {len(teachers)}: {form} ({told} a batch); the run keeps to it.")
        return form, seconds

    with common.ranks.first_goes_first():
        return remembered_form(common.arguments.folder.committee, choose)[0]
