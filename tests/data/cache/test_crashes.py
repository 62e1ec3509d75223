"""kill -9 at any time leaves a cache that is right: no item is ever served that was not wholly written."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

from pkgs.data.cache.blueprint import FULL
from pkgs.data.cache.cache import Cache
from pkgs.data.cache.opening import open_cache
from pkgs.data.cache.stores import PackedStore
from tests.builders.caches import same, small
from tests.builders.forks import die_at_write, end_of, fork
from tests.builders.npy_set import NpySet, direct, write_npy_set

KILLED = -9


def opened(root: Path, folder: Path, reader: NpySet | None = None) -> Cache:
    reader = reader or NpySet()
    return open_cache(reader, reader.samples(root), root=root, config=small(folder))


def names(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir() if path.suffix != ".lock")


def states(cache: Cache) -> int:
    assert isinstance(cache.store, PackedStore)
    return int((cache.store.file.states == FULL).sum())


def test_killed_at_every_single_write_the_next_process_gets_it_right(tmp_path: Path) -> None:
    root = write_npy_set(tmp_path / "set", count=2)
    expected = direct(NpySet(), root)
    number, ends = 0, []
    while not ends or ends[-1] == KILLED:  # until a child has fewer writes than that
        number += 1
        folder = tmp_path / f"c{number}"

        def work(number: int = number, folder: Path = folder) -> None:
            die_at_write(number)
            opened(root, folder).gather([0, 1])

        ends.append(end_of(fork(work)))
        with opened(root, folder) as cache:
            assert same(cache.gather([0, 1]), expected), f"killed at write {number}"
            assert cache.verify() == []
        assert names(folder) == [".cache"], f"killed at write {number}"
    assert ends[-1] == 0
    assert number > 30  # creation, two items and the seal have been through


def test_a_half_written_item_is_not_full(tmp_path: Path) -> None:
    root, reader = write_npy_set(tmp_path / "set"), NpySet(die_at="s/007")
    assert end_of(fork(lambda: opened(root, tmp_path / "c", reader).gather(range(12)))) == KILLED
    counting = NpySet(decodes=tmp_path / "decoded")
    with opened(root, tmp_path / "c", counting) as cache:
        assert states(cache) == 7
        assert same(cache.gather(range(12)), direct(NpySet(), root))
        assert counting.decoded() == [f"s/{k:03d}" for k in range(7, 12)]


@pytest.mark.parametrize("seed", range(4))
def test_two_jobs_fill_one_cache_at_once_and_one_is_killed_in_the_middle(tmp_path: Path, seed: int) -> None:
    root, rng = write_npy_set(tmp_path / "set", count=40), random.Random(seed)  # noqa: S311 - where to kill

    def fill(order: list[int]) -> None:
        cache = opened(root, tmp_path / "c")
        for index in order:
            cache.gather([index])

    def killed() -> None:
        die_at_write(rng.randrange(1, 150))
        fill(rng.sample(range(40), 40))

    children = fork(killed), fork(lambda: fill(list(range(40))))
    assert [end_of(pid) for pid in children] in ([KILLED, 0], [0, 0])
    reader = NpySet(decodes=tmp_path / "decoded")
    with opened(root, tmp_path / "c", reader) as cache:
        assert same(cache.gather(range(40)), direct(NpySet(), root))
        assert cache.verify() == []
        assert reader.decoded() == []  # the other one has made all
    assert names(tmp_path / "c") == [".cache"]


def test_many_jobs_that_start_at_once_share_one_file(tmp_path: Path) -> None:
    root, reader = write_npy_set(tmp_path / "set"), NpySet(decodes=tmp_path / "decoded")
    children = [fork(lambda: opened(root, tmp_path / "c", reader).gather(range(12))) for _ in range(6)]
    assert [end_of(pid) for pid in children] == [0] * 6
    assert names(tmp_path / "c") == [".cache"]
    with opened(root, tmp_path / "c") as cache:
        assert same(cache.gather(range(12)), direct(NpySet(), root))


def test_a_job_goes_on_when_another_seals_the_file(tmp_path: Path) -> None:
    root = write_npy_set(tmp_path / "set")
    with opened(root, tmp_path / "c") as first:
        first.gather([0])
        assert end_of(fork(lambda: opened(root, tmp_path / "c").gather(range(12)))) == 0
        assert first.complete
        assert same(first.gather(range(12)), direct(NpySet(), root))
        assert first.stats().misses == 1


def test_a_fork_reads_and_fills_through_the_file_of_its_parent(tmp_path: Path) -> None:
    root = write_npy_set(tmp_path / "set")
    with opened(root, tmp_path / "c") as cache:
        cache.gather([0, 1])
        assert end_of(fork(lambda: cache.gather(range(12)))) == 0
        assert cache.complete
        assert same(cache.gather(range(12)), direct(NpySet(), root))
        counted = cache.stats()  # 2 misses here; 2 hits and 10 misses there; 12 hits here
        assert (counted.hits, counted.misses) == (14, 12)


def test_four_processes_hold_one_copy_in_memory(tmp_path: Path) -> None:
    root = write_npy_set(tmp_path / "set", count=32, channels=16, side=128)  # 8 MiB
    with opened(root, tmp_path / "c") as cache:
        cache.gather(range(32))
        nbytes = cache.store.file.nbytes  # type: ignore[union-attr]
    pipes = [(os.pipe(), os.pipe()) for _ in range(4)]

    def hold(ready: int, go_on: int) -> None:
        cache = opened(root, tmp_path / "c")
        for index in range(32):
            cache.gather([index])
        os.write(ready, b"x")
        os.read(go_on, 1)

    children = [fork(lambda ready=r[1], wait=w[0]: hold(ready, wait)) for r, w in pipes]
    try:
        assert [os.read(ready, 1) for (ready, _), _ in pipes] == [b"x"] * 4
        shares = [mapped_share(pid, str(tmp_path / "c")) for pid in children]
    finally:
        for _, (_, go_on) in pipes:
            os.write(go_on, b"x")
        assert [end_of(pid) for pid in children] == [0] * 4
    assert all(share > 0 for share in shares)
    assert sum(shares) <= 1.2 * nbytes


def mapped_share(pid: int, path: str) -> int:
    """Return the proportional share in bytes of a process in the maps of files below `path`."""
    total, inside = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            inside = len(words) > 5 and words[5].startswith(path)
        elif inside and words[0] == "Pss:":
            total += int(words[1]) * 1024
    return total


def test_numbers_of_a_batch_are_right_while_others_fill(tmp_path: Path) -> None:
    root = write_npy_set(tmp_path / "set", count=40)
    expected = direct(NpySet(), root)
    with opened(root, tmp_path / "c") as cache:
        child = fork(lambda: [opened(root, tmp_path / "c").gather([k]) for k in reversed(range(40))])
        rng = np.random.default_rng(0)
        for _ in range(30):
            chosen = rng.integers(0, 40, 4)
            assert same(cache.gather(chosen), [expected[k] for k in chosen])
        assert end_of(child) == 0
