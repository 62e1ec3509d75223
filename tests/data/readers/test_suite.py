"""What every reader must do, on the look-alike of its data set.

A 2-D reader takes part when `tests/builders/<name>.py` has `write_<name>(root)`. There `VICTIM` may name a
file whose loss leaves others alone, and `READER` a reader with other options than the defaults.
"""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
from pkgs.data.whole_folder import digest_tree
from tests.builders.acdc import write_acdc
from tests.builders.brats import write_brats, write_brats_slices
from tests.builders.dicom import write_dicom
from tests.builders.kits19 import write_kits19
from tests.builders.npy import write_body_ct, write_npy_classes, write_npy_table
from tests.builders.segthor import write_segthor
from tests.builders.volume_folder import write_volume_folder

SMALL_BYTES = 4096


@dataclass(frozen=True)
class Case:
    """A reader and its look-alike."""

    reader: Reader
    write: Callable[[Path], object]
    victim: str = ""

    def built(self, root: Path) -> Path:
        self.write(root)
        return root


def planes() -> dict[str, Case]:
    """Return the 2-D readers, whose builders bear their names."""
    found, kinds = {}, {type(case.reader) for case in VOLUMES.values()}
    for name, kind in READERS.items():
        builder = f"tests.builders.{name}"
        write = importlib.util.find_spec(builder) and getattr(
            importlib.import_module(builder), f"write_{name}", None
        )
        if write and kind not in kinds:
            module = importlib.import_module(builder)
            found[name] = Case(getattr(module, "READER", kind()), write, getattr(module, "VICTIM", ""))
    return found


def generic(layout: str) -> Case:
    return Case(VolumeFolder(), partial(write_volume_folder, layout=layout))


VOLUMES = {
    "kits19": Case(Kits19(), write_kits19),
    "segthor": Case(SegThor(), write_segthor),
    "acdc": Case(Acdc(("ED", "ES")), write_acdc),
    "brats slices": Case(Brats(), write_brats),
    "brats volumes": Case(Brats(("t2", "flair"), sliced=False), write_brats),
    "brats npy": Case(Brats(), write_brats_slices),
    "generic cases": generic("cases"),
    "generic images": generic("images"),
    "generic table": generic("table"),
    "npy classes": Case(Npy(), write_npy_classes),
    "npy table": Case(Npy(), write_npy_table),
    "body_ct": Case(BodyCt(), write_body_ct),
    "dicom": Case(Dicom(), write_dicom),
}
CASES = {**planes(), **VOLUMES}


def test_every_reader_of_the_catalogue_takes_part() -> None:
    assert {case.reader.name for case in CASES.values()} == set(READERS)


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def root(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case.built(tmp_path_factory.mktemp(case.reader.name) / "set")


def test_ids_are_sorted_and_unique(case: Case, root: Path) -> None:
    ids = [sample.id for sample in case.reader.samples(root)]
    assert ids
    assert ids == sorted(set(ids))


def test_every_sample_has_files_that_exist_a_group_and_a_known_part(case: Case, root: Path) -> None:
    for sample in case.reader.samples(root):
        assert sample.group
        assert sample.part in {"", "train", "val", "test"}
        assert sample.files
        assert all(path.exists() for path in sample.files.values())


def test_the_header_tells_what_is_read(case: Case, root: Path) -> None:
    for sample in case.reader.samples(root):
        header, item = case.reader.header(sample), case.reader.read(sample)
        told = {name: (spec.dtype, spec.shape) for name, spec in header.arrays.items()}
        assert {name: (array.dtype.name, array.shape) for name, array in item.items()} == told


def test_each_kind_has_its_axes(case: Case, root: Path) -> None:
    for sample in case.reader.samples(root):
        specs = case.reader.header(sample).arrays
        axes = [(spec.kind, len(spec.shape)) for spec in specs.values() if spec.kind != "vector"]
        assert len({count - (kind in {"image", "soft"}) for kind, count in axes}) == 1
        assert all(len(spec.shape) == 1 for spec in specs.values() if spec.kind == "vector")


def test_the_reader_and_its_samples_pickle_small(case: Case, root: Path) -> None:
    sample = case.reader.samples(root)[0]
    raw = pickle.dumps((case.reader, sample))
    assert len(raw) < SMALL_BYTES
    reader, back = pickle.loads(raw)  # noqa: S301 - our own bytes
    assert (reader, back) == (case.reader, sample)


def test_the_catalogue_knows_the_reader_by_its_name(case: Case) -> None:
    assert READERS[case.reader.name] is type(case.reader)
    assert case.reader.version >= 1


def test_reading_twice_gives_the_same_bytes_and_changes_no_file(case: Case, root: Path) -> None:
    before = digest_tree(root)
    for sample in case.reader.samples(root):
        case.reader.header(sample)
        first, second = case.reader.read(sample), case.reader.read(sample)
        assert all(np.array_equal(first[name], second[name]) for name in first)
    assert digest_tree(root) == before


def test_what_a_caller_changes_does_not_come_back(case: Case, root: Path) -> None:
    sample = case.reader.samples(root)[0]
    first = case.reader.read(sample)
    before = {name: array.copy() for name, array in first.items()}
    for array in first.values():
        if array.flags.writeable:
            array[...] = 1
    assert all(np.array_equal(before[name], array) for name, array in case.reader.read(sample).items())


def test_a_missing_folder_is_named_with_a_remedy(case: Case, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none: is not a folder\. \w+") as caught:
        case.reader.samples(tmp_path / "none")
    assert str(caught.value).endswith(".")


def test_an_empty_folder_is_named_with_what_is_expected(case: Case, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=str(tmp_path)) as caught:
        case.reader.samples(tmp_path)
    assert any(word in str(caught.value) for word in ("expected", "missing", "holds no"))


def test_a_lost_partner_is_named(case: Case, tmp_path: Path) -> None:
    if not case.victim:
        pytest.skip("no file of this layout has a partner")
    lost = case.built(tmp_path / "set") / case.victim
    lost.unlink()
    with pytest.raises(DataError) as caught:
        case.reader.samples(tmp_path / "set")
    assert Path(case.victim).stem.rpartition("/")[2].split("_")[-1] in str(caught.value)


def test_a_file_that_is_cut_is_named(case: Case, tmp_path: Path) -> None:
    sample = case.reader.samples(case.built(tmp_path / "set"))[0]
    path = next(iter(sample.files.values()))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(
        DataError, match=r"cannot be decoded|truncated|complete|cut off|ImagePosition"
    ) as caught:
        case.reader.read(sample)
    assert str(path) in str(caught.value)


def test_the_catalogue_loads_no_heavy_library() -> None:
    code = (
        "import sys; import pkgs.data.catalog, pkgs.data.prepare.on_grid, pkgs.data.prepare.resample, "
        "pkgs.data.patches; "
        "print({'torch', 'nibabel', 'pydicom', 'scipy', 'monai'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
