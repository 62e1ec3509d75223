"""Downloading one large file."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from pkgs.data import fetch as module
from pkgs.data.fetch import RECORD, check_recorded, fetch
from pkgs.data.items import DataError
from tests.builders.range_server import served

DATA = bytes(range(256)) * 20_000  # 5 MB: several blocks


def quiet(done: int, total: int) -> None:
    """Show no bar."""


def no_pause(seconds: float) -> None:
    """Wait for nothing."""


def test_a_file_comes_whole_and_the_bar_reaches_its_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with served(DATA) as site:
        fetch(site.url, tmp_path / "deep/file.zip", bar=lambda *told: seen.append(told))
    assert (tmp_path / "deep/file.zip").read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert [path.name for path in (tmp_path / "deep").glob("*.part*")] == []


def test_broken_connections_are_resumed_where_they_broke(tmp_path: Path) -> None:
    with served(DATA) as site:
        site.break_after = 1_500_000
        fetch(site.url, tmp_path / "file.zip", bar=quiet, sleep=no_pause)
    assert (tmp_path / "file.zip").read_bytes() == DATA
    assert site.asked == [0, 1_500_000, 3_000_000, 4_500_000]


def test_a_server_that_cannot_resume_sends_all_again(tmp_path: Path) -> None:
    with served(DATA) as site:
        (tmp_path / "file.zip.part").write_bytes(DATA[:1000])
        (tmp_path / "file.zip.part.json").write_text(f'{{"url": "{site.url}", "version": "\\"v1\\""}}')
        site.resumes = False
        fetch(site.url, tmp_path / "file.zip", bar=quiet)
    assert (tmp_path / "file.zip").read_bytes() == DATA
    assert site.asked == [1000]


def test_another_version_or_address_is_not_glued_to_what_came_before(tmp_path: Path) -> None:
    with served(DATA) as site:
        for number, told in enumerate(({"url": site.url, "version": '"v0"'}, {"url": "http://other"})):
            goal = tmp_path / f"{number}.zip"
            module.write_json(goal.with_name(f"{goal.name}.part.json"), told)
            goal.with_name(f"{goal.name}.part").write_bytes(b"old" * 1000)
            fetch(site.url, goal, bar=quiet)
            assert goal.read_bytes() == DATA


@pytest.mark.parametrize("extra", [b"", b"more"])
def test_a_part_that_is_whole_or_too_long_is_settled(tmp_path: Path, extra: bytes) -> None:
    with served(DATA) as site:
        module.write_json(tmp_path / "file.zip.part.json", {"url": site.url, "version": '"v1"'})
        (tmp_path / "file.zip.part").write_bytes(DATA + extra)
        fetch(site.url, tmp_path / "file.zip", bar=quiet, sleep=no_pause)
    assert (tmp_path / "file.zip").read_bytes() == DATA


def test_a_wrong_address_is_said_at_once_with_the_cure(tmp_path: Path) -> None:
    with served(DATA) as site:
        site.status = 404
        with pytest.raises(DataError, match=r"404 .*Has the address changed\? Give --url"):
            fetch(site.url, tmp_path / "file.zip", bar=quiet)
    assert site.asked == [0]
    with pytest.raises(DataError, match="is no web address"):
        fetch("file:///etc/passwd", tmp_path / "file.zip", bar=quiet)


def test_a_server_in_trouble_is_asked_again_and_not_for_ever(tmp_path: Path) -> None:
    waits: list[float] = []
    with served(DATA) as site:
        site.status = 503
        with pytest.raises(DataError, match=r"breaks again and again \(HTTP 503\); 0 B are kept"):
            fetch(site.url, tmp_path / "file.zip", bar=quiet, sleep=waits.append)
    assert waits == [2, 4, 8, 16, 30]


def test_nobody_at_the_address_is_a_sentence(tmp_path: Path) -> None:
    with served(DATA) as site:
        gone = site.url
    with pytest.raises(DataError, match="the connection breaks again and again"):
        fetch(gone, tmp_path / "file.zip", bar=quiet, sleep=no_pause)


def test_too_small_a_disk_is_said_before_the_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "free_bytes", lambda _: 2**30)
    with served(DATA) as site, pytest.raises(DataError, match=r"1\.0 GiB are free, 1\.0 GiB are needed"):
        fetch(site.url, tmp_path / "file.zip", bar=quiet)
    assert not (tmp_path / "file.zip.part").exists()


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "file.zip").write_bytes(b"mine")
    fetch("http://127.0.0.1:9/never", tmp_path / "file.zip", bar=quiet)
    assert (tmp_path / "file.zip").read_bytes() == b"mine"


def test_a_checksum_is_noted_at_first_and_compared_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    path.write_bytes(DATA)
    digest = check_recorded(path, folder=tmp_path)
    assert digest == hashlib.sha256(DATA).hexdigest()
    assert (tmp_path / RECORD).read_text() == f"{digest}  data.zip\n"
    assert check_recorded(path, folder=tmp_path, expected=digest.upper()) == digest
    path.write_bytes(DATA[:-1])
    with pytest.raises(DataError, match=r"checksums\.sha256 says .*Is it whole"):
        check_recorded(path, folder=tmp_path)
    with pytest.raises(DataError, match=r"--sha256 says 00. Is it whole"):
        check_recorded(path, folder=tmp_path, expected="00")


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_the_record_is_what_sha256sum_reads(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "data.zip").write_bytes(DATA)
    check_recorded(tmp_path / "data.zip", folder=tmp_path)
    assert (
        subprocess.run(["sha256sum", "-c", RECORD], cwd=tmp_path, check=False, capture_output=True).returncode
        == 0
    )
