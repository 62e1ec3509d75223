"""CEM1.5M: unlabelled patches."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.data.items import DataError
from pkgs.data.readers.cem_1500k import Cem1500k
from tests.builders.cem_1500k import write_cem_1500k


def test_only_images_are_read_each_in_its_own_depth(tmp_path: Path) -> None:
    reader = Cem1500k()
    samples = reader.samples(write_cem_1500k(tmp_path))
    assert [set(reader.read(s)) for s in samples] == [{"image"}] * 9
    assert [reader.header(s).arrays["image"].dtype for s in samples] == ["uint8"] * 6 + ["uint16"] * 3
    assert {s.group for s in samples} == {"pool_00", "pool_01", "pool_02"}


@pytest.mark.parametrize("level", ["", "CEM1500k_unlabelled", "CEM1500k_unlabelled/cem1.5M"])
def test_any_level_of_the_release_may_be_given(tmp_path: Path, level: str) -> None:
    assert len(Cem1500k().samples(write_cem_1500k(tmp_path) / level)) == 9


def test_a_labelled_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source/images").mkdir(parents=True)
    with pytest.raises(DataError, match=r"holds no CEM1\.5M layout"):
        Cem1500k().samples(tmp_path)
