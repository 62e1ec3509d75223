"""What holds for every reader of volumes and arrays."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pkgs.data.catalog import READERS
from pkgs.data.items import DataError, Reader
from pkgs.data.readers.acdc import Acdc
from pkgs.data.readers.body_ct import BodyCt
from pkgs.data.readers.brats import Brats
from pkgs.data.readers.dicom import Dicom
from pkgs.data.readers.kits19 import Kits19
from pkgs.data.readers.npy import Npy
from pkgs.data.readers.segthor import SegThor
from pkgs.data.readers.volume_folder import VolumeFolder
from tests.builders.acdc import write_acdc
from tests.builders.brats import write_brats, write_brats_slices
from tests.builders.dicom import write_dicom
from tests.builders.kits19 import write_kits19
from tests.builders.npy import write_body_ct, write_npy_classes, write_npy_table
from tests.builders.segthor import write_segthor
from tests.builders.volume_folder import write_volume_folder

Write = Callable[[Path], Path]
EVERY: dict[str, tuple[Reader, Write, int]] = {
    "kits19": (Kits19(), write_kits19, 4),
    "segthor": (SegThor(), write_segthor, 3),
    "acdc": (Acdc(("ED", "ES")), write_acdc, 4),
    "brats slices": (Brats(), write_brats, 12),
    "brats volumes": (Brats(("t2", "flair"), sliced=False), write_brats, 2),
    "brats npy": (Brats(), write_brats_slices, 6),
    "generic cases": (VolumeFolder(), lambda root: write_volume_folder(root, layout="cases"), 3),
    "generic images": (VolumeFolder(), lambda root: write_volume_folder(root, layout="images"), 3),
    "generic table": (VolumeFolder(), lambda root: write_volume_folder(root, layout="table"), 3),
    "npy classes": (Npy(), write_npy_classes, 10),
    "npy table": (Npy(), write_npy_table, 5),
    "body_ct": (BodyCt(), write_body_ct, 8),
    "dicom": (Dicom(), write_dicom, 1),
}
each = pytest.mark.parametrize(("reader", "write", "count"), EVERY.values(), ids=EVERY.keys())


@each
def test_the_header_promises_what_is_read(reader: Reader, write: Write, count: int, tmp_path: Path) -> None:
    samples = reader.samples(write(tmp_path / "set"))
    assert len(samples) == count
    for sample in samples:
        header, item = reader.header(sample), reader.read(sample)
        assert {name: (a.dtype.name, a.shape) for name, a in item.items()} == {
            name: (spec.dtype, spec.shape) for name, spec in header.arrays.items()
        }
        assert all(array.flags.c_contiguous and array.flags.writeable for array in item.values())
        assert ("label" in item) == ("label" in sample.files)


@each
def test_ids_are_sorted_and_unique_and_parts_are_known(
    reader: Reader, write: Write, count: int, tmp_path: Path
) -> None:
    samples = reader.samples(write(tmp_path / "set"))
    ids = [sample.id for sample in samples]
    assert ids == sorted(set(ids))
    assert {sample.part for sample in samples} <= {"", "train", "val", "test"}
    assert all(sample.group for sample in samples)


@each
def test_a_pickled_reader_reads_the_same(reader: Reader, write: Write, count: int, tmp_path: Path) -> None:
    sample = reader.samples(write(tmp_path / "set"))[0]
    packed = pickle.dumps(reader)
    again = pickle.loads(packed)  # noqa: S301 - our own bytes
    assert len(packed) < 500
    assert again == reader
    for name, array in again.read(sample).items():
        assert np.array_equal(array, reader.read(sample)[name])


@each
def test_what_a_caller_changes_does_not_come_back(
    reader: Reader, write: Write, count: int, tmp_path: Path
) -> None:
    sample = reader.samples(write(tmp_path / "set"))[0]
    first = reader.read(sample)
    before = {name: array.copy() for name, array in first.items()}
    for array in first.values():
        array[...] = 7
    assert all(np.array_equal(before[name], array) for name, array in reader.read(sample).items())


@each
def test_sources_stay_as_they_are(reader: Reader, write: Write, count: int, tmp_path: Path) -> None:
    root = write(tmp_path / "set")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    for sample in reader.samples(root):
        reader.read(sample)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", sorted({reader.name for reader, _, _ in EVERY.values()}))
def test_an_empty_folder_and_a_missing_one_are_refused_with_what_was_expected(
    name: str, tmp_path: Path
) -> None:
    reader = READERS[name]()
    assert reader.name == name
    with pytest.raises(DataError, match=r"expected"):
        reader.samples(tmp_path)
    with pytest.raises(DataError, match=r"is not a folder\. Set data\.root|is missing"):
        reader.samples(tmp_path / "nowhere")


def test_the_catalogue_loads_no_heavy_library() -> None:
    code = (
        "import sys; import pkgs.data.catalog, pkgs.data.prepare.on_grid, pkgs.data.prepare.resample, "
        "pkgs.data.patches; "
        "print({'torch', 'nibabel', 'pydicom', 'scipy', 'monai'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
