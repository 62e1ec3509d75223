"""Where each class lies: looked up once, the same in every run."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from pkgs.data.class_index import TABLE, VOXELS, build_index, open_index
from pkgs.data.items import DataError

CLASSES = ("background", "kidney", "tumour")


def volumes() -> list[tuple[str, np.ndarray]]:
    a, b = np.zeros((5, 6, 7), np.uint8), np.zeros((4, 4, 4), np.uint8)
    a[1, 2, 3], a[4, 5, 6], a[0, 0, 0] = 1, 1, 255
    b[2:, 2:, 2:] = 2
    return [("a", a), ("b", b)]


def coordinates(folder: Path, *, case: int, slot: int) -> list[tuple[int, ...]]:
    index = open_index(folder)
    number = np.arange(index.stored[case, slot])
    whole = index.coordinates(np.full_like(number, case), slot=np.full_like(number, slot), number=number)
    return [tuple(row) for row in whole.tolist()]


def test_coordinates_and_counts_are_those_of_the_masks(tmp_path: Path) -> None:
    index = build_index(volumes(), tmp_path, classes=CLASSES)
    assert index.counts.tolist() == [[5 * 6 * 7 - 3, 2, 0], [64 - 8, 0, 8]]
    assert coordinates(tmp_path, case=0, slot=1) == [(1, 2, 3), (4, 5, 6)]
    assert coordinates(tmp_path, case=1, slot=2) == [tuple(row) for row in np.argwhere(volumes()[1][1] == 2)]


def test_a_huge_class_is_thinned_evenly_and_the_same_in_every_run(tmp_path: Path) -> None:
    label = np.ones((20, 20, 20), np.uint8)
    for folder in (tmp_path / "one", tmp_path / "two"):
        index = build_index([("x", label)], folder, classes=("background", "all"), cap=500)
        assert (index.counts[0, 1], index.stored[0, 1]) == (8000, 500)
    kept = coordinates(tmp_path / "one", case=0, slot=1)
    assert kept == coordinates(tmp_path / "two", case=0, slot=1)
    assert len(set(kept)) == 500
    assert np.abs(np.mean(kept, axis=0) - 9.5).max() < 1.0  # sd of the mean: 0.26


def test_pure_background_is_every_start_without_foreground(tmp_path: Path) -> None:
    window = (2, 3, 1)
    index = build_index(volumes(), tmp_path, classes=CLASSES, pure_windows=[window])
    found = set(coordinates(tmp_path, case=0, slot=index.pure_slot(window)))
    label = volumes()[0][1]
    expected = {
        start
        for start in np.ndindex(4, 4, 7)
        if not np.isin(
            label[tuple(slice(s, s + w) for s, w in zip(start, window, strict=True))], (1, 2)
        ).any()
    }
    assert found == expected
    with pytest.raises(ValueError, match=r"was built without pure background of \(9, 9, 9\) voxels"):
        index.pure_slot((9, 9, 9))


def test_it_pickles_without_its_coordinates(tmp_path: Path) -> None:
    index = build_index([("x", np.ones((30, 30, 30), np.uint8))], tmp_path, classes=("background", "all"))
    zero = np.zeros(1, np.int64)
    index.coordinates(zero, slot=zero + 1, number=zero)
    packed = pickle.dumps(index)
    assert len(packed) < 2000
    again = pickle.loads(packed)  # noqa: S301 - our own bytes
    assert again.coordinates(zero, slot=zero + 1, number=zero).tolist() == [[0, 0, 0]]


def test_a_label_in_no_class_is_refused_with_the_case(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"Case b: labels \[2\] are in none of the 2 classes \(background, kidney\)"
    ):
        build_index(volumes(), tmp_path, classes=CLASSES[:2])
    with pytest.raises(DataError, match=r"Case c: a mask of shape \(3, 3\); expected 3-D"):
        build_index([("c", np.zeros((3, 3), np.uint8))], tmp_path, classes=CLASSES)


def test_an_index_cut_short_or_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no complete index of classes .* Build it anew"):
        open_index(tmp_path)
    build_index(volumes(), tmp_path, classes=CLASSES)
    (tmp_path / VOXELS).write_bytes((tmp_path / VOXELS).read_bytes()[:-4])
    with pytest.raises(DataError, match=r"is damaged or of another version"):
        open_index(tmp_path)
    (tmp_path / TABLE).write_text("{")
    with pytest.raises(DataError, match=r"holds no complete index"):
        open_index(tmp_path)


def test_masks_without_any_foreground_make_an_empty_index(tmp_path: Path) -> None:
    index = build_index([("x", np.zeros((3, 3, 3), np.uint8))], tmp_path, classes=CLASSES)
    assert index.stored.sum() == 0
