"""Overlapping patches in different parts of a split."""

from __future__ import annotations

import pytest

from pkgs.data.config import SplitConfig
from pkgs.data.overlaps import overlapping
from pkgs.data.split import Entry, check_leaks


def test_neighbours_along_rows_columns_and_diagonals_overlap_and_those_two_steps_away_do_not() -> None:
    part_of = {
        f"t_1_2_{row}_{column}": "test" if (row, column) == (209, 209) else "train"
        for row in (0, 209, 418, 627)
        for column in (0, 209, 418)
    }
    assert len(overlapping(part_of)) == 8


def test_a_pair_is_told_once_with_its_parts() -> None:
    told = overlapping({"t_1_2_0_0": "train", "t_1_2_0_209": "val", "t_1_2_0_418": "val"})
    assert told == ["t_1_2_0_0 (train) = t_1_2_0_209 (val)"]


@pytest.mark.parametrize(
    "ids",
    [
        ("a_1_2_0_0", "b_1_2_0_52"),
        ("x/a_1_2_0_0", "y/a_1_2_0_52"),
        ("img_1", "img_2"),
        ("a_1_2_0_x", "a_1_2_0_0"),
    ],
)
def test_patches_of_other_tiles_and_other_names_overlap_nothing(ids: tuple[str, str]) -> None:
    assert overlapping(dict(zip(ids, ("train", "test"), strict=True))) == []


def test_the_step_is_that_of_the_set() -> None:
    part_of = {"t_1_2_0_0": "train", "t_1_2_0_52": "test", "u_1_2_0_104": "train", "u_1_2_0_0": "test"}
    assert overlapping(part_of) == ["t_1_2_0_0 (train) = t_1_2_0_52 (test)"]


def test_a_split_by_patch_says_what_it_leaks() -> None:
    entries = [Entry("t_1_2_0_0", "t_1_2", "train", ""), Entry("t_1_2_0_209", "t_1_2", "test", "")]
    warnings: list[str] = []
    check_leaks(entries, config=SplitConfig(by="patch"), warn=warnings)
    assert warnings == [
        "1 sources stand in more than one part of the split: t_1_2.",
        "1 pairs of overlapping patches stand in different parts: t_1_2_0_0 (train) = t_1_2_0_209 (test).",
    ]


def test_folds_may_hold_an_image_twice_and_say_so() -> None:
    entries = [Entry("a", "a", "train", "0"), Entry("b", "b", "test", "0")]
    warnings: list[str] = []
    check_leaks(entries, config=SplitConfig(by="folds"), warn=warnings)
    assert warnings == ["1 images stand in more than one part of the split: a (train) = b (test)."]
