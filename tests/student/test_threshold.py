"""The best global threshold against trying them all."""

from __future__ import annotations

import pytest
import torch

from pkgs.data.items import IGNORE
from pkgs.data.samples import Part
from pkgs.student.threshold import best_threshold, judge
from pkgs.training.metrics import merged


def part_of(seed: int, *, bright: bool) -> Part:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (3, 16, 16), generator=generator, dtype=torch.uint8)
    noise = torch.rand(images.shape, generator=generator) < 0.2
    labels = ((images > 180) ^ noise if bright else (images < 70) ^ noise).to(torch.uint8)
    labels[:, :2] = IGNORE
    return Part(("a/1", "a/2", "b/1"), ("a", "a", "b"), images, labels)


@pytest.mark.parametrize("bright", [False, True])
def test_the_best_threshold_is_the_best_of_all(*, bright: bool) -> None:
    part = part_of(1, bright=bright)
    seen, inside = part.labels_NHW != IGNORE, part.labels_NHW == 1
    scores = {}
    for code in range(257):
        for side in (False, True):
            marked = ((part.images_NHW >= code) if side else (part.images_NHW < code)) & seen
            scores[code, side] = ((marked & inside).sum() / (marked | inside).sum()).item()
    found = best_threshold(part)
    assert found.iou == pytest.approx(max(scores.values()))
    assert scores[found.code, found.bright] == pytest.approx(found.iou)


def test_judging_the_images_of_the_choice_gives_the_same_score() -> None:
    part = part_of(2, bright=False)
    found = best_threshold(part)
    sums = judge(found, part)
    assert sorted(sums) == ["a", "b"]
    assert merged(sums.values()).scores()["iou"] == pytest.approx(found.iou)
    assert "ece_fg" not in merged(sums.values()).scores()
