"""SegTHOR: both names of the reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.data.items import DataError
from pkgs.data.readers.segthor import SegThor
from tests.builders.segthor import write_segthor


def test_both_names_of_the_reference_are_found(tmp_path: Path) -> None:
    samples = SegThor().samples(write_segthor(tmp_path))
    names = [sample.files["label"].name if "label" in sample.files else None for sample in samples]
    assert [sample.id for sample in samples] == ["Patient_01", "Patient_02", "Patient_03"]
    assert names == ["GT.nii.gz", "GT_02.nii.gz", None]
    assert set(SegThor().read(samples[0])["label"].ravel().tolist()) == {0, 1, 2, 3, 4}


def test_two_references_of_one_patient_are_refused(tmp_path: Path) -> None:
    folder = write_segthor(tmp_path) / "Patient_01"
    (folder / "GT_01.nii.gz").write_bytes((folder / "GT.nii.gz").read_bytes())
    with pytest.raises(DataError, match=r"Patient_01 \(both GT\.nii\.gz and GT_01\.nii\.gz; keep one\)"):
        SegThor().samples(tmp_path)
