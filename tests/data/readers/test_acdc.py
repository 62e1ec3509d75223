"""ACDC: frames are what Info.cfg says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.data.items import DataError, Sample
from pkgs.data.readers.acdc import Acdc
from tests.builders.acdc import write_acdc


def test_only_the_first_frame_is_a_sample_by_default(tmp_path: Path) -> None:
    samples = Acdc().samples(write_acdc(tmp_path))
    assert [sample.id for sample in samples] == ["patient001/ED", "patient002/ED"]
    assert {sample.part for sample in samples} == {"train"}
    assert samples[0].group == "patient001"


def test_a_frame_with_two_digits_is_found(tmp_path: Path) -> None:
    samples = Acdc(("ES",)).samples(write_acdc(tmp_path))
    assert samples[0].files["image"].name == "patient001_frame12.nii.gz"
    assert samples[0].files["label"].name == "patient001_frame12_gt.nii.gz"


def test_an_info_file_without_the_frame_is_refused(tmp_path: Path) -> None:
    path = write_acdc(tmp_path) / "training" / "patient002" / "Info.cfg"
    path.write_text("ES: 12\nGroup: NOR\n")
    with pytest.raises(DataError, match=r"patient002/Info\.cfg: has no line such as `ED: 1`"):
        Acdc().samples(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"patient002/Info\.cfg: is missing"):
        Acdc().samples(tmp_path)


def test_a_frame_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = write_acdc(tmp_path) / "training" / "patient001"
    (folder / "patient001_frame01.nii.gz").unlink()
    with pytest.raises(DataError, match=r"patient001 \(no patient001_frame01\.nii\.gz, the ED frame of"):
        Acdc().samples(tmp_path)


def test_the_whole_movie_is_refused_as_a_volume(tmp_path: Path) -> None:
    movie = write_acdc(tmp_path) / "training" / "patient001" / "patient001_4d.nii.gz"
    with pytest.raises(DataError, match=r"4-D, shape \(4, 4, 3, 5\); expected one 3-D volume per file"):
        Acdc().header(Sample("movie", "movie", {"image": movie}))


def test_an_unknown_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"frames \['EDD'\]: expected one or both of ED, ES"):
        Acdc(("EDD",))
