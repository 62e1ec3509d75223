"""Which files a folder holds."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

import pytest

from pkgs.data.formats.folders import child, descend, files_by_stem, find_child, matched, require_root
from pkgs.data.items import DataError


def files(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_files_are_found_by_stem_and_ending(tmp_path: Path) -> None:
    files(tmp_path, "a.png", "b.v2.PNG", "c.txt", ".d.png", "._a.png", "png")
    (tmp_path / "e.png").mkdir()
    assert files_by_stem(tmp_path, (".png",)) == {"a": tmp_path / "a.png", "b.v2": tmp_path / "b.v2.PNG"}


def test_no_file_is_looked_at_one_by_one(tmp_path: Path) -> None:
    files(tmp_path, *(f"{number}.png" for number in range(50)))
    with (
        patch.object(os, "stat", side_effect=AssertionError),
        patch.object(os, "lstat", side_effect=AssertionError),
    ):
        assert len(files_by_stem(tmp_path, (".png",))) == 50


def test_equal_names_up_to_the_ending_are_listed(tmp_path: Path) -> None:
    files(tmp_path, "a.png", "a.tif", "b.png")
    with pytest.raises(DataError, match=r"same name up to its ending: a\.\w+ and a\.\w+\. Keep one"):
        files_by_stem(tmp_path, (".png", ".tif"))


def test_a_link_is_followed_and_a_dangling_one_is_named(tmp_path: Path) -> None:
    files(tmp_path / "real", "x.png")
    linked = files(tmp_path / "linked")
    (linked / "a.png").symlink_to(tmp_path / "real/x.png")
    assert set(files_by_stem(linked, (".png",))) == {"a"}
    (linked / "b.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(DataError, match=r"links to files that are missing: b\.png\. Restore"):
        files_by_stem(linked, (".png",))


def test_folders_are_compared_without_case_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "Images/Deep").mkdir(parents=True)
    assert child(tmp_path, "IMAGES") == tmp_path / "Images"
    assert descend(tmp_path, ("images", "deep")) == tmp_path / "Images/Deep"
    assert descend(tmp_path, ("images", "none", "deeper")) is None
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"several folders stand for 'images': Images, images\. Keep one"):
        find_child(tmp_path, "images")


def test_a_missing_folder_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(DataError, match=r"the folder 'images' or 'image' is missing; it holds pictures\."):
        child(tmp_path, "images", "image")


def test_a_missing_root_ends_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none: is not a folder\. Fetch it\.$"):
        require_root(tmp_path / "none", remedy="Fetch it.")


def test_what_any_column_lacks_is_listed(tmp_path: Path) -> None:
    here = Path("x")
    assert matched(tmp_path, {"image": {"b": here, "a": here}, "mask": {"a": here, "b": here}}) == ["a", "b"]
    with pytest.raises(
        DataError, match=r"3 files without a partner: a \(no mask\), a \(no truth\), b \(no image\)"
    ):
        matched(tmp_path, {"image": {"a": here}, "mask": {"b": here}, "truth": {"b": here}})
