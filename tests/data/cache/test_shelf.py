"""The folder of packed files: room, locks, eviction, damage. The machine is passed in where it is small."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pkgs.data.cache.cache import Cache
from pkgs.data.cache.header import MAGIC
from pkgs.data.cache.opening import open_cache
from pkgs.data.cache.room import NETWORK, Room, filesystem_of, free_memory
from pkgs.data.cache.shelf import Shelf
from tests.builders.caches import same, small
from tests.builders.forks import end_of, fork
from tests.builders.npy_set import Brighter, NpySet, direct, write_npy_set

NEED = 20_000
"""Bytes; more than the packed file of twelve samples has, less than two of them."""


def opened(root: Path, folder: Path, *, room: Room | None = None, by: int = 0, **settings: object) -> Cache:
    reader, preparations = NpySet(), (Brighter(by),)
    config = small(folder, **settings)
    return open_cache(
        reader, reader.samples(root), root=root, preparations=preparations, config=config, room=room
    )


def filled(root: Path, folder: Path, *, by: int) -> Path:
    """Make a sealed file and return its path."""
    before = set(folder.glob("*.cache"))
    with opened(root, folder, by=by) as cache:
        cache.gather(range(12))
    (made,) = set(folder.glob("*.cache")) - before
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_npy_set(tmp_path / "set")


# -- room --------------------------------------------------------------------------------------------------


def test_a_full_disk_means_mode_disk_and_one_line_with_the_cure(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(root, tmp_path / "c", room=Room(free_bytes=lambda _: 1000)) as cache:
        assert cache.mode == "disk"
        assert same(cache.gather(range(12)), direct(NpySet(), root))
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "only 1000 B are free" in line
    assert "set cache.folder to a larger local disk" in line
    assert list((tmp_path / "c").glob("*.cache")) + list((tmp_path / "c").glob("*.filling")) == []


def test_a_disk_that_fills_up_between_look_and_reservation_is_no_crash(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def full(descriptor: int, nbytes: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with opened(root, tmp_path / "c", room=Room(reserve=full)) as cache:
        assert cache.mode == "disk"
        assert same(cache.gather([3]), direct(NpySet(), root)[3:4])
    assert "No space left on device, so nothing can be kept there" in caplog.text
    assert [path.name for path in (tmp_path / "c").iterdir() if path.suffix != ".lock"] == []


def test_some_room_is_left_for_checkpoints(root: Path, tmp_path: Path) -> None:
    room = Room(free_bytes=lambda _: 2**30)
    assert opened(root, tmp_path / "c", room=room, keep_free_gib=1.0).mode == "disk"
    assert opened(root, tmp_path / "c", room=room, keep_free_gib=0.9).mode == "live_cache"


def test_a_memory_disk_counts_as_memory(root: Path, tmp_path: Path) -> None:
    room = Room(filesystem_of=lambda _: "tmpfs", free_memory=lambda: 1000)
    assert opened(root, tmp_path / "c", room=room).mode == "disk"
    assert opened(root, tmp_path / "c", room=Room(free_memory=lambda: 1000)).mode == "live_cache"


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """Return a real memory disk of 1 MB, as containers give it for /dev/shm."""
    folder = tmp_path / "shm"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_real_dev_shm_of_1_mb_is_asked_before_it_kills(tiny: Path, tmp_path: Path) -> None:
    root = write_npy_set(tmp_path / "set", count=12, channels=8, side=128)  # 1.7 MB
    with opened(root, tiny / "c") as cache:
        assert cache.mode == "disk"
        assert same(cache.gather(range(12)), direct(NpySet(), root))
    with opened(write_npy_set(tmp_path / "small"), tiny / "c") as cache:
        assert cache.mode == "live_cache"
        assert same(cache.gather(range(12)), direct(NpySet(), tmp_path / "small"))


@pytest.mark.parametrize("kind", sorted(NETWORK)[:3])
def test_a_network_disk_is_warned_about(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    with opened(root, tmp_path / "c", room=Room(filesystem_of=lambda _: kind)) as cache:
        assert cache.mode == "live_cache"
    assert "lies on a network disk" in caplog.text
    assert "Set cache.folder to a local disk" in caplog.text


def test_the_machine_is_asked_rightly(tmp_path: Path) -> None:
    assert filesystem_of(Path("/proc/self")) == "proc"
    assert filesystem_of(tmp_path) not in {"", "proc"}
    assert 2**20 < free_memory() < 2**50


# -- budget and eviction -----------------------------------------------------------------------------------


def test_the_longest_unused_file_goes_first(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    oldest, newest = filled(root, folder, by=1), filled(root, folder, by=2)
    os.utime(oldest, (5, 5))
    os.utime(newest, (9, 9))
    budget = oldest.stat().st_blocks * 512 * 2.5 / 2**30
    opened(root, folder, by=3, budget_gib=budget).close()
    assert not oldest.exists()
    assert newest.exists()


def test_use_makes_a_file_young(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    first, second = filled(root, folder, by=1), filled(root, folder, by=2)
    os.utime(first, (5, 5))
    os.utime(second, (9, 9))
    opened(root, folder, by=1).close()
    budget = first.stat().st_blocks * 512 * 2.5 / 2**30
    opened(root, folder, by=3, budget_gib=budget).close()
    assert first.exists()
    assert not second.exists()


def test_a_file_in_use_is_never_removed(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "c"
    path = filled(root, folder, by=1)
    budget = path.stat().st_blocks * 512 * 1.5 / 2**30
    with opened(root, folder, by=1) as user:
        with opened(root, folder, by=2, budget_gib=budget) as other:
            assert other.mode == "disk"
        assert "Raise cache.budget_gib" in caplog.text
        assert path.exists()
        assert user.gather([0])["image"].shape == (1, 1, 24, 24)
    with opened(root, folder, by=2, budget_gib=budget) as other:
        assert other.mode == "live_cache"
    assert not path.exists()


def test_a_file_removed_between_opening_and_locking_is_not_filled(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "c"
    with opened(root, folder) as cache:
        cache.gather([0])
    (path,), lock = folder.glob("*.filling"), fcntl.flock

    def removing(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_SH:  # what an evicting process does in between
            path.unlink(missing_ok=True)
            monkeypatch.undo()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removing)
    with opened(root, folder) as cache:
        cache.gather(range(12))
    assert [found.suffix for found in folder.iterdir() if found.suffix != ".lock"] == [".cache"]


def test_eviction_makes_room_on_a_full_disk(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    path = filled(root, folder, by=1)
    room = Room(free_bytes=lambda _: 10 if path.exists() else 10**9)
    assert opened(root, folder, by=2, room=room).mode == "live_cache"
    assert not path.exists()


def test_a_draft_that_a_killed_process_left_is_cleared(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    orphan, held = folder / "a.1.draft", folder / "b.2.draft"
    orphan.write_bytes(b"x")
    held.write_bytes(b"x")
    with held.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        opened(root, folder).close()
    assert not orphan.exists()
    assert held.exists()


# -- damage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["magic", "header", "length", "index", "short", "long", "empty"])
def test_a_damaged_file_is_discarded_and_made_anew(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = filled(root, tmp_path / "c", by=0)
    raw = bytearray(path.read_bytes())
    assert raw.startswith(MAGIC)
    page = 4096
    if damage in {"magic", "header", "length"}:
        raw[{"magic": 0, "header": 60, "length": 14}[damage]] ^= 0xFF
    elif damage == "index":
        front = 20 + int.from_bytes(raw[8:16], "little")  # magic, length, checksum, text
        raw[-(-front // page) * page + 3] ^= 1
    else:
        raw = {"short": raw[:-page], "long": raw + bytes(9), "empty": bytearray()}[damage]
    path.write_bytes(raw)
    with opened(root, tmp_path / "c") as cache:
        assert same(cache.gather(range(12)), direct(NpySet(), root))
        assert cache.stats().misses == 12
    assert "discarded, it" in caplog.text
    assert len(list((tmp_path / "c").glob("*.cache"))) == 1


def test_a_damaged_file_that_others_hold_is_left_to_them(root: Path, tmp_path: Path) -> None:
    path = filled(root, tmp_path / "c", by=0)
    raw = bytearray(path.read_bytes())
    raw[60] ^= 0xFF
    path.write_bytes(raw)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert opened(root, tmp_path / "c").mode == "disk"
    assert path.exists()


def test_an_unsealed_file_of_another_boot_is_discarded(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(root, tmp_path / "c") as cache:
        cache.gather(range(5))
    monkeypatch.setattr("pkgs.data.cache.opening.Shelf", lambda *a, **k: Shelf(*a, **k, boot="another"))
    with opened(root, tmp_path / "c") as cache:
        cache.gather(range(12))
        assert (cache.mode, cache.stats().misses) == ("live_cache", 12)
    assert "the machine stopped while it was filled" in caplog.text


def test_a_sealed_file_survives_a_boot(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(root, tmp_path / "c", by=0)
    monkeypatch.setattr("pkgs.data.cache.opening.Shelf", lambda *a, **k: Shelf(*a, **k, boot="another"))
    with opened(root, tmp_path / "c") as cache:
        cache.gather(range(12))
        assert cache.stats().misses == 0


def test_a_file_under_a_wrong_name_is_no_hit(root: Path, tmp_path: Path) -> None:
    other, path = filled(root, tmp_path / "c", by=1), filled(root, tmp_path / "c", by=0)
    shutil.copy(other, path)
    with opened(root, tmp_path / "c") as cache:
        assert cache.mode == "live_cache"
        assert same(cache.gather(range(12)), direct(NpySet(), root))


def test_a_disk_that_fails_while_filling_costs_time_not_the_run(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(descriptor: int, data: bytes, at: int) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with opened(root, tmp_path / "c") as cache:
        cache.gather([0])
        monkeypatch.setattr(os, "pwrite", failing)
        for _ in range(2):
            assert same(cache.gather([5, 0, 7]), [direct(NpySet(), root)[k] for k in (5, 0, 7)])
    assert caplog.text.count("cannot be written any more") == 1


def test_a_seal_that_fails_leaves_a_cache_that_serves(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with opened(root, tmp_path / "c") as cache:
        assert same(cache.gather(range(12)), direct(NpySet(), root))
        assert cache.complete
    assert "Input/output error" in caplog.text
    monkeypatch.undo()
    with opened(root, tmp_path / "c") as cache:
        assert (cache.complete, cache.stats().misses) == (True, 0)
    assert [path.suffix for path in (tmp_path / "c").iterdir() if path.suffix != ".lock"] == [".cache"]


# -- permissions -------------------------------------------------------------------------------------------


def as_nobody(root: Path, folder: Path, *, mode: str, misses: int) -> None:
    os.setgid(65534)
    os.setuid(65534)
    with opened(root, folder) as cache:
        assert cache.mode == mode
        assert same(cache.gather(range(12)), direct(NpySet(), root))
        assert cache.stats().misses == misses


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
@pytest.mark.parametrize(
    ("kept", "mode", "misses"), [(12, "live_cache", 0), (5, "live_cache", 7), (0, "disk", 12)]
)
def test_a_folder_that_may_not_be_written_is_read(
    root: Path, tmp_path: Path, kept: int, mode: str, misses: int
) -> None:
    for place in (tmp_path, *tmp_path.parents[:-2]):
        if place.owner() == "root" and str(place).startswith("/tmp/pytest-of-root"):
            place.chmod(0o755)
    folder = tmp_path / "c"
    folder.mkdir()
    if kept:
        with opened(root, folder) as cache:
            cache.gather(range(kept))
    assert end_of(fork(lambda: as_nobody(root, folder, mode=mode, misses=misses))) == 0


def test_a_folder_that_cannot_be_is_one_line(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with opened(root, tmp_path / "file" / "c") as cache:
        assert cache.mode == "disk"
    assert "Not a directory, so nothing can be kept there" in caplog.text
