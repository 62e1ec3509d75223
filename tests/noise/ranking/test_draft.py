from pathlib import Path

import pytest

from pkgs.noise.ranking.draft import drafted


def test_new_files_and_folders_replace_the_old_ones_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep/old.txt").write_text("old")
    (tmp_path / "scores.csv").write_text("old")
    (tmp_path / "attempts").mkdir()
    with drafted(tmp_path, last="scores.csv") as draft:
        (draft / "keep").mkdir()
        (draft / "keep/new.txt").write_text("new")
        (draft / "scores.csv").write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["attempts", "keep", "scores.csv"]
    assert [path.name for path in (tmp_path / "keep").iterdir()] == ["new.txt"]
    assert (tmp_path / "scores.csv").read_text() == "new"


def test_an_error_leaves_everything_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("old")
    with pytest.raises(ValueError, match="half way"), drafted(tmp_path, last="scores.csv") as draft:  # noqa: PT012
        (draft / "scores.csv").write_text("new")
        raise ValueError("half way")
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]
    assert (tmp_path / "scores.csv").read_text() == "old"


def test_the_table_is_gone_while_the_rest_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scores.csv").write_text("old")
    (tmp_path / "ranking.csv").write_text("old")
    there = []
    rename = Path.rename

    def watched(self: Path, target: Path) -> Path:
        there.append((self.name, (tmp_path / "scores.csv").exists()))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", watched)
    with drafted(tmp_path, last="scores.csv") as draft:
        for name in ("scores.csv", "ranking.csv", "zebra.txt"):
            (draft / name).write_text("new")
    assert there == [(name, False) for name in ("ranking.csv", "ranking.csv", "zebra.txt", "scores.csv")]


def test_what_an_earlier_ranking_had_more_goes(tmp_path: Path) -> None:
    (tmp_path / "reviewed").mkdir()
    with drafted(tmp_path, last="scores.csv", optional=("reviewed", "pixels")) as draft:
        (draft / "scores.csv").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


def test_what_a_killed_ranking_has_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".ranking.1/new").mkdir(parents=True)
    with drafted(tmp_path, last="scores.csv"):
        pass
    assert list(tmp_path.iterdir()) == []
