"""Falsified masks: always, within [0, 1], fixed in validation; under the switch hardly ever (D2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pkgs.data.items import IGNORE
from pkgs.data.samples import Batch
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.corruption import FixedCorruption, corrupted, draw_corruption
from pkgs.errormap.loss import true_mask
from tests.builders.parts import write_part

SIDE = 64


def samples(count: int = 200) -> Batch:
    label = torch.zeros(count, SIDE, SIDE, dtype=torch.uint8)
    for k in range(count):
        label[k, 10 + k % 20 : 30 + k % 20, 12 : 20 + k % 30] = 1
    label[:, :3] = IGNORE
    return Batch(torch.zeros(count, 1, SIDE, SIDE), label, tuple(f"a/{k:03}" for k in range(count)))


def share_untouched(compat: CompatConfig) -> float:
    batch = samples()
    draws = draw_corruption(3, first=0, batch=200, sides=(SIDE, SIDE), compat=compat)
    mask = corrupted(batch, draws)
    seen = (batch.label_BHW != IGNORE).unsqueeze(1)
    same = ((mask == true_mask(batch.label_BHW)) | ~seen).flatten(1).all(dim=1)
    return same.float().mean().item()


# D2
def test_nearly_every_mask_is_changed_and_under_the_switch_hardly_any() -> None:
    assert share_untouched(CompatConfig()) < 0.05
    assert share_untouched(CompatConfig(rare_corruption=True)) > 0.8


def test_masks_are_shares_and_some_are_soft_only_in_the_sound_form() -> None:
    for compat, soft in ((CompatConfig(), True), (CompatConfig(rare_corruption=True), False)):
        mask = corrupted(samples(), draw_corruption(3, first=0, batch=200, sides=(SIDE, SIDE), compat=compat))
        assert (mask.min() >= 0, mask.max() <= 1, mask.dtype) == (True, True, torch.float32)
        assert bool(((mask > 0) & (mask < 1)).any()) is soft


def test_a_draw_does_not_depend_on_its_batch() -> None:
    batch, sound = samples(8), CompatConfig()
    whole = corrupted(batch, draw_corruption(3, first=0, batch=8, sides=(SIDE, SIDE), compat=sound))
    tail = Batch(batch.image_BCHW[5:], batch.label_BHW[5:], batch.ids[5:])
    part = corrupted(tail, draw_corruption(3, first=5, batch=3, sides=(SIDE, SIDE), compat=sound))
    assert torch.equal(whole[5:], part)


def test_validation_sees_the_same_masks_in_any_batch_of_neighbours(tmp_path: Path) -> None:
    batch = samples(6)
    images = torch.zeros(6, SIDE, SIDE, dtype=torch.uint8)
    part = write_part(tmp_path, ids=list(batch.ids), images_NHW=images, labels_NHW=batch.label_BHW)
    masks = FixedCorruption(part, seed=42, compat=CompatConfig())
    cpu = torch.device("cpu")
    whole = masks(part.batch(np.arange(6)).to(cpu))
    assert torch.equal(whole[4:], masks(part.batch(np.array([4, 5])).to(cpu)))
    assert torch.equal(whole, masks(part.batch(np.arange(6)).to(cpu)))
    with pytest.raises(ValueError, match="Expected neighbours"):
        masks(part.batch(np.array([0, 2])).to(cpu))
