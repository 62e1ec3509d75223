"""Random changes of a batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pkgs.data.augment import augment, blur, draw, expose, warp
from pkgs.data.config import AugmentConfig
from pkgs.data.items import IGNORE
from pkgs.data.samples import Batch

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
    assert torch.equal(changed.image_B1HW, batch.image_B1HW)
    assert torch.equal(changed.label_BHW, batch.label_BHW)


def test_the_shares_of_changed_samples_are_those_of_the_settings() -> None:
    draws = draw(AugmentConfig(), 1, first=0, batch=20_000)
    assert abs(draws.moved_B.mean() - 0.75) < 0.01
    assert abs(draws.recoloured_B.mean() - 0.5) < 0.01


def test_draws_do_not_depend_on_the_batch_size() -> None:
    whole, part = draw(BOTH, 1, first=0, batch=16), draw(BOTH, 1, first=8, batch=8)
    assert np.array_equal(whole.matrix_B33[8:], part.matrix_B33)
    assert np.array_equal(whole.sigma_px_B[8:], part.sigma_px_B)


def test_a_thousand_samples_have_a_thousand_transforms() -> None:
    assert len(np.unique(draw(BOTH, 1, first=0, batch=1000).matrix_B33, axis=0)) == 1000


def test_matrices_stay_within_the_stated_ranges() -> None:
    linear = draw(BOTH, 1, first=0, batch=5000).matrix_B33[:, :2, :2]
    area = 1 / np.abs(np.linalg.det(linear))
    assert area.min() >= 0.8**2 - 1e-9
    assert area.max() <= 1.2**2 / 0.8 + 1e-9  # the crop enlarges once more
    assert abs((np.linalg.det(linear) < 0).mean() - 0.5) < 0.03  # mirrored by exactly one of two flips


def test_the_raw_set_leaves_labels_alone_and_changes_images() -> None:
    batch = batch_of()
    changed = augment(batch, draw(RAW, 1, first=0, batch=8))
    assert torch.equal(changed.label_BHW, batch.label_BHW)
    assert (changed.image_B1HW - batch.image_B1HW).abs().mean() > 0.01


def test_label_and_image_move_together() -> None:
    batch = batch_of()
    changed = augment(batch, draw(SPATIAL, 3, first=0, batch=8))
    image, label = changed.image_B1HW[:, 0], changed.label_BHW
    assert image[label == 1].median() > 0.6
    assert image[label == 0].median() < 0.35


def test_outside_of_the_source_labels_are_ignored_and_never_background() -> None:
    batch = batch_of()
    solid = Batch(batch.image_B1HW, torch.ones_like(batch.label_BHW), batch.ids)
    changed = augment(solid, draw(SPATIAL, 3, first=0, batch=8))
    assert set(changed.label_BHW.unique().tolist()) == {1, IGNORE}


def test_images_are_reflected_at_the_border() -> None:
    batch = batch_of()
    lowest = batch.image_B1HW.amin()
    assert (
        augment(batch, draw(SPATIAL, 3, first=0, batch=8)).image_B1HW.amin() >= lowest - 1e-6
    )  # no zero fill


def test_the_identity_matrix_returns_the_source() -> None:
    batch = batch_of(2)
    image, label = warp(batch.image_B1HW, batch.label_BHW, matrix_B33=torch.eye(3).expand(2, 3, 3))
    assert torch.allclose(image, batch.image_B1HW, atol=1e-5)
    assert torch.equal(label, batch.label_BHW)


def test_mirroring_by_matrix_is_mirroring() -> None:
    batch = batch_of(1)
    matrix = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))[None]
    image, label = warp(batch.image_B1HW, batch.label_BHW, matrix_B33=matrix)
    assert torch.allclose(image, batch.image_B1HW.flip(-1), atol=1e-5)
    assert torch.equal(label, batch.label_BHW.flip(-1))


def test_blur_changes_an_image_as_a_gaussian_does() -> None:
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 2] = 1
    side = np.exp(-0.5)  # sigma 1: weight of a neighbour against the centre
    smooth = blur(image, torch.tensor([1.0]))
    assert smooth[0, 0, 2, 2].item() == pytest.approx(1 / (1 + 2 * side) ** 2, rel=1e-5)
    assert smooth[0, 0, 2, 1].item() == pytest.approx(side / (1 + 2 * side) ** 2, rel=1e-5)
    assert smooth.sum().item() == pytest.approx(1.0, rel=1e-5)


def test_exposure_scales_then_spreads_about_the_mean() -> None:
    image = torch.tensor([[[[0.2, 0.4]]]])
    changed = expose(image, brightness_B=torch.tensor([1.1]), contrast_B=torch.tensor([0.9]))
    assert torch.allclose(changed, torch.tensor([[[[0.231, 0.429]]]]))  # mean .33, distances .11 become .099


def test_nothing_comes_from_the_global_generator() -> None:
    batch, draws = batch_of(), draw(BOTH, 1, first=0, batch=8)
    torch.manual_seed(1)
    first = augment(batch, draws)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    second = augment(batch, draws)
    assert torch.equal(first.image_B1HW, second.image_B1HW)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_replayed_draws_give_the_same_batch() -> None:
    batch, draws = batch_of(), draw(BOTH, 1, first=0, batch=8)
    again = replace(draws, matrix_B33=draws.matrix_B33.copy())
    assert torch.equal(augment(batch, draws).image_B1HW, augment(batch, again).image_B1HW)
