"""Falsified masks: always, within [0, 1], fixed in validation; under the switch hardly ever (D2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pkgs.data.items import IGNORE
from pkgs.data.samples import Batch
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.config import FalsifyingConfig
from pkgs.errormap.corruption import FixedCorruption, ObjectDraws, corrupted, draw_corruption
from pkgs.errormap.decoding import error_chance
from pkgs.errormap.loss import true_mask
from pkgs.losses.error_map import error_share
from tests.builders.parts import write_part

SIDE = 64
OBJECTS = FalsifyingConfig(kind="objects")


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


def objects_of(
    count: int, *, first: int = 0, falsify: FalsifyingConfig = OBJECTS, cycle: bool = False
) -> ObjectDraws:
    draws = draw_corruption(
        3, first=first, batch=count, sides=(SIDE, SIDE), compat=CompatConfig(rng_cycle=cycle), falsify=falsify
    )
    assert isinstance(draws, ObjectDraws)
    return draws


def changed(batch: Batch, draws: ObjectDraws) -> torch.Tensor:
    seen = (batch.label_BHW != IGNORE).unsqueeze(1)
    return ((corrupted(batch, draws) != true_mask(batch.label_BHW)) & seen).flatten(1).any(dim=1)


def test_eight_of_ten_masks_have_wrong_objects_and_their_rates_are_spread_evenly() -> None:
    draws = objects_of(20_000)
    wrong = draws.rate_B > 0
    assert wrong.mean() == pytest.approx(0.8, abs=0.01)
    assert np.array_equal(wrong, draws.phantoms_B == 0.7)
    rates = draws.rate_B[wrong]
    assert (rates.min(), rates.mean(), rates.max()) == pytest.approx((0.2, 0.6, 1.0), abs=0.01)
    some = objects_of(200)
    assert not changed(samples(), some)[torch.from_numpy(some.rate_B == 0)].any()
    assert changed(samples(), some)[torch.from_numpy(some.rate_B > 0)].float().mean() > 0.6


def test_wrong_objects_are_hard_masks_and_none_lies_where_the_label_is_ignored() -> None:
    batch = samples()
    mask = corrupted(batch, objects_of(200))
    assert (mask.dtype, mask.shape) == (torch.float32, (200, 1, SIDE, SIDE))
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert not mask[:, 0][batch.label_BHW == IGNORE].any()


def test_the_target_of_wrong_objects_is_where_mask_and_label_differ() -> None:
    batch = samples()
    mask, label = corrupted(batch, objects_of(200)), batch.label_BHW
    chance = error_chance(error_share(mask, label))[:, 0]
    differ = (mask[:, 0] != true_mask(label)[:, 0]) & (label != IGNORE)
    assert torch.allclose(chance, differ.float(), atol=1e-6)
    assert 0.01 < differ.float().mean() < 0.2


def test_wrong_objects_of_a_draw_depend_neither_on_its_batch_nor_on_its_neighbours() -> None:
    batch = samples(8)
    whole = corrupted(batch, objects_of(8))
    tail = Batch(batch.image_BCHW[5:], batch.label_BHW[5:], batch.ids[5:])
    assert torch.equal(whole[5:], corrupted(tail, objects_of(3, first=5)))
    assert torch.equal(whole, corrupted(batch, objects_of(8)))
    assert len(np.unique(objects_of(1000).seed_B)) == 1000
    assert len(np.unique(objects_of(1000, cycle=True).seed_B)) == 43


def test_what_is_left_out_is_never_done_to_masks() -> None:
    only = FalsifyingConfig(kind="objects", p=1, rate=(1, 1), without=("shift", "rotate", "resize", "add"))
    assert not corrupted(samples(20), objects_of(20, falsify=only)).any()  # all are dropped
    none = FalsifyingConfig(kind="objects", p=1, rate=(1, 1), without=("drop", *only.without))
    assert not changed(samples(20), objects_of(20, falsify=none)).any()


def test_settings_of_objects_without_effect_or_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="without: no effect with kind: sound; choose kind: objects"):
        FalsifyingConfig(without=("drop",))
    with pytest.raises(ValueError, match=r"rate is \[low, high\].*swap the two"):
        FalsifyingConfig(kind="objects", rate=(0.5, 0.2))
