"""Falsified masks of the first study."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pkgs.data.config import FalsifyConfig
from pkgs.data.falsify import draw_published, draw_sound, published, published_label, sound
from pkgs.data.items import IGNORE
from pkgs.data.samples import Batch
from pkgs.data.transforms.contract import dump, restore
from pkgs.data.transforms.falsification import FalsifyDraws
from tests.builders.cem_mitolab import draw_patch

SIDES = (64, 64)
USUAL = FalsifyConfig()


def batch_of(count: int = 16, *, empty_every: int = 5) -> Batch:
    """Return patches of two discs; every fifth is empty, as in the data."""
    patches = [torch.from_numpy(draw_patch(k, side_px=64)[1].astype(np.int32)) for k in range(count)]
    objects = torch.stack(patches)
    objects[::empty_every] = 0
    image = torch.zeros(count, 1, 64, 64)
    return Batch(image, (objects > 0).byte(), tuple(map(str, range(count))), objects)


def draws_of(config: FalsifyConfig = USUAL, *, first: int = 0, batch: int = 16) -> FalsifyDraws:
    return draw_sound(config, 1, first=first, batch=batch, sides=SIDES)


def unchanged(batch: Batch, mask: Tensor) -> float:
    """Return the share of samples whose mask is the truth: their target is 0."""
    return float((mask == batch.label_BHW).flatten(1).all(dim=1).float().mean())


def test_hardly_any_target_is_zero_and_in_the_reference_most_are() -> None:
    batch = batch_of(400)
    assert unchanged(batch, sound(batch, draws_of(batch=400))) < 0.05
    draws = draw_published(1, first=0, batch=400, sides=SIDES)
    assert unchanged(batch, published(batch.label_BHW, draws)) > 0.80


def test_at_the_lowest_severity_masks_are_changed_too() -> None:
    batch = batch_of(200)
    draws = draws_of(FalsifyConfig(severity=(0.05, 0.05), soft_p=0), batch=200)
    mask = sound(batch, draws)
    assert unchanged(batch, mask) < 0.05
    assert (mask != batch.label_BHW).float().mean() < 0.03


def test_half_of_the_masks_hold_doubt_and_all_are_shares() -> None:
    mask = sound(batch_of(400, empty_every=401), draws_of(batch=400))
    between = ((mask > 0.01) & (mask < 0.99)).flatten(1).any(dim=1).float().mean()
    assert abs(between - 0.5) < 0.08
    assert mask.dtype == torch.float32
    assert mask.min() >= 0
    assert mask.max() <= 1


def test_severity_scales_how_wrong_a_mask_is() -> None:
    batch = batch_of(200, empty_every=201)
    wrong = [
        float(
            (sound(batch, draws_of(FalsifyConfig(severity=(s, s)), batch=200)) - batch.label_BHW).abs().mean()
        )
        for s in (0.05, 0.3, 1.0)
    ]
    assert wrong[0] < wrong[1] < wrong[2]


def test_one_to_three_operations_are_picked_and_severity_is_log_uniform() -> None:
    draws = draws_of(batch=20_000)
    picked = np.stack(
        [
            draws.drop_B, draws.shift_px_BD.any(axis=1), draws.radius_px_BD.any(axis=1), draws.grow_px_B != 0,
            draws.boxes_BD2.any(axis=(1, 2)), draws.blur_px_B > 0,
            (draws.matrix_BEE != np.eye(3)).any(axis=(1, 2)),
        ]
    ).sum(axis=0)  # fmt: skip
    assert set(np.unique(picked)) == {1, 2, 3}
    assert abs(np.median(draws.severity_B) - 0.05**0.5) < 0.01
    mild, harsh = (draws_of(FalsifyConfig(severity=(s, s)), batch=5000).drop_B.mean() for s in (0.05, 1))
    assert mild < 0.05
    assert harsh > 0.2  # an object is missed or not: there is no range to scale


def test_a_sample_s_change_depends_neither_on_its_batch_nor_on_storing() -> None:
    batch = batch_of()
    whole = sound(batch, restore(FalsifyDraws, dump(draws_of())))
    parts = []
    for at in range(0, 16, 4):
        rows = slice(at, at + 4)
        assert batch.instances_BHW is not None
        part = Batch(
            batch.image_BCHW[rows], batch.label_BHW[rows], batch.ids[rows], batch.instances_BHW[rows]
        )
        parts.append(sound(part, draws_of(first=at, batch=4)))
    assert torch.equal(whole, torch.cat(parts))


def test_ignored_pixels_are_nothing_in_a_mask_and_stay_ignored_in_a_label() -> None:
    batch = batch_of(32)
    batch.label_BHW[:, :8] = IGNORE
    assert not sound(batch, draws_of(batch=32))[:, :8].any()
    draws = draw_published(1, first=0, batch=32, sides=SIDES, p=1)
    assert not published(batch.label_BHW, draws)[:, :8].any()
    label = published_label(batch.label_BHW, draws)
    assert bool((label[:, :8] == IGNORE).all())
    assert set(label[:, 8:].unique().tolist()) == {0, 1}


def test_without_numbered_objects_the_foreground_is_one() -> None:
    batch = batch_of()
    plain = Batch(batch.image_BCHW, batch.label_BHW, batch.ids)
    assert unchanged(plain, sound(plain, draws_of())) < 0.05


def test_the_batch_stays_as_it_is_and_no_global_generator_is_asked() -> None:
    batch, state = batch_of(), torch.get_rng_state()
    before = batch.label_BHW.clone()
    sound(batch, draws_of())
    published_label(batch.label_BHW, draw_published(1, first=0, batch=16, sides=SIDES, p=1))
    assert torch.equal(batch.label_BHW, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_thousand_masks_have_a_thousand_draws_and_the_cycle_of_the_reference_43() -> None:
    for cycle, expected in ((False, 1000), (True, 43)):
        draws = draw_sound(USUAL, 1, first=0, batch=1000, sides=SIDES, cycle=cycle)
        assert len(np.unique(draws.severity_B)) == expected
        wild = draw_published(1, first=0, batch=1000, sides=SIDES, p=1, cycle=cycle)
        assert len(np.unique(wild.sigma_px_B)) == expected


def test_operations_are_fewest_before_most() -> None:
    with pytest.raises(ValidationError, match=r"fewest, most\], got \[3, 1\]; swap the two"):
        FalsifyConfig(operations=(3, 1))
