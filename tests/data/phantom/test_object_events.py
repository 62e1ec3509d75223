"""What befalls the labels of a tile."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest
from pydantic import ValidationError

from pkgs.data.phantom.aerial_scene import Scene, draw_scene
from pkgs.data.phantom.object_events import OPERATIONS, Labels, NoiseConfig, Shares, draw_labels
from pkgs.data.phantom.outlines import centre_of, raster

ONLY = {name: dict.fromkeys(OPERATIONS, 0.0) | {name: 1.0} for name in OPERATIONS}


@cache
def scene_of(number: int) -> Scene:
    return draw_scene(np.random.default_rng(number), extent=4.0, density=4.0)


def labels_of(number: int, *, side_px: int = 64, seed: int = 0, **settings: object) -> Labels:
    config = NoiseConfig.model_validate(settings)
    return draw_labels(scene_of(number), config, seed=seed, key=f"tile {number}", side_px=side_px)


def area_of(outline: np.ndarray) -> float:
    x, y = outline.T
    return abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())) / 2


@pytest.mark.parametrize("rate", [0.1, 0.35, 0.6])
def test_the_rate_is_the_mean_share_of_buildings_that_are_hit(rate: float) -> None:
    tiles = [labels_of(number, noise_rate=rate) for number in range(40)]
    hits, buildings = (
        sum(map(len, kind)) for kind in zip(*((t.events, t.clean) for t in tiles), strict=True)
    )
    assert hits / buildings == pytest.approx(rate, abs=0.06)


def test_rate_zero_leaves_all_labels_as_they_are() -> None:
    labels = labels_of(0, noise_rate=0)
    assert labels.events == []
    assert all((a == b).all() for a, b in zip(labels.clean, labels.noisy, strict=True))


def test_operations_come_in_their_shares() -> None:
    counts = Counter(event.operation for number in range(40) for event in labels_of(number).events)
    total = sum(counts.values())
    wanted = Shares()
    for name in OPERATIONS:
        assert counts[name] / total == pytest.approx(getattr(wanted, name), abs=0.04)


def test_a_higher_rate_hits_the_same_buildings_and_more() -> None:
    few, many = (
        {event.clean.tobytes() for event in labels_of(0, noise_rate=rate, shares=ONLY["drop"]).events}
        for rate in (0.1, 0.5)
    )
    assert few < many


def test_places_without_noise_are_there_and_can_be_all() -> None:
    full = labels_of(0, noise_rate=1, clean_cells=0)
    assert len(full.events) >= 0.95 * len(full.clean)  # a phantom may find no room
    with pytest.raises(ValidationError, match=r"lower clean_cells to at most 0\.2"):
        NoiseConfig(noise_rate=0.8)


def test_shares_that_do_not_sum_to_one_are_refused_with_their_sum() -> None:
    with pytest.raises(ValidationError, match=r"must sum to 1, got 1.2 \(rotate 0.5"):
        Shares(rotate=0.5)


def test_each_operation_stays_within_its_range() -> None:
    for number in range(5):
        for name in OPERATIONS:
            for event in labels_of(number, shares=ONLY[name]).events:
                assert event.operation == name
                _check(event.operation, event.clean, event.noisy)


def _check(operation: str, clean: np.ndarray, noisy: np.ndarray) -> None:
    if operation in {"drop", "add"}:
        assert (len(clean), len(noisy)).count(0) == 1
        return
    moved_px = float(np.hypot(*np.subtract(centre_of(noisy), centre_of(clean))))
    factor = (area_of(noisy) / area_of(clean)) ** 0.5
    if operation == "resize":
        assert 0.5 < factor < 0.85 or 1.15 < factor < 1.55
    else:
        assert factor == pytest.approx(1, abs=0.03)
    if operation == "shift":
        assert 0.018 * 64 < moved_px < 0.082 * 64
    else:
        assert moved_px < 0.15
    if operation == "rotate":
        one, other = clean[1] - clean[0], noisy[1] - noisy[0]
        cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        assert np.cos(np.radians(91.5)) < cosine < np.cos(np.radians(18.5))


def test_phantoms_lie_apart_from_all_buildings() -> None:
    for number in range(5):
        labels = labels_of(number, shares=ONLY["add"])
        clean = raster(labels.clean, (256, 256))
        phantoms = raster([event.noisy for event in labels.events], (256, 256))
        assert phantoms.any()
        assert not (clean & phantoms).any()


def test_a_shift_of_all_labels_is_the_same_in_all_tiles() -> None:
    steps = set()
    for number in range(3):
        labels = labels_of(number, noise_rate=0, tile_shift=0.08)
        assert len(labels.events) == len(labels.clean) > 0
        steps |= {tuple(np.round(e.noisy[0] - e.clean[0], 4).tolist()) for e in labels.events}
        assert {event.operation for event in labels.events} == {"shift"}
    middle = np.mean(sorted(steps), axis=0)
    assert np.hypot(*middle) == pytest.approx(0.08 * 64, abs=0.05)
    assert np.abs(np.array(sorted(steps)) - middle).max() <= 1 / 16  # corners lie on sixteenths


def test_the_noise_is_the_same_at_any_size_and_another_with_another_seed() -> None:
    small, large, other = labels_of(0), labels_of(0, side_px=128), labels_of(0, seed=1)
    assert [e.operation for e in small.events] == [e.operation for e in large.events]
    for one, two in zip(small.events, large.events, strict=True):
        assert one.noisy == pytest.approx(two.noisy / 2, abs=0.1)
    assert [e.operation for e in small.events] != [e.operation for e in other.events]
