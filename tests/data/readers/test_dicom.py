"""DICOM series: order, HU and geometry come from the tags."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pkgs.data.items import DataError
from pkgs.data.readers.dicom import Dicom
from tests.builders.dicom import FIRST_MM, STEP_MM, draw_hounsfield, write_dicom, write_slice
from tests.builders.nifti import cut_short


def test_slices_are_ordered_by_position_and_are_hounsfield_units(tmp_path: Path) -> None:
    item = Dicom().read(Dicom().samples(write_dicom(tmp_path))[0])
    assert item["image"].dtype == np.int16
    assert np.array_equal(item["image"][0], draw_hounsfield().transpose(2, 1, 0))


def test_the_affine_is_that_of_nifti(tmp_path: Path) -> None:
    header = Dicom().header(Dicom().samples(write_dicom(tmp_path))[0])
    assert header.spacing_mm == pytest.approx((0.7, 0.8, 2.5))
    assert np.allclose(np.diag(header.affine), [-0.7, -0.8, 2.5, 1])
    assert np.allclose(np.array(header.affine)[:3, 3], [-FIRST_MM[0], -FIRST_MM[1], FIRST_MM[2]])


def test_a_single_slice_has_the_thickness_of_its_tag(tmp_path: Path) -> None:
    header = Dicom().header(Dicom().samples(write_dicom(tmp_path, slices=1))[0])
    assert header.spacing_mm == pytest.approx((0.7, 0.8, 2.5))


def test_a_gap_is_refused_with_its_neighbours(tmp_path: Path) -> None:
    (write_dicom(tmp_path) / "scan_1" / "IM0001").unlink()  # the third slice
    with pytest.raises(DataError, match=r"the slices IM0003 and IM0004 have a gap \(37\.5 and 42\.5 mm"):
        Dicom().header(Dicom().samples(tmp_path)[0])


def test_a_position_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    root = write_dicom(tmp_path)
    write_slice(root / "scan_1" / "IM9", draw_hounsfield()[1], z_mm=FIRST_MM[2] + STEP_MM)
    with pytest.raises(DataError, match=r"the slices IM0003 and IM9 lie at one position .* Keep one of them"):
        Dicom().read(Dicom().samples(root)[0])


def test_two_series_in_one_folder_are_refused(tmp_path: Path) -> None:
    root = write_dicom(tmp_path)
    write_slice(root / "scan_1" / "IM9", draw_hounsfield()[1], z_mm=900, series="9.9")
    with pytest.raises(DataError, match=r"scan_1: its slices differ in SeriesInstanceUID"):
        Dicom().header(Dicom().samples(root)[0])


def test_a_file_that_is_no_dicom_or_cut_off_is_named(tmp_path: Path) -> None:
    folder = write_dicom(tmp_path) / "scan_1"
    (folder / "readme").write_text("hello")
    with pytest.raises(DataError, match=r"readme: is not a DICOM file"):
        Dicom().header(Dicom().samples(tmp_path)[0])
    (folder / "readme").unlink()
    cut_short(folder / "IM0002", share=0.97)
    with pytest.raises(DataError, match=r"IM0002: "):
        Dicom().read(Dicom().samples(tmp_path)[0])


def test_without_pydicom_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Dicom().samples(write_dicom(tmp_path))[0]
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(DataError, match=r"which is not installed: pip install 'queuemanager\[dicom\]'"):
        Dicom().read(sample)
