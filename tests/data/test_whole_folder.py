"""Builds that are whole or not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pkgs.data.items import DataError
from pkgs.data.whole_folder import MARK, Outcome, build_once

RECIPE = {"set": "x", "seed": 0}


def fill(draft: Path) -> Mapping[str, object]:
    for name in ("one", "two"):
        (draft / name).mkdir()
        (draft / name / "file").write_text(name)
    return {"images": 2}


def die(draft: Path) -> Mapping[str, object]:
    (draft / "one").mkdir()
    raise KeyboardInterrupt


def test_a_second_build_does_nothing(tmp_path: Path) -> None:
    assert build_once(tmp_path / "set", RECIPE, fill) is Outcome.BUILT
    assert build_once(tmp_path / "set", RECIPE, die) is Outcome.THERE


def test_a_killed_build_leaves_no_set_and_the_next_one_is_whole(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_once(tmp_path / "set", RECIPE, die)
    assert not (tmp_path / "set" / MARK).exists()
    assert build_once(tmp_path / "set", RECIPE, fill) is Outcome.BUILT
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == [MARK, "one", "two"]


@pytest.mark.parametrize("renames", [1, 2])
def test_a_build_killed_while_moving_over_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    real, done = Path.rename, []

    def rename(self: Path, target: Path) -> Path:
        if len(done) == renames - 1:
            raise KeyboardInterrupt
        done.append(target)
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        build_once(tmp_path / "set", RECIPE, fill)
    monkeypatch.undo()
    assert build_once(tmp_path / "set", RECIPE, fill) is Outcome.BUILT
    assert (tmp_path / "set/two/file").read_text() == "two"


def test_a_data_sheet_in_the_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/README.md").write_text("sheet")
    build_once(tmp_path / "set", RECIPE, fill)
    assert (tmp_path / "set/README.md").read_text() == "sheet"


def test_somebody_elses_data_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "set/one").mkdir(parents=True)
    (tmp_path / "set/one/precious").write_text("real data")
    with pytest.raises(DataError, match=r"already holds one, not made by this command"):
        build_once(tmp_path / "set", RECIPE, fill)
    assert (tmp_path / "set/one/precious").read_text() == "real data"


def test_a_set_of_other_settings_is_refused(tmp_path: Path) -> None:
    build_once(tmp_path / "set", RECIPE, fill)
    with pytest.raises(DataError, match="seed 0 there, 1 asked"):
        build_once(tmp_path / "set", {"set": "x", "seed": 1}, fill)
