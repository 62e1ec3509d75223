"""A store pickles as a path and opens in a process that was started in any way; all fill one file."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from pkgs.data.cache.filling import CHUNK, fill_all
from pkgs.data.cache.opening import open_cache
from pkgs.data.cache.stores import PackedStore
from pkgs.data.cache.workers import WORTH_PROCESSES, usable_cores
from tests.builders.caches import same, small
from tests.builders.npy_set import NpySet, checksum, direct, write_npy_set


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_store_opens_in_a_process_that_was_started_by(method: str, tmp_path: Path) -> None:
    root, reader = write_npy_set(tmp_path / "set"), NpySet(decodes=tmp_path / "decoded")
    with open_cache(reader, reader.samples(root), root=root, config=small(tmp_path / "c")) as cache:
        cache.gather(range(6))
        with multiprocessing.get_context(method).Pool(1) as pool:
            told = pool.apply(checksum, (cache.store,))
            pool.close()
            pool.join()
        assert told == sum(int(item["image"].sum()) for item in direct(NpySet(), root))
        assert cache.complete
        assert len(reader.decoded()) == 12
        assert cache.stats().misses == 12


def test_all_cores_fill_before_the_first_step_and_the_heart_beats(tmp_path: Path) -> None:
    count = WORTH_PROCESSES + 3
    root, reader = write_npy_set(tmp_path / "set", count=count, side=4), NpySet(decodes=tmp_path / "decoded")
    (root / "image" / "100.npy").write_bytes((root / "image" / "100.npy").read_bytes()[:-1])
    beats: list[tuple[int, int]] = []
    with open_cache(reader, reader.samples(root), root=root, config=small(tmp_path / "c")) as cache:
        assert isinstance(cache.store, PackedStore)
        fill_all(cache.store, workers=2, tick=lambda done, total: beats.append((done, total)))
        assert cache.complete
        good = [k for k in range(count) if k != 100]
        expected = [dict(reader.read(sample)) for k, sample in enumerate(reader.samples(root)) if k != 100]
        assert same(cache.gather(good), expected)
    assert beats[-1] == (count - 1, count - 1)  # one has no readable header
    assert len(beats) >= count // CHUNK


def test_the_share_of_the_queue_bounds_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    for told, cores in (("", 3), ("2", 2), ("8", 3), ("0", 1), ("x", 3)):
        monkeypatch.setenv("OMP_NUM_THREADS", told)
        assert usable_cores() == cores
