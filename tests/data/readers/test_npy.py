"""Arrays in folders of classes, in a table, and as body-region CT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pkgs.data.items import DataError
from pkgs.data.readers.body_ct import BodyCt
from pkgs.data.readers.npy import Npy
from tests.builders.npy import draw_plane, write_body_ct, write_npy_classes, write_npy_table


def test_classes_are_numbered_over_all_splits(tmp_path: Path) -> None:
    samples = Npy().samples(write_npy_classes(tmp_path))
    assert {(sample.part, sample.id.split("/")[1], sample.vector) for sample in samples} == {
        ("train", "ant", (0,)),
        ("train", "cat", (1,)),
        ("train", "dog", (2,)),
        ("val", "cat", (1,)),
        ("val", "dog", (2,)),
    }
    assert Npy().read(samples[0])["vector"].tolist() == [0]


def test_a_table_gives_numbers_names_masks_or_nothing(tmp_path: Path) -> None:
    samples = Npy().samples(write_npy_table(tmp_path))
    assert [sample.vector for sample in samples] == [(2,), (0, 1, -1), (0,), (), ()]
    assert [sample.group for sample in samples] == [
        "patient_a",
        "patient_a",
        "patient_b",
        "patient_c",
        "files/4.npy",
    ]
    assert np.array_equal(Npy().read(samples[3])["label"], draw_plane(3) > 0)
    assert set(Npy().read(samples[4])) == {"image"}


def test_channels_come_first_wherever_they_lie(tmp_path: Path) -> None:
    (tmp_path / "train" / "a").mkdir(parents=True)
    array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.save(tmp_path / "train" / "a" / "x.npy", array)
    for axes, expected in {"HWC": np.moveaxis(array, 2, 0), "CHW": array, "DHW": array[None]}.items():
        reader = Npy(axes)
        sample = reader.samples(tmp_path)[0]
        assert np.array_equal(reader.read(sample)["image"], expected)
        assert reader.header(sample).arrays["image"].shape == expected.shape


def test_a_volume_where_planes_are_expected_is_refused(tmp_path: Path) -> None:
    path = write_npy_classes(tmp_path) / "train" / "cat" / "a.npy"
    np.save(path, np.zeros((2, 3, 4), np.int16))
    sample = next(sample for sample in Npy().samples(tmp_path) if sample.files["image"] == path)
    with pytest.raises(
        DataError, match=r"a\.npy: 3-D, shape \(2, 3, 4\); expected the axes HW\. Set data\.axes"
    ):
        Npy().read(sample)


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("path,label\n1.npy,0\n")
    with pytest.raises(
        DataError, match=r"table\.csv: the columns group, split are missing; it has path, label"
    ):
        Npy().samples(tmp_path)


def test_a_mask_of_another_shape_is_refused(tmp_path: Path) -> None:
    samples = Npy().samples(write_npy_table(tmp_path))
    np.save(tmp_path / "files" / "mask.npy", np.zeros((8, 7), np.uint8))
    with pytest.raises(DataError, match=r"mask\.npy: shape \(8, 7\); expected \(8, 8\)"):
        Npy().read(samples[3])


def test_unknown_axes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"axes 'HH': expected two or three letters besides C"):
        Npy("HH")


def test_body_ct_takes_regions_by_name_and_number(tmp_path: Path) -> None:
    samples = BodyCt().samples(write_body_ct(tmp_path))
    assert [(s.part, s.vector, s.group) for s in samples][::2] == [
        ("test", (3,), "patient_3"),
        ("train", (0,), "patient_0"),
        ("train", (1,), "patient_1"),
        ("val", (2,), "patient_2"),
    ]


def test_body_ct_refuses_a_file_without_a_row_and_an_unknown_region(tmp_path: Path) -> None:
    table = write_body_ct(tmp_path) / "medical_2D" / "labels.csv"
    text = table.read_text()
    table.write_text(text.replace("0_0.npy,0,patient_0\n", ""))
    with pytest.raises(DataError, match=r"train_wo6/0_0\.npy \(no row in labels\.csv\)"):
        BodyCt().samples(tmp_path)
    table.write_text(text.replace("thorax", "thorxa"))
    with pytest.raises(DataError, match=r"labels\.csv: class 'thorxa'; expected 0 to 5 or one of head/neck"):
        BodyCt().samples(tmp_path)
