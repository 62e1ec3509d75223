"""NIfTI files: headers without voxels, dtypes, and every way in which a file can be broken."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from pkgs.data.formats.nifti import read_header, read_image, read_labels, stem_of, write_like
from pkgs.data.items import DataError
from tests.builders.nifti import GEOMETRIES, affine_of, cut_short, draw_case, write_nifti

VOLUME = draw_case(0)[0]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_header_and_voxels_are_nibabels(geometry: str, ending: str, tmp_path: Path) -> None:
    path = write_nifti(tmp_path / f"a{ending}", VOLUME, affine_of(geometry))
    theirs = nibabel.Nifti1Image.from_bytes(_unpacked(path))
    header = read_header(path)
    assert np.array_equal(header.affine, theirs.affine)
    assert header.shape == theirs.shape
    assert header.spacing_mm == pytest.approx((1.5, 2.0, 3.0), abs=1e-5)
    assert np.array_equal(read_image(path), np.asarray(theirs.dataobj))


@pytest.mark.parametrize(
    ("stored", "decoded"),
    [("uint8", "uint8"), ("int16", "int16"), ("uint16", "int32"), ("int32", "int32"), ("float64", "float32")],
)
def test_whole_numbers_stay_whole_and_there_is_no_uint16(stored: str, decoded: str, tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", np.abs(VOLUME % 200).astype(stored), np.eye(4))
    assert read_header(path).dtype == decoded
    assert read_image(path).dtype == decoded


def test_scaled_values_are_float32(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", VOLUME, np.eye(4), slope=0.5, inter=-1024)
    assert read_header(path).dtype == "float32"
    assert np.array_equal(read_image(path), (VOLUME * 0.5 - 1024).astype(np.float32))


def test_big_endian_voxels_are_turned(tmp_path: Path) -> None:
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    raw = nibabel.Nifti1Image(VOLUME.astype(">i2"), np.eye(4), header).to_bytes()
    (tmp_path / "a.nii").write_bytes(raw)
    assert np.array_equal(read_image(tmp_path / "a.nii"), VOLUME)
    assert read_image(tmp_path / "a.nii").dtype == np.dtype("int16")


def test_an_axis_of_length_one_at_the_end_is_dropped(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", VOLUME[..., None], np.eye(4))
    assert read_header(path).shape == VOLUME.shape
    assert np.array_equal(read_image(path), VOLUME)


def test_the_header_is_read_without_the_voxels(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", VOLUME, np.eye(4))
    path.write_bytes(path.read_bytes()[:600])
    assert read_header(path).shape == VOLUME.shape
    with pytest.raises(DataError, match=r"a\.nii: 600 bytes where its header promises 2272"):
        read_image(path)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_truncated_file_is_refused_wherever_it_was_cut(share: float, tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", VOLUME, np.eye(4))
    cut_short(path, share=share)
    with pytest.raises(DataError, match=r"a\.nii\.gz: (cannot be unpacked|is not a single-file NIfTI)"):
        read_image(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", VOLUME, np.eye(4))
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1  # in the checksum: the voxels decode, and nibabel would not look
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"cut off or damaged"):
        read_image(path)


def test_what_is_no_nifti_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"hello world" * 100)
    with pytest.raises(DataError, match=r"a\.nii: is not a single-file NIfTI volume"):
        read_header(tmp_path / "a.nii")
    with pytest.raises(DataError, match=r"b\.nii: is missing"):
        read_header(tmp_path / "b.nii")


def test_nan_is_refused_with_its_place(tmp_path: Path) -> None:
    volume = VOLUME.astype(np.float32)
    volume[2, 3, 4] = np.nan
    path = write_nifti(tmp_path / "a.nii.gz", volume, np.eye(4))
    with pytest.raises(
        DataError, match=r"a\.nii\.gz: 1 voxels are NaN or infinite, the first at \(2, 3, 4\)"
    ):
        read_image(path)


def test_four_dimensions_and_odd_types_are_refused(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", np.zeros((3, 3, 3, 2), np.int16), np.eye(4))
    with pytest.raises(DataError, match=r"a\.nii: 4-D, shape \(3, 3, 3, 2\); expected one 3-D volume"):
        read_header(path)
    path = write_nifti(tmp_path / "b.nii", np.zeros((3, 3, 3), np.complex64), np.eye(4))
    with pytest.raises(DataError, match=r"b\.nii: voxels of type complex64"):
        read_header(path)


def test_an_affine_without_extent_is_refused(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", VOLUME, np.eye(4))
    raw = bytearray(path.read_bytes())
    raw[312:328] = bytes(16)  # srow_z
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"a\.nii: its affine has no size along some axis"):
        read_header(path)


def test_labels_may_be_stored_as_floats_if_they_are_whole(tmp_path: Path) -> None:
    labels = draw_case(0)[1]
    path = write_nifti(tmp_path / "a.nii.gz", labels.astype(np.float64), np.eye(4))
    assert np.array_equal(read_labels(path), labels)
    assert read_labels(path).dtype == np.uint8
    write_nifti(path, labels.astype(np.float32) / 2, np.eye(4))
    with pytest.raises(DataError, match=r"a\.nii\.gz: \d+ labels are not whole numbers, such as 0\.5"):
        read_labels(path)


def test_labels_out_of_range_are_refused(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", VOLUME, np.eye(4))
    with pytest.raises(DataError, match=r"a\.nii: labels from -\d+ to \d+; expected 0 to 255"):
        read_labels(path)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_prediction_carries_the_geometry_of_its_scan_bit_for_bit(geometry: str, tmp_path: Path) -> None:
    scan = nibabel.Nifti1Image(VOLUME, affine_of(geometry))
    scan.set_qform(affine_of(geometry), 1)
    scan.set_sform(affine_of(geometry), 2)
    (tmp_path / "scan.nii").write_bytes(scan.to_bytes())
    labels = draw_case(0)[1]
    write_like(tmp_path / "out.nii.gz", labels, like=tmp_path / "scan.nii")
    old, new = scan.header, nibabel.Nifti1Image.from_bytes(_unpacked(tmp_path / "out.nii.gz")).header
    fields = ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y")
    for name in (*fields, "qoffset_z", "srow_x", "srow_y", "srow_z", "pixdim"):
        assert old[name].tobytes() == new[name].tobytes()
    assert np.array_equal(read_labels(tmp_path / "out.nii.gz"), labels)
    first = (tmp_path / "out.nii.gz").read_bytes()
    write_like(tmp_path / "out.nii.gz", labels, like=tmp_path / "scan.nii")
    assert (tmp_path / "out.nii.gz").read_bytes() == first


def test_a_prediction_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", VOLUME, np.eye(4))
    with pytest.raises(DataError, match=r"out\.nii: shape \(3, 3, 3\); expected \(12, 10, 8\)"):
        write_like(tmp_path / "out.nii", np.zeros((3, 3, 3), np.uint8), like=path)


def test_stems_leave_both_endings_away() -> None:
    assert stem_of(Path("a/b.c.nii.gz")) == stem_of(Path("b.c.nii")) == "b.c"


def _unpacked(path: Path) -> bytes:
    import gzip

    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
