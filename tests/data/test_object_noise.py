"""Label noise on raster masks: each operation by hand, rates, what never happens, whose draws they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from pkgs.data.object_noise import (
    ON_OBJECTS,
    OPERATIONS,
    PHANTOMS,
    STAYS,
    ObjectNoise,
    Phantoms,
    apply_object_noise,
    corrupt_objects,
    draw_object_noise,
    objects_of,
)

Mask = NDArray[np.uint8]
NONE = Phantoms(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros((0, 8, 2)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def box(*, rows: tuple[int, int], columns: tuple[int, int], side: int = 64) -> Mask:
    mask = np.zeros((side, side), dtype=np.uint8)
    mask[slice(*rows), slice(*columns)] = 1
    return mask


def grid() -> Mask:
    """Return 16 objects of 5 x 9 pixels, with room around them."""
    mask = np.zeros((64, 64), dtype=np.uint8)
    for row in range(5, 64, 16):
        for column in range(3, 64, 16):
            mask[row : row + 5, column : column + 9] = 1
    return mask


def done(mask: Mask, operation: str, *, angle: float = 0.0, amount: float = 1.0) -> Mask:
    """Return the mask whose only object was changed by one operation."""
    labels, count = objects_of(mask)
    assert count == 1
    place = np.array([OPERATIONS.index(operation)])
    return apply_object_noise(labels, ObjectNoise(place, np.array([angle]), np.array([amount]), NONE))


def test_a_dropped_object_is_gone() -> None:
    assert not done(box(rows=(10, 20), columns=(5, 9)), "drop").any()


def test_a_shifted_object_keeps_its_shape_and_what_leaves_the_image_is_lost() -> None:
    mask = box(rows=(10, 20), columns=(5, 9))
    down = done(mask, "shift", angle=math.pi / 2, amount=4 / 64)
    assert np.array_equal(down, box(rows=(14, 24), columns=(5, 9)))
    left = done(mask, "shift", angle=math.pi, amount=7 / 64)
    assert np.array_equal(left, box(rows=(10, 20), columns=(0, 2)))


def test_a_shift_is_a_pixel_at_least() -> None:
    moved = done(box(rows=(10, 20), columns=(5, 9), side=16), "shift", angle=math.pi, amount=0.02)
    assert np.array_equal(moved, box(rows=(10, 20), columns=(4, 8), side=16))


def test_a_quarter_turn_about_the_centre_swaps_the_sides() -> None:
    turned = done(box(rows=(20, 31), columns=(30, 35)), "rotate", angle=math.pi / 2)
    assert np.array_equal(turned, box(rows=(23, 28), columns=(27, 38)))


def test_a_turned_object_keeps_its_area_and_its_centre() -> None:
    mask = box(rows=(20, 40), columns=(28, 38))
    turned = done(mask, "rotate", angle=math.radians(40))
    assert turned.sum() == pytest.approx(mask.sum(), rel=0.06)
    for before, after in zip(np.nonzero(mask), np.nonzero(turned), strict=True):
        assert after.mean() == pytest.approx(before.mean(), abs=0.2)


def test_a_new_size_scales_the_lengths_about_the_centre() -> None:
    mask = box(rows=(20, 31), columns=(30, 35))
    assert np.array_equal(done(mask, "resize", amount=1.5), box(rows=(17, 34), columns=(29, 36)))
    assert np.array_equal(done(mask, "resize", amount=0.6), box(rows=(22, 29), columns=(31, 34)))


def test_other_objects_stay_as_they_are_under_one_that_moves_over_them() -> None:
    mask = box(rows=(10, 20), columns=(10, 20)) | box(rows=(10, 20), columns=(22, 30))
    labels, count = objects_of(mask)
    assert count == 2
    noise = ObjectNoise(np.array([1, STAYS]), np.zeros(2), np.array([4 / 64, 0]), NONE)
    moved = box(rows=(10, 20), columns=(14, 24)) | box(rows=(10, 20), columns=(22, 30))
    assert np.array_equal(apply_object_noise(labels, noise), moved)


def test_pixels_that_touch_at_a_corner_are_one_object() -> None:
    assert objects_of(np.eye(8, dtype=np.uint8))[1] == 1


def test_an_invented_object_touches_no_other_and_is_left_out_where_there_is_no_room() -> None:
    mask = grid()
    added = [corrupt_objects(mask, rng(k), rate=0.0, phantoms=3.0) for k in range(40)]
    for each in added:
        assert (each >= mask).all()
        assert objects_of(each)[1] >= objects_of(mask)[1]  # none grown together
    assert any(objects_of(each)[1] > objects_of(mask)[1] for each in added)
    full = np.ones((64, 64), dtype=np.uint8)
    assert np.array_equal(corrupt_objects(full, rng(), rate=0.0, phantoms=9.0), full)


def test_invented_objects_have_the_lengths_of_buildings_at_every_size() -> None:
    for side in (64, 256):
        empty = np.zeros((side, side), dtype=np.uint8)
        areas = [corrupt_objects(empty, rng(k), rate=0.0, phantoms=0.5).sum() / side**2 for k in range(300)]
        shown = [area for area in areas if area]
        assert 0.01 < np.mean(shown) < 0.04


def test_as_many_objects_are_hit_as_the_rate_says_and_each_way_alike() -> None:
    noise = draw_object_noise(20_000, rng(), rate=0.4)
    shares = np.bincount(noise.operation_N + 1, minlength=5) / 20_000
    assert shares == pytest.approx([0.6, 0.1, 0.1, 0.1, 0.1], abs=0.01)
    assert len(np.bincount(noise.operation_N + 1)) == 5  # inventing is nothing that happens to an object


def test_drawn_lengths_and_angles_lie_in_their_ranges() -> None:
    noise = draw_object_noise(20_000, rng(), rate=1.0)
    amount = {name: noise.amount_N[noise.operation_N == k] for k, name in enumerate(OPERATIONS)}
    turn = np.degrees(noise.angle_N[noise.operation_N == OPERATIONS.index("rotate")])
    assert (amount["shift"].min(), amount["shift"].max()) == pytest.approx((0.02, 0.08), abs=1e-3)
    smaller = amount["resize"][amount["resize"] < 1]
    larger = amount["resize"][amount["resize"] > 1]
    assert (smaller.min(), smaller.max()) == pytest.approx((0.55, 0.8), abs=1e-2)
    assert (larger.min(), larger.max()) == pytest.approx((1.2, 1.5), abs=1e-2)
    assert len(smaller) == pytest.approx(len(larger), rel=0.1)
    assert (np.abs(turn).min(), np.abs(turn).max()) == pytest.approx((20, 90), abs=0.1)
    assert abs(turn.mean()) < 2


def test_the_number_of_invented_objects_is_poisson() -> None:
    counts = [len(draw_object_noise(0, rng(k), rate=0.5).phantoms.length_M) for k in range(2000)]
    assert np.mean(counts) == pytest.approx(PHANTOMS, abs=0.06)
    assert np.var(counts) == pytest.approx(PHANTOMS, abs=0.1)


def test_at_rate_0_without_phantoms_nothing_changes() -> None:
    assert np.array_equal(corrupt_objects(grid(), rng(), rate=0.0, phantoms=0.0), grid())


def test_what_is_left_out_never_happens() -> None:
    for place, name in enumerate(ON_OBJECTS):
        noise = draw_object_noise(5000, rng(), rate=1.0, without={name})
        shares = np.bincount(noise.operation_N, minlength=4) / 5000
        assert shares == pytest.approx([0 if k == place else 1 / 3 for k in range(4)], abs=0.03)
    for k in range(50):
        assert not len(draw_object_noise(3, rng(k), rate=1.0, without={"add"}).phantoms.length_M)
    assert np.array_equal(corrupt_objects(grid(), rng(), rate=1.0, without=set(OPERATIONS)), grid())


def test_only_shifting_keeps_the_area_of_every_object() -> None:
    others = set(OPERATIONS) - {"shift"}
    mask = box(rows=(25, 35), columns=(20, 40))
    changed = [corrupt_objects(mask, rng(k), rate=1.0, without=others) for k in range(30)]
    assert all(each.sum() == mask.sum() and (each != mask).any() for each in changed)


def test_the_generator_decides_and_the_given_mask_is_kept() -> None:
    mask = grid()
    first, again, other = (corrupt_objects(mask, rng(seed), rate=0.6) for seed in (5, 5, 6))
    assert first.dtype == np.uint8
    assert set(np.unique(first)) == {0, 1}
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(mask, grid())


def test_masks_that_are_not_square_and_empty_ones_pass() -> None:
    for sides in ((48, 96), (96, 48)):
        mask = np.zeros(sides, dtype=np.uint8)
        mask[10:30, 12:40] = 1
        for k in range(30):
            assert corrupt_objects(mask, rng(k), rate=1.0).shape == sides
            assert corrupt_objects(0 * mask, rng(k), rate=1.0, without={"add"}).sum() == 0


def test_numbers_and_names_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"The rate is 1.2; expected a chance within \[0, 1\]"):
        corrupt_objects(grid(), rng(), rate=1.2)
    with pytest.raises(ValueError, match=r"-1 phantoms; expected their mean number per mask, at least 0"):
        corrupt_objects(grid(), rng(), rate=0.5, phantoms=-1)
    with pytest.raises(ValueError, match=r"Unknown operation 'shft'. Did you mean 'shift'"):
        corrupt_objects(grid(), rng(), rate=0.5, without={"shft"})
