"""Own volumes: three layouts, told apart by the names of the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.data.items import DataError
from pkgs.data.readers.volume_folder import VolumeFolder
from tests.builders.volume_folder import write_volume_folder


def test_the_three_layouts_hold_the_same_cases(tmp_path: Path) -> None:
    for layout in ("cases", "images", "table"):
        samples = VolumeFolder().samples(write_volume_folder(tmp_path / layout, layout=layout))
        assert [sample.id for sample in samples] == ["c0", "c1", "c2"]
        assert ["label" in sample.files for sample in samples] == [True, True, False]


def test_a_table_says_patient_and_part(tmp_path: Path) -> None:
    samples = VolumeFolder().samples(write_volume_folder(tmp_path, layout="table"))
    assert [(sample.group, sample.part) for sample in samples] == [
        ("p0", ""),
        ("p0", "train"),
        ("p1", "train"),
    ]


def test_a_table_without_a_column_is_refused_with_what_it_has(tmp_path: Path) -> None:
    table = write_volume_folder(tmp_path, layout="table") / "cases.csv"
    table.write_text(table.read_text().replace("patient,", "person,", 1))
    with pytest.raises(DataError, match=r"the column patient is missing; it has case, person, image"):
        VolumeFolder().samples(tmp_path)


def test_a_table_that_names_a_missing_file_says_line_and_path(tmp_path: Path) -> None:
    write_volume_folder(tmp_path, layout="table")
    (tmp_path / "masks" / "of_1.nii").unlink()
    with pytest.raises(DataError, match=r"cases\.csv, line 3: .*masks/of_1\.nii is missing"):
        VolumeFolder().samples(tmp_path)


def test_a_table_with_another_split_is_refused(tmp_path: Path) -> None:
    table = write_volume_folder(tmp_path, layout="table") / "cases.csv"
    table.write_text(table.read_text().replace(",train", ",training", 1))
    with pytest.raises(DataError, match=r"split 'training'; expected train, val, test or nothing"):
        VolumeFolder().samples(tmp_path)


def test_a_label_without_an_image_is_named(tmp_path: Path) -> None:
    for layout, path in (("cases", "c1/image.nii.gz"), ("images", "images/c1.nii.gz")):
        (write_volume_folder(tmp_path / layout, layout=layout) / path).unlink()
        with pytest.raises(DataError, match=r"c1 \(a label without an image\)"):
            VolumeFolder().samples(tmp_path / layout)


def test_labels_of_the_data_sheet_are_enforced(tmp_path: Path) -> None:
    sample = VolumeFolder().samples(write_volume_folder(tmp_path, layout="cases"))[0]
    with pytest.raises(DataError, match=r"label\.nii\.gz: holds the labels 2, .* \(known: 0, 1\)"):
        VolumeFolder(labels=(0, 1)).read(sample)
