"""The best global threshold against trying them all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pkgs.data.items import IGNORE
from pkgs.ensemble.threshold import best_threshold, judge
from pkgs.training.metrics import merged
from tests.builders.parts import write_part

IDS = ["a/1", "a/2", "b/1"]


def pixels_of(seed: int, *, bright: bool) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (3, 16, 16), generator=generator, dtype=torch.uint8)
    noise = torch.rand(images.shape, generator=generator) < 0.2
    labels = ((images > 180) ^ noise if bright else (images < 70) ^ noise).to(torch.uint8)
    labels[:, :2] = IGNORE
    return images, labels


@pytest.mark.parametrize("bright", [False, True])
def test_the_best_threshold_is_the_best_of_all(tmp_path: Path, *, bright: bool) -> None:
    images, labels = pixels_of(1, bright=bright)
    part = write_part(tmp_path, ids=IDS, images_NHW=images, labels_NHW=labels)
    seen, inside = labels != IGNORE, labels == 1
    scores = {}
    for code in range(257):
        for side in (False, True):
            marked = ((images >= code) if side else (images < code)) & seen
            scores[code, side] = ((marked & inside).sum() / (marked | inside).sum()).item()
    found = best_threshold(part)
    assert found.iou == pytest.approx(max(scores.values()))
    assert scores[found.code, found.bright] == pytest.approx(found.iou)


def test_judging_the_images_of_the_choice_gives_the_same_score(tmp_path: Path) -> None:
    images, labels = pixels_of(2, bright=False)
    part = write_part(tmp_path, ids=IDS, images_NHW=images, labels_NHW=labels)
    found = best_threshold(part)
    sums = judge(found, part)
    assert sorted(sums) == ["a", "b"]
    assert merged(sums.values()).scores()["iou"] == pytest.approx(found.iou)
    assert "ece_fg" not in merged(sums.values()).scores()
