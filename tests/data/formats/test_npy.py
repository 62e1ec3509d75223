"""numpy files: headers without values, and nothing that runs code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pkgs.data.formats.npy import as_labels, read_array, read_header
from pkgs.data.items import DataError
from tests.builders.nifti import cut_short


@pytest.mark.parametrize(
    ("stored", "decoded"),
    [
        ("bool", "uint8"),
        ("uint8", "uint8"),
        ("int16", "int16"),
        (">i2", "int16"),
        ("uint16", "int32"),
        ("int64", "int32"),
        ("float16", "float32"),
        ("float64", "float32"),
    ],
)
def test_header_and_values_agree(stored: str, decoded: str, tmp_path: Path) -> None:
    values = np.asfortranarray(np.arange(12).reshape(3, 4) % 2).astype(stored)
    np.save(tmp_path / "a.npy", values)
    np.savez_compressed(tmp_path / "a.npz", only=values)
    for path in (tmp_path / "a.npy", tmp_path / "a.npz"):
        assert read_header(path) == (decoded, (3, 4))
        array = read_array(path)
        assert array.dtype == decoded
        assert array.flags.c_contiguous
        assert np.array_equal(array, values)


def test_pickled_objects_are_never_read(tmp_path: Path) -> None:
    ragged = np.array([np.zeros(2), np.zeros(3)], dtype=object)
    np.save(tmp_path / "a.npy", ragged, allow_pickle=True)
    np.savez(tmp_path / "a.npz", image=ragged)
    for path in (tmp_path / "a.npy", tmp_path / "a.npz"):
        with pytest.raises(DataError, match=r"pickled and could run code .* Save plain numbers instead"):
            read_array(path)


def test_a_key_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", scan=np.zeros(3), mask=np.zeros(3))
    with pytest.raises(DataError, match=r"expected the array 'image'; it holds scan, mask"):
        read_array(tmp_path / "a.npz", key="image")
    with pytest.raises(DataError, match=r"expected one array, or a key that says which; it holds scan, mask"):
        read_header(tmp_path / "a.npz")
    assert read_array(tmp_path / "a.npz", key="mask").shape == (3,)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(1000))
    np.savez_compressed(tmp_path / "a.npz", image=np.arange(1000))
    for path in (tmp_path / "a.npy", tmp_path / "a.npz"):
        cut_short(path, share=0.7)
        with pytest.raises(DataError, match=r"The file is cut off|Is the file complete"):
            read_array(path)
    (tmp_path / "b.npy").write_text("hello")
    with pytest.raises(DataError, match=r"b\.npy: is not a numpy file"):
        read_header(tmp_path / "b.npy")
    with pytest.raises(DataError, match=r"c\.npy: is missing"):
        read_header(tmp_path / "c.npy")


def test_nan_text_and_huge_numbers_are_refused(tmp_path: Path) -> None:
    for values, said in (
        (np.array([1.0, np.nan]), r"1 values are NaN or infinite"),
        (np.array([2**40]), r"values from 1099511627776 to 1099511627776"),
        (np.array(["a"]), r"values of type <U1"),
    ):
        np.save(tmp_path / "a.npy", values)
        with pytest.raises(DataError, match=said):
            read_array(tmp_path / "a.npy")


def test_masks_are_whole_numbers_up_to_255() -> None:
    assert as_labels(Path("m"), np.array([0.0, 2.0], np.float32)).tolist() == [0, 2]
    with pytest.raises(DataError, match=r"m: labels that are not whole numbers, such as 0\.5"):
        as_labels(Path("m"), np.array([0.5], np.float32))
    with pytest.raises(DataError, match=r"m: labels from -1 to 3"):
        as_labels(Path("m"), np.array([-1, 3], np.int16))
