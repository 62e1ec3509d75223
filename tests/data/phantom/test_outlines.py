"""Polygons and the pixels that they hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pkgs.data.phantom.outlines import centre_of, moved, raster, scaled, snapped, turned

SQUARE = np.array([(1.0, 1.0), (4.0, 1.0), (4.0, 3.0), (1.0, 3.0)])
L_SHAPE = np.array([(0.0, 0.0), (4.0, 0.0), (4.0, 2.0), (2.0, 2.0), (2.0, 4.0), (0.0, 4.0)])


def area_of(outline: np.ndarray) -> float:
    x, y = outline.T
    return abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())) / 2


def test_a_pixel_is_inside_if_its_centre_is() -> None:
    expected = np.zeros((5, 6), bool)
    expected[1:3, 1:4] = True
    assert (raster([SQUARE], (5, 6)) == expected).all()
    assert (raster([SQUARE + 0.4], (5, 6)) == expected).all()
    assert raster([SQUARE + 0.6], (5, 6))[2:4, 2:5].all()


def test_an_l_leaves_its_corner_empty() -> None:
    assert raster([L_SHAPE], (4, 4)).tolist() == [[True] * 4] * 2 + [[True, True, False, False]] * 2


def test_of_two_polygons_with_a_common_edge_each_pixel_belongs_to_one() -> None:
    corners = np.array([(0.5, 0.5), (7.5, 2.5), (6.5, 7.5), (1.5, 6.5)])
    one, other = corners[[0, 1, 2]], corners[[0, 2, 3]]
    whole = raster([corners], (8, 8)).astype(int)
    assert (raster([one], (8, 8)).astype(int) + raster([other], (8, 8)) == whole).all()


def test_what_lies_outside_is_cut_and_nothing_is_nothing() -> None:
    assert raster([moved(SQUARE, -3, 0)], (5, 6)).sum() == 2
    assert not raster([moved(SQUARE, -30, 0), moved(SQUARE, 0, 40), np.empty((0, 2))], (5, 6)).any()


def test_an_outline_cut_out_with_its_patch_holds_the_same_pixels() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        outline = snapped(rng.uniform(5, 35, size=(4, 2)))
        whole = raster([outline], (40, 40))
        assert (raster([moved(outline, -13, -7)], (20, 20)) == whole[7:27, 13:33]).all()


def test_the_centroid_is_that_of_the_area_and_stays() -> None:
    assert centre_of(SQUARE) == pytest.approx((2.5, 2.0))
    assert centre_of(L_SHAPE) == pytest.approx((5 / 3, 5 / 3))  # squares at (1, 1), (3, 1), (1, 3)
    for changed in (turned(L_SHAPE, 0.7), scaled(L_SHAPE, 1.5)):
        assert centre_of(changed) == pytest.approx((5 / 3, 5 / 3))


def test_turning_keeps_the_area_and_scaling_squares_the_factor() -> None:
    assert area_of(turned(L_SHAPE, 0.7)) == pytest.approx(12)
    assert area_of(scaled(L_SHAPE, 0.5)) == pytest.approx(3)
    assert turned(SQUARE, math.pi) == pytest.approx(SQUARE[[2, 3, 0, 1]])
