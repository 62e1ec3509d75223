"""Unpacking an archive of images."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from pkgs.data import unpack as module
from pkgs.data.items import DataError
from pkgs.data.unpack import unpack

LEVELS = (("Release", "set"), ("set",), ())
FILES = {f"source_{k}/{n}.tif": bytes([k, n]) * 2000 for k in range(2) for n in range(3)}


def packed(path: Path, files: dict[str, bytes], *, prefix: str = "set/") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(prefix + name, data)
    return path


def run(archive: Path, goal: Path) -> int:
    return unpack(archive, goal, levels=LEVELS, check=lambda _: None, tick=lambda _done, _total: None)


@pytest.mark.parametrize("prefix", ["Release/set/", "RELEASE/Set/", "set/", ""])
def test_any_level_of_the_release_may_be_in_the_archive(tmp_path: Path, prefix: str) -> None:
    archive = packed(tmp_path / "a.zip", {**FILES, "readme.txt": b"x", ".DS_Store": b"x"}, prefix=prefix)
    assert run(archive, tmp_path / "goal") == 6
    found = {path.relative_to(tmp_path / "goal").as_posix() for path in (tmp_path / "goal").rglob("*.*")}
    assert found == set(FILES)
    assert all((tmp_path / "goal" / name).read_bytes() == data for name, data in FILES.items())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "goal"]


@pytest.mark.parametrize(
    "name", ["../evil.tif", "/etc/evil.tif", "a/../../evil.tif", "a\\..\\evil.tif", "C:evil.tif"]
)
def test_names_that_lead_out_of_the_folder_are_refused_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    archive = packed(tmp_path / "a.zip", FILES)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(name, b"x")
    with pytest.raises(DataError, match=r"lead out of the folder, or links: .*evil\.tif"):
        run(archive, tmp_path / "inner/goal")
    assert [path.name for path in tmp_path.rglob("*")] == ["a.zip"]


def test_links_are_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", FILES)
    link = zipfile.ZipInfo("set/link.tif")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"links: set/link\.tif"):
        run(archive, tmp_path / "goal")


def test_a_stopped_call_leaves_no_goal_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(tmp_path / "a.zip", FILES)

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "goal", levels=LEVELS, check=lambda _: None, tick=stop)
    assert not (tmp_path / "goal").exists()
    torn = tmp_path / ".goal.unpacking/files/set/source_0/1.tif"
    torn.write_bytes(b"\0" * torn.stat().st_size)  # as a power cut may leave it
    written: list[str] = []
    opened = zipfile.ZipFile.open
    monkeypatch.setattr(
        zipfile.ZipFile,
        "open",
        lambda self, m, *rest: (written.append(m.filename), opened(self, m, *rest))[1],
    )
    assert run(archive, tmp_path / "goal") == 6
    assert sorted(written) == ["set/source_0/1.tif", "set/source_1/1.tif", "set/source_1/2.tif"]
    assert (tmp_path / "goal/source_0/1.tif").read_bytes() == FILES["source_0/1.tif"]


def test_a_draft_of_another_archive_is_not_mixed_in(tmp_path: Path) -> None:
    stale = tmp_path / ".goal.unpacking/files/set/source_9/9.tif"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"old")
    run(packed(tmp_path / "a.zip", FILES), tmp_path / "goal")
    assert not (tmp_path / "goal/source_9").exists()


def test_damaged_archives_are_a_sentence(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", FILES)
    whole = archive.read_bytes()
    archive.write_bytes(whole[:200])
    with pytest.raises(DataError, match="is no whole zip archive"):
        run(archive, tmp_path / "goal")
    archive.write_bytes(whole[:45] + b"\xff\xff\xff" + whole[48:])
    with pytest.raises(DataError, match="is no whole zip archive"):
        run(archive, tmp_path / "goal")
    with pytest.raises(DataError, match=r"holds no image \(\.tif, \.tiff\)"):
        run(packed(tmp_path / "b.zip", {"a.txt": b"x"}), tmp_path / "goal")
    assert not (tmp_path / "goal").exists()


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"s/a.tif": b"x", "s/A.tif": b"y"})
    with pytest.raises(DataError, match="holds the same name twice"):
        run(archive, tmp_path / "goal")


def test_another_layout_never_reaches_the_goal(tmp_path: Path) -> None:
    def refuse(folder: Path) -> None:
        raise DataError(f"{folder.name}: another layout")

    archive = packed(tmp_path / "a.zip", FILES)
    with pytest.raises(DataError, match="set: another layout"):
        unpack(archive, tmp_path / "goal", levels=LEVELS, check=refuse, tick=lambda _d, _t: None)
    assert not (tmp_path / "goal").exists()


def test_too_small_a_disk_is_said_before_the_first_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "free_bytes", lambda _: 2**20)
    with pytest.raises(DataError, match=r"1\.0 MiB are free, 1\.0 GiB are needed to unpack"):
        run(packed(tmp_path / "a.zip", FILES), tmp_path / "goal")
