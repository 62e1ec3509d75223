"""Few labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkgs.data.items import DataError, Sample
from pkgs.data.subsets import draw_subset


def photos(per_class: int, *, classes: int = 10) -> list[Sample]:
    return [
        Sample(f"c{c:02d}_{k:04d}", f"c{c:02d}_{k:04d}", {"image": Path("i")}, "train", (c,))
        for c in range(classes)
        for k in range(per_class)
    ]


def patients(rows: list[list[int]]) -> list[Sample]:
    """One patient per row, one image per entry: the finding of that image."""
    return [
        Sample(
            f"p{p:03d}_{k}", f"p{p:03d}", {"image": Path("i")}, "train", tuple(int(f == c) for c in range(4))
        )
        for p, row in enumerate(rows)
        for k, f in enumerate(row)
    ]


def test_a_tenth_of_each_class_is_drawn() -> None:
    subset = draw_subset(photos(50), share=0.1, seed=3)
    assert subset.per_class == dict.fromkeys(range(10), 5)
    assert subset.told() == (
        "subset of 50 of 500 samples in 50 of 500 groups; samples per class "
        "0: 5, 1: 5, 2: 5, 3: 5, 4: 5, 5: 5, 6: 5, 7: 5, 8: 5, 9: 5."
    )


def test_a_share_too_small_for_a_class_still_has_one_of_it() -> None:
    subset = draw_subset(photos(50), share=0.001, seed=3)
    assert subset.per_class == dict.fromkeys(range(10), 1)


rows = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(rows, st.integers(0, 99), st.floats(0.001, 1), st.floats(0.001, 1))
def test_subsets_are_nested_whole_by_group_and_hold_every_class(
    rows: list[list[int]], seed: int, one: float, two: float
) -> None:
    samples = patients(rows)
    small, large = (draw_subset(samples, share=share, seed=seed) for share in sorted((one, two)))
    assert {s.id for s in small.samples} <= {s.id for s in large.samples}
    chosen = {s.group for s in small.samples}
    assert len(small.samples) == sum(s.group in chosen for s in samples)
    assert set(small.per_class) == {f for row in rows for f in row}


def test_the_whole_is_the_subset_of_share_one_in_the_given_order() -> None:
    assert list(draw_subset(photos(3), share=1, seed=0).samples) == photos(3)


def test_another_seed_draws_others_and_the_order_of_the_samples_does_not_matter() -> None:
    first = draw_subset(photos(50), share=0.1, seed=1)
    assert {s.id for s in first.samples} != {s.id for s in draw_subset(photos(50), share=0.1, seed=2).samples}
    again = draw_subset(photos(50)[::-1], share=0.1, seed=1)
    assert {s.id for s in first.samples} == {s.id for s in again.samples}


def test_samples_can_be_drawn_apart_from_their_groups() -> None:
    samples = patients([[0] * 4] * 10)
    subset = draw_subset(samples, share=0.25, seed=0, by_sample=True)
    assert len(subset.samples) == 10
    assert max(Counter(s.group for s in subset.samples).values()) < 4


def test_sets_without_classes_are_drawn_by_group_alone() -> None:
    volumes = [Sample(f"v{v}_{k}", f"v{v}", {"image": Path("i")}) for v in range(20) for k in range(6)]
    subset = draw_subset(volumes, share=0.1, seed=0)
    assert (subset.groups, len(subset.samples)) == (2, 12)
    counted = draw_subset(volumes, share=0.01, seed=0, classes=lambda s: [2] if s.group == "v7" else [1])
    assert "v7" in {s.group for s in counted.samples}


@pytest.mark.parametrize("share", [0, -0.1, 1.1])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(DataError, match="expected a share above 0, at most 1"):
        draw_subset(photos(2), share=share, seed=0)


@pytest.mark.parametrize("seed", range(12))
def test_a_class_that_only_ever_comes_with_rarer_ones_is_not_lost(seed: int) -> None:
    # class 3 is held by one of three patients of each of the classes 0, 1, 2, and is no rarer than they are
    rows = [[own] for own in (0, 1, 2) for _ in range(2)] + [[own, 3] for own in (0, 1, 2)]
    assert set(draw_subset(patients(rows), share=0.05, seed=seed).per_class) == {0, 1, 2, 3}
