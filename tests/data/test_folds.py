"""Grouped folds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkgs.data.folds import fitting_folds, grouped_folds, parts_of_fold, read_folds, write_folds
from pkgs.data.items import DataError, Sample
from pkgs.data.split import leaks


def tiles(count: int) -> list[Sample]:
    return [
        Sample(f"t{t:03d}_{k}", f"t{t:03d}", {"image": Path("i")})
        for t in range(count)
        for k in range(t % 5 + 1)
    ]


@settings(max_examples=30, deadline=None)
@given(st.integers(5, 60), st.integers(2, 5), st.integers(0, 99))
def test_no_tile_stands_in_two_folds_and_folds_are_about_equal(count: int, folds: int, seed: int) -> None:
    fold_of = grouped_folds(tiles(count), folds=folds, seed=seed)
    assert len({(s.group, fold_of[s.id]) for s in tiles(count)}) == count
    sizes = Counter(fold_of.values())
    assert max(sizes.values()) - min(sizes.get(fold, 0) for fold in range(folds)) <= 5


def test_folds_by_class_hold_each_class() -> None:
    def classes(sample: Sample) -> list[int]:
        return [int(sample.group[1:]) % 3]

    fold_of = grouped_folds(tiles(30), folds=5, seed=42, classes=classes)
    found = Counter({(s.group, classes(s)[0], fold_of[s.id]) for s in tiles(30)})
    assert set(Counter((kind, fold) for _, kind, fold in found).values()) == {2}


def test_written_folds_are_read_back_and_fit(tmp_path: Path) -> None:
    path, samples = tmp_path / "splits" / "folds.csv", tiles(20)
    fold_of = grouped_folds(samples, folds=5, seed=42)
    write_folds(path, samples, fold_of=fold_of, digests={s.id: f"d{s.id}" for s in samples})
    entries = read_folds(path)
    fitting_folds(path, entries, samples=samples, fold_of=fold_of)
    assert path.read_text().splitlines()[0] == "sample,group,fold,digest"
    assert leaks(entries) == ([], [])
    with pytest.raises(DataError, match="would differ"):
        fitting_folds(path, entries, samples=samples, fold_of=grouped_folds(samples, folds=5, seed=1))
    with pytest.raises(DataError, match="does not fit the data"):
        fitting_folds(path, entries, samples=tiles(21), fold_of=fold_of)


def test_the_parts_of_a_fold_share_no_group(tmp_path: Path) -> None:
    path, samples = tmp_path / "folds.csv", tiles(20)
    write_folds(path, samples, fold_of=grouped_folds(samples, folds=4, seed=42), digests={})
    entries = read_folds(path)
    for fold in range(4):
        part_of = parts_of_fold(entries, fold=fold, val=0.1, seed=42)
        assert {e.sample for e in entries if e.split == str(fold)} == {
            k for k, p in part_of.items() if p == "test"
        }
        assert len({(e.group, part_of[e.sample]) for e in entries}) == 20
        assert "val" in part_of.values()


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(DataError, match="9 folds of 4 groups"):
        grouped_folds(tiles(4), folds=9, seed=0)


def test_a_fold_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write_folds(tmp_path / "a.csv", tiles(6), fold_of=grouped_folds(tiles(6), folds=2, seed=0), digests={})
    with pytest.raises(DataError, match="Fold 2 is not in the file; it has 2"):
        parts_of_fold(read_folds(tmp_path / "a.csv"), fold=2, val=0.1, seed=0)
    (tmp_path / "b.csv").write_text("sample,group,fold,digest\na,b,train,c\n")
    with pytest.raises(DataError, match=r"line 2.*number of the fold"):
        read_folds(tmp_path / "b.csv")
