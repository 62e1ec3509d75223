"""Maps of patches: what is written comes back, and nothing half."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pkgs.data.items import DataError
from pkgs.data.patch_maps import PatchMaps, Rows, read_maps, write_maps

SIDES = (4, 6)


def _rows(seed: int = 0) -> list[Rows]:
    maps = np.random.default_rng(seed).random((3, *SIDES))
    maps[0, 0, 0], maps[0, 0, 1] = 0, 1
    return [(["a", "b"], ["g", "g"], "test", maps[:2]), (["c"], ["h"], "train", maps[2:])]


def _written(folder: Path, rows: list[Rows], count: int = 3) -> PatchMaps:
    write_maps(folder, "probability", iter(rows), count=count, sides=SIDES)
    return read_maps(folder, "probability")


def test_maps_come_back_with_their_patches_to_half_a_code(tmp_path: Path) -> None:
    rows = _rows()
    maps = _written(tmp_path, rows)
    assert (maps.ids, maps.groups, maps.parts) == (
        ("a", "b", "c"),
        ("g", "g", "h"),
        ("test", "test", "train"),
    )
    values = maps.values(np.array([2, 0]))
    assert values.dtype == np.float32
    assert np.abs(values - np.stack([rows[1][3][0], rows[0][3][0]])).max() < 0.51 / 65535
    assert (values[1, 0, :2] == [0, 1]).all()
    assert (maps.sides, len(maps), maps.codes.dtype) == (SIDES, 3, np.uint16)


def test_codes_stay_on_disk_until_they_are_asked_for(tmp_path: Path) -> None:
    assert isinstance(_written(tmp_path, _rows()).codes, np.memmap)


def test_no_patch_gives_empty_maps(tmp_path: Path) -> None:
    assert len(_written(tmp_path, [], count=0)) == 0


@pytest.mark.parametrize(
    ("rows", "count", "message"),
    [
        ([(["a"], ["g"], "test", np.full((1, *SIDES), 1.5))], 1, "from 0 to 1.5 among a; expected shares"),
        ([(["a"], ["g"], "test", np.full((1, *SIDES), np.nan))], 1, "Store probabilities, not logits"),
        ([(["a"], ["g"], "test", np.zeros((1, 4, 4)))], 1, r"maps \(1, 4, 4\) of part 'test'"),
        ([(["a"], ["g"], "fold", np.zeros((1, *SIDES)))], 1, "of part 'fold'"),
        ([(["a", "b"], ["g"], "test", np.zeros((2, *SIDES)))], 2, "2 patches, 1 groups"),
        ([(["a", "a"], ["g", "g"], "test", np.zeros((2, *SIDES)))], 2, "two maps of a"),
        ([(["a"], ["g"], "test", np.zeros((1, *SIDES)))], 2, "1 maps came; 2 were announced"),
    ],
)
def test_what_is_no_map_is_refused_and_leaves_nothing(
    rows: list[Rows], count: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        _written(tmp_path, rows, count)
    assert list((tmp_path / "predictions").iterdir()) == []


def test_maps_that_break_off_leave_no_table(tmp_path: Path) -> None:
    _written(tmp_path, _rows())
    with pytest.raises(DataError):
        _written(tmp_path, _rows()[:1])
    with pytest.raises(DataError, match=r"probability\.csv: is missing. Has the run finished"):
        read_maps(tmp_path, "probability")


def test_a_table_of_another_array_is_refused(tmp_path: Path) -> None:
    _written(tmp_path, _rows())
    table = tmp_path / "predictions/probability.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match=r"uint16 \(3, 4, 6\); expected uint16 \[2, H, W\]"):
        read_maps(tmp_path, "probability")


def test_damaged_maps_are_refused(tmp_path: Path) -> None:
    _written(tmp_path, _rows())
    array = tmp_path / "predictions/probability.npy"
    array.write_bytes(array.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"probability\.npy: cannot be read .* Let the run write it again"):
        read_maps(tmp_path, "probability")
    (tmp_path / "predictions/probability.csv").write_text("sample,part\n")
    with pytest.raises(DataError, match="is not a table of sample,group,part"):
        read_maps(tmp_path, "probability")
