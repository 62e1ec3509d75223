"""CEM-MitoLab: labelled patches by source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from pkgs.data.formats.grey_image import read_grey
from pkgs.data.items import DataError
from pkgs.data.prepare.unit_range import UnitRange
from pkgs.data.readers.cem_mitolab import CemMitoLab
from tests.builders.cem_mitolab import DEEP, WHITE, write_cem_mitolab


def test_samples_are_sorted_and_named_by_source_and_stem(tmp_path: Path) -> None:
    samples = CemMitoLab().samples(write_cem_mitolab(tmp_path, sources=5, patches=2))
    ids = [sample.id for sample in samples]
    assert ids == sorted(ids)
    assert ids[:3] == ["source_00/s0_0", "source_00/s0_1", "source_01/s1_0"]


def test_equal_file_names_of_two_sources_stay_two_samples(tmp_path: Path) -> None:
    samples = CemMitoLab().samples(write_cem_mitolab(tmp_path, sources=5, patches=2))
    same = [sample for sample in samples if sample.files["image"].stem == "same_0"]
    assert [sample.id for sample in same] == ["source_03/same_0", "source_04/same_0"]
    assert same[0].files["label"].parent.parent.name == "source_03"


@pytest.mark.parametrize("level", ["", "CEM-MitoLab", "CEM-MitoLab/cem_mitolab"])
def test_any_level_of_the_release_may_be_given(tmp_path: Path, level: str) -> None:
    root = write_cem_mitolab(tmp_path, sources=3, patches=2)
    assert len(CemMitoLab().samples(root / level)) == 6


def test_folder_names_are_compared_without_case(tmp_path: Path) -> None:
    root = write_cem_mitolab(tmp_path, sources=2, patches=2)
    (root / "CEM-MitoLab").rename(root / "cem-mitolab")
    (root / "cem-mitolab/cem_mitolab/source_00/images").rename(
        root / "cem-mitolab/cem_mitolab/source_00/Images"
    )
    assert len(CemMitoLab().samples(root)) == 4


def test_the_first_twenty_lonely_files_are_listed(tmp_path: Path) -> None:
    root = write_cem_mitolab(tmp_path, sources=2, patches=30)
    for mask in (root / "CEM-MitoLab/cem_mitolab/source_00/masks").iterdir():
        mask.unlink()
    with pytest.raises(DataError, match=r"30 files without a partner: .* and 10 more") as caught:
        CemMitoLab().samples(root)
    assert str(caught.value).count("(no mask)") == 20


def test_a_missing_folder_comes_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not a folder.*prepare_data cem_phantom"):
        CemMitoLab().samples(tmp_path / "none")


def test_another_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="holds no CEM-MitoLab layout"):
        CemMitoLab().samples(tmp_path)


def test_two_files_with_one_stem_are_refused(tmp_path: Path) -> None:
    root = write_cem_mitolab(tmp_path, sources=1, patches=1)
    image = root / "CEM-MitoLab/cem_mitolab/source_00/images/s0_0.tiff"
    image.with_suffix(".tif").write_bytes(image.read_bytes())
    with pytest.raises(DataError, match="same name up to its ending"):
        CemMitoLab().samples(root)


def test_codes_keep_their_depth_and_min_is_white_is_inverted(tmp_path: Path) -> None:
    reader = CemMitoLab()
    samples = reader.samples(write_cem_mitolab(tmp_path))
    depths = {s.group: reader.header(s).arrays["image"].dtype for s in samples}
    assert depths.pop(f"source_{DEEP:02d}") == "uint16"
    assert set(depths.values()) == {"uint8"}
    white = reader.read(next(s for s in samples if s.group == f"source_{WHITE:02d}"))
    assert white["image"][0][white["label"] > 0].mean() > 1.5 * white["image"][0][white["label"] == 0].mean()


def test_codes_say_what_the_older_floats_said(tmp_path: Path) -> None:
    reader = CemMitoLab()
    for sample in reader.samples(write_cem_mitolab(tmp_path)):
        unit = UnitRange()(reader.read(sample))["image"][0]
        assert np.allclose(unit, read_grey(sample.files["image"]), atol=1e-7)


def test_objects_keep_their_numbers(tmp_path: Path) -> None:
    reader = CemMitoLab()
    samples = reader.samples(write_cem_mitolab(tmp_path, sources=1))
    assert {int(number) for s in samples for number in np.unique(reader.read(s)["label"])} == {0, 1, 2}


def test_swapped_folders_are_noticed(tmp_path: Path) -> None:
    reader = CemMitoLab()
    home = write_cem_mitolab(tmp_path, sources=1) / "CEM-MitoLab/cem_mitolab/source_00"
    (home / "images").rename(home / "aside")
    (home / "masks").rename(home / "images")
    (home / "aside").rename(home / "masks")
    with pytest.raises(DataError, match=r"values that change from pixel to pixel.*swapped\?"):
        reader.read(reader.samples(tmp_path)[0])


def test_a_pair_of_unequal_shapes_is_named_from_its_headers(tmp_path: Path) -> None:
    reader = CemMitoLab()
    sample = reader.samples(write_cem_mitolab(tmp_path, sources=1))[0]
    tifffile.imwrite(sample.files["label"], np.zeros((8, 8), np.uint16), photometric="minisblack")
    for ask in (reader.header, reader.read):
        with pytest.raises(
            DataError, match=r"source_00/s0_0: its files differ in shape: .*\(32, 32\), .*\(8, 8\)"
        ):
            ask(sample)
