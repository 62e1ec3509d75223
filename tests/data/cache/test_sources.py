"""Where a cache looks for the files of its samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.data.cache.sources import collect
from pkgs.data.items import Sample


def test_files_below_and_outside_of_a_relative_root_are_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = [Path("first/image/a.png"), Path("second/image/b.png")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x")
    samples = [Sample(file.stem, file.stem, {"image": file}) for file in files]
    sources, _ = collect(samples, root=Path("first"), key_by="times")
    found = [sources.sample(number, root="first").files["image"] for number in range(2)]
    assert [path.resolve() for path in found] == [file.resolve() for file in files]


def test_a_moved_root_keeps_its_files(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"x")
    sample = Sample("a", "a", {"image": tmp_path / "set" / "a.png"})
    sources, _ = collect([sample], root=tmp_path / "set", key_by="times")
    assert sources.sample(0, root="elsewhere").files["image"] == Path("elsewhere/a.png")
