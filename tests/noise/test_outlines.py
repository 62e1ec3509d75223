from __future__ import annotations

import numpy as np
import pytest

from pkgs.noise.outlines import doubled_area, polygons


def mask(*lines: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in line] for line in lines])


def test_a_rectangle_has_four_corners() -> None:
    (rings,) = polygons(mask("....", ".##.", ".##."))
    assert [sorted(set(ring)) for ring in rings] == [[(1, 1), (1, 3), (3, 1), (3, 3)]]
    assert rings[0][0] == rings[0][-1]


def test_a_hole_is_a_ring_of_its_own() -> None:
    (rings,) = polygons(mask("###", "#.#", "###"))
    assert [abs(doubled_area(ring)) / 2 for ring in rings] == [9, 1]


def test_parts_that_touch_at_a_corner_are_two_polygons() -> None:
    assert len(polygons(mask("#.", ".#"))) == 2


def test_a_ring_that_closes_at_a_corner_has_a_hole() -> None:
    (rings,) = polygons(mask("###", "#.#", "##."))  # the hole and the outside touch at a corner
    assert [abs(doubled_area(ring)) / 2 for ring in rings] == [8, 1]


def test_an_empty_mask_has_no_polygon() -> None:
    assert polygons(mask("..", "..")) == []


@pytest.mark.parametrize("seed", range(40))
def test_rings_are_simple_run_opposite_ways_and_hold_each_pixel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.random((9, 11)) < rng.random()
    area = 0.0
    for rings in polygons(pixels):
        areas = [doubled_area(ring) / 2 for ring in rings]
        assert areas[0] > 0
        assert all(hole < 0 for hole in areas[1:])
        assert all(ring[0] == ring[-1] and len(set(ring)) == len(ring) - 1 for ring in rings)
        area += sum(areas)
    assert area == pixels.sum()
