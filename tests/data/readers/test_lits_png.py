"""LiTS slices: two masks become one label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pkgs.data.items import DataError
from pkgs.data.readers.lits_png import LitsPng
from tests.builders.aerial import save
from tests.builders.lits_png import write_lits_png


def test_the_tumour_wins_where_both_masks_are_set(tmp_path: Path) -> None:
    reader = LitsPng()
    sample = next(s for s in reader.samples(write_lits_png(tmp_path)) if s.id == "train/volume-27_1")
    label = reader.read(sample)["label"]
    assert label[11, 15:26].tolist() == [1, 1, 1, 2, 2, 2, 2, 2, 2, 0, 0]
    assert label.dtype == np.uint8


def test_slices_are_grouped_by_volume_and_keep_their_part(tmp_path: Path) -> None:
    samples = LitsPng().samples(write_lits_png(tmp_path) / "Clean_LiTS")
    assert {(s.group, s.part) for s in samples} == {
        ("volume-3", "train"),
        ("volume-27", "train"),
        ("volume-40", "val"),
        ("volume-104", "test"),
    }


def test_a_missing_mask_is_an_error_and_no_empty_mask(tmp_path: Path) -> None:
    home = write_lits_png(tmp_path) / "Clean_LiTS/val/segmentations"
    (home / "segmentation-40_livermask_2.png").unlink()
    with pytest.raises(DataError, match=r"1 files without a partner: volume-40_2 \(no livermask\)"):
        LitsPng().samples(tmp_path)


def test_masks_of_other_shapes_are_refused(tmp_path: Path) -> None:
    reader = LitsPng()
    write_lits_png(tmp_path)
    sample = reader.samples(tmp_path)[0]
    save(sample.files["tumour"], np.zeros((8, 8), np.uint8))
    with pytest.raises(DataError, match=r"differ in shape: .*lesionmask_0\.png has \(8, 8\)"):
        reader.header(sample)


def test_a_file_of_another_name_is_listed(tmp_path: Path) -> None:
    home = write_lits_png(tmp_path) / "Clean_LiTS/test"
    save(home / "volumes/copy of volume-104_0.png", np.zeros((8, 8), np.uint8))
    with pytest.raises(
        DataError, match=r"1 files are not called as in the release: copy of volume-104_0\.png"
    ):
        LitsPng().samples(tmp_path)
