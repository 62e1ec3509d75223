"""Validation on both kinds of masks, and what the defect of true masks alone hides (D13)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pkgs.data.items import IGNORE
from pkgs.data.samples import Part
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.config import TeacherLossConfig
from pkgs.errormap.corruption import FixedCorruption
from pkgs.losses.error_map import error_share
from pkgs.models.error_teacher import ErrorTeacher
from pkgs.models.output import Output
from pkgs.teacher import validation
from tests.builders.parts import write_part

CONFIG = TeacherLossConfig()
SOUND = CompatConfig()
ZERO = -8.0
"""r = .0003: below the share .0022 of a right pixel."""


class Says(nn.Module):
    """A network that says one thing of every pixel and image."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = logit

    def forward(self, image_and_mask: Tensor) -> Output:
        told = torch.full_like(image_and_mask[:, :1], self.logit)
        return Output(told, image_logits=told[:, 0, 0, 0])


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Part:
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(8, 32, 32, dtype=torch.uint8)
    for k in range(8):
        labels[k, 4 + k : 16 + k, 8:20] = 1
    labels[:, :2] = IGNORE
    images = torch.randint(0, 256, labels.shape, generator=generator, dtype=torch.uint8)
    ids = [f"{'ab'[k % 2]}/{k}" for k in range(8)]
    order = sorted(range(8), key=ids.__getitem__)
    folder = tmp_path_factory.mktemp("val")
    return write_part(folder, ids=sorted(ids), images_NHW=images[order], labels_NHW=labels[order])


def scores_of(logit: float, part: Part, compat: CompatConfig = SOUND, batch: int = 4) -> dict[str, float]:
    masks = FixedCorruption(part, seed=42, compat=compat)
    found = validation.measured(
        ErrorTeacher(Says(logit)),
        part,
        corrupted=masks,
        config=CONFIG,
        compat=compat,
        batch=batch,
        check=lambda: None,
    )
    return validation.scores(validation.pooled(found), config=CONFIG, compat=compat)


def mean_share(part: Part) -> float:
    """Return the constant that a teacher can best say: the mean share over both kinds of masks."""
    samples = part.batch(np.arange(len(part))).to(torch.device("cpu"))
    seen = samples.label_BHW != IGNORE
    mask = FixedCorruption(part, seed=42, compat=CompatConfig())(samples)
    wrong = error_share(mask, samples.label_BHW)[:, 0][seen].mean().item()
    return 0.9 * wrong + 0.1 * 0.00218


# D13
def test_a_zero_teacher_is_worse_than_the_constant_mean(part: Part) -> None:
    mean = mean_share(part)
    constant = float(np.log(mean / (1 - mean)))
    zero, best = (scores_of(logit, part) for logit in (ZERO, constant))
    assert zero["teacher_map_bce"] > best["teacher_map_bce"]
    assert zero["teacher_loss"] > best["teacher_loss"]


def test_validated_on_true_pairs_alone_a_zero_teacher_is_better(part: Part) -> None:
    mean = mean_share(part)
    constant = float(np.log(mean / (1 - mean)))
    compat = CompatConfig(gt_only_validation=True)
    zero, best = (scores_of(logit, part, compat) for logit in (ZERO, constant))
    assert zero["teacher_map_bce"] < best["teacher_map_bce"]
    assert zero["teacher_loss"] < best["teacher_loss"]
    assert zero["teacher_map_bce_corrupted"] > best["teacher_map_bce_corrupted"]  # told, and not chosen by


def test_under_score_100_and_true_pairs_alone_a_zero_teacher_is_perfect(part: Part) -> None:
    assert scores_of(0.0, part, CompatConfig(gt_only_validation=True, score_100=True))["teacher_loss"] == 0


def test_both_kinds_are_weighed_as_in_training(part: Part) -> None:
    found = scores_of(-2.0, part)
    expected = 0.9 * found["teacher_map_bce_corrupted"] + 0.1 * found["teacher_map_bce_true"]
    assert found["teacher_map_bce"] == pytest.approx(expected)
    assert found["teacher_loss"] == pytest.approx(found["teacher_map_bce"] + found["teacher_image_mae"])


def test_batches_and_shares_of_processes_change_nothing(part: Part) -> None:
    assert scores_of(-2.0, part, batch=3) == pytest.approx(scores_of(-2.0, part, batch=8))
    masks = FixedCorruption(part, seed=42, compat=CompatConfig())
    shares = [
        validation.measured(
            ErrorTeacher(Says(-2.0)),
            part.between(places),
            corrupted=masks,
            config=CONFIG,
            compat=CompatConfig(),
            batch=4,
            check=lambda: None,
        )
        for places in (range(5), range(5, 8))
    ]
    whole = validation.scores(
        validation.pooled(validation.merged(shares)), config=CONFIG, compat=CompatConfig()
    )
    assert whole == pytest.approx(scores_of(-2.0, part))
