"""Random changes of a batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pkgs.data.augment import augment, draw
from pkgs.data.config import AugmentConfig
from pkgs.data.items import IGNORE
from pkgs.data.samples import Batch, Images
from pkgs.data.transforms.augmentation import AugmentationDraws
from pkgs.data.transforms.contract import dump, restore
from pkgs.foundation.seeds import Purpose

BOTH, NONE = AugmentConfig(spatial=1.0, raw=1.0), AugmentConfig(spatial=0.0, raw=0.0)
SPATIAL, RAW = AugmentConfig(spatial=1.0, raw=0.0), AugmentConfig(spatial=0.0, raw=1.0)


def batch_of(count: int = 8, side: int = 32) -> Batch:
    generator = torch.Generator().manual_seed(0)
    label = torch.zeros(count, side, side, dtype=torch.uint8)
    label[:, 8:20, 10:26] = 1
    image = 0.2 + 0.5 * label[:, None].float() + 0.05 * torch.rand(count, 1, side, side, generator=generator)
    return Batch(image, label, tuple(str(k) for k in range(count)))


def test_no_change_is_no_change_to_the_bit() -> None:
    batch = batch_of()
    changed = augment(batch, draw(NONE, 1, first=0, batch=8))
    assert torch.equal(changed.image_BCHW, batch.image_BCHW)
    assert torch.equal(changed.label_BHW, batch.label_BHW)


def test_the_shares_of_changed_samples_are_those_of_the_settings() -> None:
    draws = draw(AugmentConfig(), 1, first=0, batch=20_000)
    assert abs(draws.spatial.moved_B.mean() - 0.75) < 0.01
    assert abs(draws.intensity.changed_B.mean() - 0.5) < 0.01


def test_draws_do_not_depend_on_the_batch_size() -> None:
    whole, part = draw(BOTH, 1, first=0, batch=16), draw(BOTH, 1, first=8, batch=8)
    assert np.array_equal(whole.spatial.matrix_BEE[8:], part.spatial.matrix_BEE)
    assert np.array_equal(whole.intensity.sigma_px_B[8:], part.intensity.sigma_px_B)


def test_a_thousand_samples_have_a_thousand_transforms() -> None:
    assert len(np.unique(draw(BOTH, 1, first=0, batch=1000).spatial.matrix_BEE, axis=0)) == 1000


def test_matrices_stay_within_the_stated_ranges() -> None:
    linear = draw(BOTH, 1, first=0, batch=5000).spatial.matrix_BEE[:, :2, :2]
    area = 1 / np.abs(np.linalg.det(linear))
    assert area.min() >= 0.8**2 - 1e-9
    assert area.max() <= 1.2**2 / 0.8 + 1e-9  # the crop enlarges once more
    assert abs((np.linalg.det(linear) < 0).mean() - 0.5) < 0.03  # mirrored by exactly one of two flips


def test_the_raw_set_leaves_labels_alone_and_changes_images() -> None:
    batch = batch_of()
    changed = augment(batch, draw(RAW, 1, first=0, batch=8))
    assert torch.equal(changed.label_BHW, batch.label_BHW)
    assert (changed.image_BCHW - batch.image_BCHW).abs().mean() > 0.01


def test_label_and_image_move_together() -> None:
    batch = batch_of()
    changed = augment(batch, draw(SPATIAL, 3, first=0, batch=8))
    image, label = changed.image_BCHW[:, 0], changed.label_BHW
    assert image[label == 1].median() > 0.6
    assert image[label == 0].median() < 0.35


def test_outside_of_the_source_labels_are_ignored_and_never_background() -> None:
    batch = batch_of()
    solid = Batch(batch.image_BCHW, torch.ones_like(batch.label_BHW), batch.ids)
    changed = augment(solid, draw(SPATIAL, 3, first=0, batch=8))
    assert set(changed.label_BHW.unique().tolist()) == {1, IGNORE}


def test_images_are_reflected_at_the_border() -> None:
    batch = batch_of()
    lowest = batch.image_BCHW.amin()
    assert (
        augment(batch, draw(SPATIAL, 3, first=0, batch=8)).image_BCHW.amin() >= lowest - 1e-6
    )  # no zero fill


def test_nothing_comes_from_the_global_generator() -> None:
    batch, draws = batch_of(), draw(BOTH, 1, first=0, batch=8)
    torch.manual_seed(1)
    first = augment(batch, draws)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    second = augment(batch, draws)
    assert torch.equal(first.image_BCHW, second.image_BCHW)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_stored_draws_give_the_same_batch() -> None:
    batch, draws = batch_of(), draw(BOTH, 1, first=0, batch=8)
    again = restore(AugmentationDraws, dump(draws))
    assert torch.equal(augment(batch, draws).image_BCHW, augment(batch, again).image_BCHW)


def test_draws_are_those_of_earlier_releases() -> None:
    draws = draw(AugmentConfig(), 3, first=5, batch=2)
    matrix = [[0.818488513, 0.309314750, 0.0], [0.356952696, -0.839263995, 0.0]]
    assert np.allclose(draws.spatial.matrix_BEE[1, :2], matrix, atol=1e-9)
    assert np.allclose(draws.intensity.sigma_px_B, [0, 0.380063723], atol=1e-9)
    assert np.allclose(draws.intensity.brightness_B, [1, 1.057220152], atol=1e-9)
    assert np.allclose(draws.intensity.contrast_B, [1, 1.008796416], atol=1e-9)


def numbered_batch(count: int = 8) -> Batch:
    batch = batch_of(count)
    numbers = batch.label_BHW.int()
    numbers[:, 8:20, 18:26] *= 2
    return Batch(batch.image_BCHW, batch.label_BHW, batch.ids, numbers)


def test_numbered_objects_move_with_the_label_and_are_nothing_outside() -> None:
    changed = augment(numbered_batch(), draw(SPATIAL, 3, first=0, batch=8))
    assert changed.instances_BHW is not None
    assert changed.instances_BHW.unique().tolist() == [0, 1, 2]
    assert torch.equal(changed.instances_BHW > 0, changed.label_BHW == 1)


def test_images_without_labels_are_changed_like_those_with() -> None:
    batch, draws = batch_of(), draw(BOTH, 1, first=0, batch=8)
    changed = augment(Images(batch.image_BCHW, batch.ids), draws)
    assert torch.equal(changed.image_BCHW, augment(batch, draws).image_BCHW)


def test_unlabelled_images_have_draws_of_their_own() -> None:
    labelled = draw(BOTH, 1, first=0, batch=8)
    pool = draw(BOTH, 1, first=0, batch=8, purpose=Purpose.POOL)
    assert not np.isin(pool.intensity.sigma_px_B, labelled.intensity.sigma_px_B).any()


def test_the_sound_blur_changes_the_image_and_that_of_the_reference_does_not() -> None:
    batch = batch_of()
    for reference, changes in ((False, True), (True, False)):
        draws = draw(RAW, 1, first=0, batch=8, reference=reference)
        blur = np.ones_like(draws.intensity.sigma_px_B)
        only_blur = replace(draws.intensity, brightness_B=blur, contrast_B=blur)
        changed = augment(batch, replace(draws, intensity=only_blur), reference=reference)
        assert bool((changed.image_BCHW - batch.image_BCHW).abs().amax() > 1e-3) is changes


def test_the_reference_takes_the_nearest_pixel_and_fills_with_zero() -> None:
    batch = numbered_batch()
    codes = torch.randint(1, 256, batch.image_BCHW.shape, generator=torch.Generator().manual_seed(0))
    batch = Batch(codes.float() / 255, torch.ones_like(batch.label_BHW), batch.ids, batch.instances_BHW)
    changed = augment(batch, draw(SPATIAL, 3, first=0, batch=8), reference=True)
    assert set(changed.image_BCHW.unique().tolist()) <= {0.0, *batch.image_BCHW.unique().tolist()}
    assert changed.label_BHW.unique().tolist() == [0, 1]
    assert torch.equal(changed.label_BHW == 0, changed.image_BCHW[:, 0] == 0)


def test_the_reference_passes_samples_without_a_change_to_the_bit() -> None:
    codes = torch.arange(2 * 32 * 32).reshape(2, 1, 32, 32).float()
    batch = Batch(codes / 65535, torch.zeros(2, 32, 32, dtype=torch.uint8), ("a", "b"))
    changed = augment(batch, draw(NONE, 1, first=0, batch=2, reference=True), reference=True)
    assert torch.equal(changed.image_BCHW, batch.image_BCHW)


def test_a_generator_seeded_from_its_own_draws_repeats_after_108() -> None:
    sound, poor = (draw(BOTH, 1, first=0, batch=1000, cycle=cycle) for cycle in (False, True))
    assert len(np.unique(sound.spatial.matrix_BEE, axis=0)) == 1000
    assert len(np.unique(poor.spatial.matrix_BEE, axis=0)) == 108
    later = draw(BOTH, 1, first=900, batch=10, cycle=True)
    assert np.array_equal(later.spatial.matrix_BEE, poor.spatial.matrix_BEE[900:910])


AERIAL = AugmentConfig(kind="aerial", spatial=0.5, raw=0.5)


def test_aerial_images_are_flipped_turned_by_quarters_and_half_of_them_a_little_more() -> None:
    linear = draw(AERIAL, 1, first=0, batch=5000).spatial.matrix_BEE[:, :2, :2]
    exact = (np.abs(linear).round(9) % 1 == 0).all(axis=(1, 2))
    assert abs(exact.mean() - 0.5) < 0.03
    scale = np.sqrt(1 / np.abs(np.linalg.det(linear)))
    assert 0.9 - 1e-9 <= scale.min() < scale.max() <= 1.1 + 1e-9
    angle = np.degrees(np.arctan2(linear[:, 1, 0], linear[:, 0, 0])) % 90
    assert (np.minimum(angle, 90 - angle) <= 10 + 1e-9).all()
    kinds = np.unique(linear[exact].round(), axis=0)
    assert len(kinds) == 8  # four quarter turns, mirrored or not


def test_aerial_images_are_brightened_not_blurred_and_labels_ignored_outside() -> None:
    batch, draws = batch_of(64), draw(AERIAL, 1, first=0, batch=64)
    changed = augment(batch, draws)
    assert not draws.intensity.sigma_px_B.any()
    assert (draws.intensity.brightness_B.min(), draws.intensity.brightness_B.max()) == pytest.approx(
        (0.9, 1.1), abs=0.03
    )
    assert bool((changed.label_BHW == IGNORE).any())
    assert set(changed.label_BHW.unique().tolist()) == {0, 1, IGNORE}


def test_aerial_changes_can_be_switched_off_and_have_no_form_of_the_reference() -> None:
    batch, off = batch_of(), AugmentConfig(kind="aerial", spatial=0, raw=0)
    assert torch.equal(augment(batch, draw(off, 1, first=0, batch=8)).image_BCHW, batch.image_BCHW)
    with pytest.raises(ValueError, match="aerial has no form of the reference"):
        draw(AERIAL, 1, first=0, batch=1, reference=True)
