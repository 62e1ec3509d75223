"""KiTS19: cases, references, and its slice axis that comes first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pkgs.data.formats.volume_pair import require_reference
from pkgs.data.items import DataError
from pkgs.data.readers.kits19 import Kits19
from tests.builders.kits19 import write_kits19
from tests.builders.nifti import affine_of, cut_short, draw_case, write_nifti


def test_the_slice_axis_comes_first_and_int16_stays(tmp_path: Path) -> None:
    reader = Kits19()
    sample = reader.samples(write_kits19(tmp_path))[0]
    header, item = reader.header(sample), reader.read(sample)
    assert header.spacing_mm == pytest.approx((1.5, 2.0, 3.0))
    assert header.affine[2][0] == pytest.approx(-1.5)  # the first array axis runs downwards
    assert item["image"].dtype == np.int16
    assert np.array_equal(item["image"][0], draw_case(0)[0])
    assert np.array_equal(item["label"], draw_case(0)[1])


def test_parts_come_from_the_folders_of_the_release(tmp_path: Path) -> None:
    samples = Kits19().samples(write_kits19(tmp_path, parts=("train", "val")))
    assert {sample.id: sample.part for sample in samples} == {
        "case_00000": "train",
        "case_00001": "val",
        "case_00002": "train",
        "case_00003": "val",
    }


def test_the_cloned_repository_is_found_below_data(tmp_path: Path) -> None:
    write_kits19(tmp_path / "data")
    assert len(Kits19().samples(tmp_path)) == 4


def test_a_case_without_reference_can_be_predicted_and_never_scored(tmp_path: Path) -> None:
    samples = Kits19().samples(write_kits19(tmp_path))
    assert set(Kits19().read(samples[3])) == {"image"}
    require_reference(samples[:3], purpose="scoring")
    with pytest.raises(DataError, match=r"1 of 4 cases have no reference .* scoring: case_00003\."):
        require_reference(samples, purpose="scoring")


def test_a_case_without_an_image_is_named(tmp_path: Path) -> None:
    (write_kits19(tmp_path) / "case_00001" / "imaging.nii.gz").unlink()
    with pytest.raises(DataError, match=r"1 cases cannot be used: case_00001 \(no imaging\.nii\.gz\)"):
        Kits19().samples(tmp_path)


def test_a_case_that_lies_in_two_parts_is_refused(tmp_path: Path) -> None:
    write_kits19(tmp_path / "train")
    write_kits19(tmp_path / "test", cases=1)
    with pytest.raises(DataError, match=r"occur twice: case_00000\. Keep one"):
        Kits19().samples(tmp_path)


def test_another_shape_or_affine_of_the_mask_is_refused_by_name(tmp_path: Path) -> None:
    sample = Kits19().samples(write_kits19(tmp_path))[0]
    labels, affine = draw_case(0)[1], affine_of("slices_first")
    write_nifti(sample.files["label"], labels[:-1], affine)
    with pytest.raises(
        DataError, match=r"Case case_00000: .* differ in shape, \(12, 10, 8\) and \(11, 10, 8\)"
    ):
        Kits19().header(sample)
    affine[0, 3] += 0.25
    write_nifti(sample.files["label"], labels, affine)
    with pytest.raises(DataError, match=r"Case case_00000: the affines of .* differ by up to 0\.25 mm"):
        Kits19().read(sample)


def test_an_affine_that_was_only_rounded_is_accepted(tmp_path: Path) -> None:
    sample = Kits19().samples(write_kits19(tmp_path))[0]
    affine = affine_of("slices_first")
    affine[0, 3] += 0.0005
    write_nifti(sample.files["label"], draw_case(0)[1], affine)
    assert "label" in Kits19().read(sample)


def test_a_label_in_no_class_is_refused_with_the_file(tmp_path: Path) -> None:
    sample = Kits19().samples(write_kits19(tmp_path))[0]
    labels = draw_case(0)[1]
    labels[0, 0, 0] = 7
    write_nifti(sample.files["label"], labels, affine_of("slices_first"))
    with pytest.raises(DataError, match=r"segmentation\.nii\.gz: holds the labels 7, .* \(known: 0, 1, 2\)"):
        Kits19().read(sample)


def test_a_truncated_volume_is_refused_with_the_file(tmp_path: Path) -> None:
    sample = Kits19().samples(write_kits19(tmp_path))[0]
    cut_short(sample.files["image"])
    with pytest.raises(DataError, match=r"imaging\.nii\.gz: cannot be unpacked .* copy or download it anew"):
        Kits19().read(sample)
