"""What `joint` and `split` share: a student and an error teacher that learns beside it.

After training the teacher is brought to the scale of this student's errors (a, b of r = sigmoid(a u + b), on
val) and judged on test. What the two minimise stands in `joint` and `split`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pkgs.data.catalog import channels_of
from pkgs.data.samples import Batch
from pkgs.ensemble.columns import TRAIN_COLUMNS
from pkgs.ensemble.evaluation import judging
from pkgs.errormap.asking import MaskOf
from pkgs.errormap.corruption import FixedCorruption
from pkgs.errormap.frozen import load_teacher_weights
from pkgs.errormap.loss import MixedLoss
from pkgs.errormap.recalibration import recalibrate
from pkgs.errormap.scores import ErrorScores, judge_teacher, write
from pkgs.foundation.run_folder import RunFolder
from pkgs.models.catalog import student_of
from pkgs.models.error_teacher import ErrorTeacher, build_error_teacher
from pkgs.models.output import LogitsOnly
from pkgs.models.weight_file import read_weights
from pkgs.student.config import StudentConfig
from pkgs.student.method import Common, Judged, StudentMethod
from pkgs.student.step import Shown, Student
from pkgs.training.checkpoint_folder import Name
from pkgs.training.checkpoints import load_weights, replace_weights
from pkgs.training.method import TrainedPart
from pkgs.training.replicas import laid_out
from pkgs.training.run_state import is_finished
from pkgs.training.starting_point import StartingPoint


class WithTeacher(StudentMethod[Shown]):
    """A student that sees what `supervised` sees, and the teacher of its errors."""

    def __init__(self, common: Common) -> None:
        self.common, self.config, self.ranks = common, common.config, common.ranks
        self.student = Student(common)
        self.network = common.network
        self.teacher = teacher_of(common)
        config, ranks, say = self.config.training, self.ranks, common.say
        teacher = laid_out(self.teacher, config=config, ranks=ranks, say=say)
        self.mixed = MixedLoss(teacher, self.config.teacher, self.config.compat)
        self.logits = LogitsOnly(laid_out(self.network, config=config, ranks=ranks, say=say))
        self.scores: dict[str, tuple[int, ErrorScores]] = {}

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"student": self.network, "teacher": self.teacher}

    @property
    @abstractmethod
    def parts(self) -> Sequence[TrainedPart[Shown]]: ...

    @property
    def samples(self) -> int:
        return self.student.samples

    def fetch(self, draws: range, /) -> Shown:
        return self.student.fetch(draws)

    def prepare(self, batch: Shown, /, *, draws: range) -> Shown:
        return self.student.prepare(batch, draws=draws)

    def validate(self) -> Mapping[str, float]:
        return self.student.validate()

    def evidence(self, batch: Shown, /) -> Mapping[str, Tensor]:
        return self.student.evidence(batch)

    @property
    def train_columns(self) -> Sequence[str]:
        return (*TRAIN_COLUMNS, "teacher_pred", "teacher_gt")

    def settle(self, weights: Name, *, checkpoints: Path) -> None:
        """Recalibrate the teacher on val, with its student's soft and hard masks, and keep it so.

        A teacher that sees logits, or says a raw number, has no scale that could be brought to another.
        """
        compat = self.config.compat
        if compat.logits_to_teacher or compat.score_100:
            return
        own = mask_of(self.network)
        masks: dict[str, MaskOf] = {"soft": own, "hard": lambda samples: (own(samples) >= 0.5).float()}
        fitted = recalibrate(
            self.teacher, masks=masks, val=self.common.val, batch=self._size, check=self.common.check
        )
        told = f"on val, soft and hard masks of {weights}: a {fitted.slope:.6g}, b {fitted.offset:.6g}"
        replace_weights(checkpoints, weights, modules={"teacher": self.teacher}, about={"recalibrated": told})

    def judge(self, judged: Judged, *, folder: Path) -> None:
        """Write how well the teacher predicts errors, on masks of its student, the baseline and corrupted."""
        known = [scores for step, scores in self.scores.values() if step == judged.step]
        self.scores[judged.weights] = (judged.step, known[0] if known else self._scores(judged))
        write({name: scores for name, (_, scores) in self.scores.items()}, folder)

    def _scores(self, judged: Judged) -> ErrorScores:
        config = self.config
        return judge_teacher(
            self.teacher,
            masks={"own": mask_of(self.network), **self._other_masks(judged)},
            val=judged.val,
            test=judged.test,
            seed=config.data.split.seed,
            check=self.common.check,
            batch=self._size,
            compat=config.compat,
        )

    def predicted_error(self, samples: Batch, probability_B1HW: Tensor) -> Tensor:
        with judging(self.teacher):
            shown = probability_B1HW
            if self.config.compat.logits_to_teacher:
                shown = shown.logit(eps=1e-6)
            prediction = self.teacher(samples.image_BCHW, shown)
        share: Tensor = prediction.share_B1HW
        return share

    def _other_masks(self, judged: Judged) -> dict[str, MaskOf]:
        config = self.config
        corrupted = FixedCorruption(judged.val, judged.test, seed=config.data.split.seed)
        baseline = baseline_of(config, device=self.ranks.device)
        if baseline is not None:
            return {"baseline": mask_of(baseline), "corrupted": corrupted}
        if config.judge.baseline:
            self.common.say(
                f"Warning: judge.baseline: {config.judge.baseline} has not finished; the teacher is not "
                "judged on its masks."
            )
        return {"corrupted": corrupted}

    @property
    def _size(self) -> int:
        return self.config.training.batch_samples


def teacher_of(common: Common) -> ErrorTeacher:
    """Return the teacher on its device: with the weights that it starts from, or new ones of the seed.

    Raises:
        ValueError: If the weights are of another network or size.
    """
    config = common.config.teacher
    name, size = config.model.name, common.config.data.size_px
    channels = channels_of(common.config.data.layout)
    if not config.start:
        return build_error_teacher(
            name,
            seed=common.seed,
            size_px=size,
            image_channels=channels,
            colours=config.model.normalisation,
        ).to(common.device)
    file = StartingPoint(Path(config.start), "teacher").file
    return load_teacher_weights(file, name=name, size_px=size, image_channels=channels, seed=common.seed).to(
        common.device
    )


def mask_of(network: nn.Module) -> MaskOf:
    """Return the function from samples to the network's probabilities [B, 1, H, W]."""

    def probabilities(samples: Batch) -> Tensor:
        with judging(network):
            return torch.sigmoid(network(samples.image_BCHW).logits.float())

    return probabilities


def baseline_of(config: StudentConfig, *, device: torch.device) -> nn.Module | None:
    """Return the student of the finished run that `judge.baseline` names, None if there is none.

    Raises:
        ValueError: If it is another network.
    """
    folder = RunFolder(Path(config.judge.baseline))
    if not config.judge.baseline or not is_finished(folder):
        return None
    file = StartingPoint(folder.path, "student").file
    network = student_of(config.model, seed=0, image_channels=channels_of(config.data.layout))
    load_weights(network, read_weights(file), where=str(file))
    return network.to(device)
