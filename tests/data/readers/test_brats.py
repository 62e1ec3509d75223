"""BraTS 2020: modalities as channels, slices, and the label 4."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pkgs.data.items import DataError
from pkgs.data.readers.brats import Brats
from tests.builders.brats import draw_brats, write_brats, write_brats_slices
from tests.builders.nifti import affine_of, write_nifti


def test_modalities_become_channels_in_the_wanted_order(tmp_path: Path) -> None:
    volumes, labels = draw_brats(1)
    for channels in (("t1", "t1ce", "flair"), ("flair", "t2")):
        reader = Brats(channels, sliced=False)
        item = reader.read(reader.samples(write_brats(tmp_path / channels[0]))[0])
        assert np.array_equal(item["image"], np.stack([volumes[name] for name in channels]))
        assert np.array_equal(item["label"], np.where(labels == 4, 3, labels))


def test_slices_put_together_are_the_volume(tmp_path: Path) -> None:
    reader = Brats()
    samples = reader.samples(write_brats(tmp_path, ending=".nii"))[:6]
    assert [sample.id for sample in samples[:2]] == ["BraTS20_Training_001/000", "BraTS20_Training_001/001"]
    assert {sample.group for sample in samples} == {"BraTS20_Training_001"}
    image = np.stack([reader.read(sample)["image"] for sample in samples], axis=-1)
    assert np.array_equal(image[1], draw_brats(1)[0]["t1ce"])
    assert reader.header(samples[0]).spacing_mm == pytest.approx((1, 1))


def test_slice_files_keep_patients_together(tmp_path: Path) -> None:
    samples = Brats().samples(write_brats_slices(tmp_path))
    assert {(sample.group, sample.part) for sample in samples} == {
        ("BraTS20_Training_001", "train"),
        ("BraTS20_Training_002", "val"),
    }
    assert Brats().read(samples[0])["label"].max() == 3


def test_slice_files_without_a_name_of_the_release_are_grouped_by_their_folder(tmp_path: Path) -> None:
    for path in sorted(write_brats_slices(tmp_path).rglob("*.npy")):
        path.rename(path.with_name(path.name.replace("BraTS20_Training_", "p")))
    assert {sample.group for sample in Brats().samples(tmp_path)} == {"patient_1", "patient_2"}


def test_the_misnamed_mask_of_the_release_is_found(tmp_path: Path) -> None:
    folder = write_brats(tmp_path) / "BraTS20_Training_001"
    (folder / "BraTS20_Training_001_seg.nii.gz").rename(folder / "W39_1998.09.19_Segm.nii.gz")
    assert "label" in Brats(sliced=False).samples(tmp_path)[0].files


def test_a_missing_modality_is_named(tmp_path: Path) -> None:
    folder = write_brats(tmp_path) / "BraTS20_Training_002"
    (folder / "BraTS20_Training_002_t1ce.nii.gz").unlink()
    with pytest.raises(
        DataError, match=r"BraTS20_Training_002 \(no BraTS20_Training_002_t1ce\.nii\[\.gz\]\)"
    ):
        Brats().samples(tmp_path)


def test_a_missing_modality_of_a_slice_is_named(tmp_path: Path) -> None:
    path = write_brats_slices(tmp_path) / "train" / "patient_1" / "BraTS20_Training_001_1_flair.npy"
    path.unlink()
    with pytest.raises(DataError, match=r"BraTS20_Training_001_1 \(no BraTS20_Training_001_1_flair\.npy\)"):
        Brats().samples(tmp_path)


def test_label_3_of_no_class_is_refused(tmp_path: Path) -> None:
    sample = Brats(sliced=False).samples(write_brats(tmp_path))[0]
    labels = draw_brats(1)[1]
    labels[1, 1, 1] = 3
    write_nifti(sample.files["label"], labels, affine_of("flipped", spacing_mm=(1, 1, 1)))
    with pytest.raises(DataError, match=r"_seg\.nii\.gz: holds the labels 3"):
        Brats(sliced=False).read(sample)


def test_a_case_whose_slices_are_not_axial_is_refused(tmp_path: Path) -> None:
    for path in (write_brats(tmp_path) / "BraTS20_Training_001").iterdir():
        write_nifti(path, draw_brats(1)[1], affine_of("slices_first"))
    with pytest.raises(DataError, match=r"last array axis does not run from foot to head"):
        Brats().samples(tmp_path)


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    reader = Brats(sliced=False)
    sample = reader.samples(write_brats(tmp_path))[0]
    reader.read(sample)
    volume = draw_brats(1)[0]["t1"] + 1000
    write_nifti(sample.files["t1"], volume.astype(np.int16), affine_of("flipped", spacing_mm=(1, 1, 1)))
    assert np.array_equal(reader.read(sample)["image"][0], volume)


def test_modalities_of_different_dtypes_or_grids_are_refused(tmp_path: Path) -> None:
    reader = Brats(sliced=False)
    sample = reader.samples(write_brats(tmp_path))[0]
    affine = affine_of("flipped", spacing_mm=(1, 1, 1))
    write_nifti(sample.files["flair"], draw_brats(1)[0]["flair"].astype(np.float32), affine)
    with pytest.raises(DataError, match=r"t1\.nii\.gz is int16, .*flair\.nii\.gz is float32"):
        reader.read(sample)
    write_nifti(sample.files["flair"], draw_brats(1)[0]["flair"][:-1], affine)
    with pytest.raises(DataError, match=r"Case BraTS20_Training_001: .* differ in shape"):
        reader.header(sample)
    sample.files["t1"].unlink()
    with pytest.raises(DataError, match=r"t1\.nii\.gz: is missing"):
        reader.header(sample)
