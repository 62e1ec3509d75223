"""From draws to batches: the same whatever the kind, the workers and the start; bad samples are replaced."""

from __future__ import annotations

import csv
import os
import random
import signal
from itertools import chain
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from pkgs.data.cache.bad_samples import BadSamples, TooManyBadError, limit_of
from pkgs.data.cache.cache import Cache
from pkgs.data.cache.config import LoaderConfig, LoaderKind
from pkgs.data.cache.draw_order import DrawOrder
from pkgs.data.cache.loader import Loader, in_order
from pkgs.data.cache.opening import open_cache
from pkgs.data.cache.recipe import BadItemError
from pkgs.data.cache.workers import DeadWorkerError
from pkgs.data.draws import draw_indices
from tests.builders.caches import same, small
from tests.builders.forks import end_of, fork
from tests.builders.npy_set import NpySet, direct, write_npy_set
from tests.builders.processes import eventually

PART = (1, 2, 3, 5, 7, 8, 10, 11)
"""The samples of one part of a split; an epoch has 8 draws."""


def opened(root: Path, folder: Path, reader: NpySet | None = None, *, mode: str = "live_cache") -> Cache:
    reader = reader or NpySet()
    return open_cache(reader, reader.samples(root), root=root, config=small(folder, mode=mode))


def loader_of(cache: Cache, *, kind: LoaderKind = "inline", workers: int = 2, **changes: object) -> Loader:
    settings = {key: changes.pop(key) for key in list(changes) if key in LoaderConfig.model_fields}
    config = LoaderConfig(kind=kind, workers=workers, **settings)  # type: ignore[arg-type]
    return Loader(cache, indices=PART, seed=5, config=config, **changes)  # type: ignore[arg-type]


def spoil(root: Path, *numbers: int) -> None:
    for number in numbers:
        path = root / "image" / f"{number:03d}.npy"
        path.write_bytes(path.read_bytes()[:-9])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_npy_set(tmp_path / "set")


def test_a_batch_is_what_the_order_of_the_seed_says_also_across_epochs(root: Path, tmp_path: Path) -> None:
    with opened(root, tmp_path / "c") as cache, loader_of(cache) as loader:
        for start in range(0, 30, 5):
            batch = loader.fetch(range(start, start + 5))
            places = draw_indices(5, start, batch=5, count=8)
            assert batch.indices.tolist() == [PART[place] for place in places]
            assert same(batch.arrays, [direct(NpySet(), root)[PART[place]] for place in places])
            assert batch.ids == tuple(f"s/{PART[place]:03d}" for place in places)


def test_the_order_is_made_once_per_epoch_and_is_that_of_the_draws() -> None:
    order = DrawOrder(3, count=7)
    forwards = draw_indices(3, 0, batch=40, count=7).tolist()
    assert order[range(40)].tolist() == forwards
    assert [int(order[range(draw, draw + 1)][0]) for draw in reversed(range(40))] == forwards[::-1]
    assert len(order._orders) == 2


@pytest.mark.parametrize("mode", ["live_cache", "disk", "device"])
@pytest.mark.parametrize(("kind", "workers"), [("thread", 1), ("thread", 3), ("auto", 1), ("auto", 2)])
def test_neither_kind_nor_workers_nor_start_change_a_batch(
    root: Path, tmp_path: Path, mode: str, kind: LoaderKind, workers: int
) -> None:
    ranges = [range(start, start + 3) for start in range(0, 24, 3)]
    with opened(root, tmp_path / "a") as cache, loader_of(cache) as loader:
        expected = [loader.fetch(draws).arrays["image"] for draws in ranges]
    with opened(root, tmp_path / "b", mode=mode) as cache:
        for first in (0, 5):
            with loader_of(cache, kind=kind, workers=workers) as loader:
                for number, draws in enumerate(ranges[first:], start=first):
                    assert torch.equal(loader.fetch(draws).arrays["image"], expected[number])


@pytest.mark.parametrize("mode", ["live_cache", "disk"])
def test_worker_processes_give_the_same_and_leave_every_generator_alone(
    root: Path, tmp_path: Path, mode: str
) -> None:
    spoil(root, 7)
    ranges = [range(start, start + 4) for start in range(0, 16, 4)]
    with opened(root, tmp_path / "a") as cache, loader_of(cache, bad_share=1) as loader:
        expected = [loader.fetch(draws).arrays["image"] for draws in ranges]
    before = torch.random.get_rng_state(), np.random.get_state()[1], random.getstate()
    with (
        opened(root, tmp_path / "b", mode=mode) as cache,
        loader_of(cache, kind="process", bad_share=1, bad_file=tmp_path / "bad.csv") as loader,
    ):
        assert all(
            torch.equal(loader.fetch(d).arrays["image"], e) for d, e in zip(ranges, expected, strict=True)
        )
        assert len(loader.bad) == 1
        counted = cache.stats()
        assert counted.misses >= 7  # made in the workers, counted here
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
    assert before[2] == random.getstate()


def test_a_resume_loads_nothing_of_what_it_skips(root: Path, tmp_path: Path) -> None:
    reader = NpySet(decodes=tmp_path / "decoded")
    with opened(root, tmp_path / "c", reader) as cache, loader_of(cache, kind="thread", draws=16) as loader:
        loader.fetch(range(12, 14))
        loader.fetch(range(14, 16))
        wanted = {f"s/{PART[place]:03d}" for place in draw_indices(5, 12, batch=4, count=8)}
    assert set(reader.decoded()) == wanted


def test_the_ranges_of_a_rank_are_foreseen(root: Path, tmp_path: Path) -> None:
    reader = NpySet(decodes=tmp_path / "decoded")
    with (
        opened(root, tmp_path / "c", reader) as cache,
        loader_of(cache, kind="thread", ahead=1, workers=1) as loader,
    ):
        loader.fetch(range(1))
        loader.fetch(range(4, 5))  # rank 0 of 4: the next is 8
        assert range(8, 9) in loader._pending
        assert range(5, 6) not in loader._pending


def test_bad_samples_are_replaced_by_the_next_of_the_order_counted_and_listed(
    root: Path, tmp_path: Path
) -> None:
    spoil(root, 3, 8)
    order = [PART[place] for place in draw_indices(5, 0, batch=32, count=8)]
    good = [next(k for k in order[draw:] if k not in {3, 8}) for draw in range(16)]
    reader = NpySet(decodes=tmp_path / "decoded")
    for kind in ("inline", "thread"):
        file = tmp_path / kind / "bad_samples.csv"
        file.parent.mkdir()
        with (
            opened(root, tmp_path / kind, reader) as cache,
            loader_of(cache, kind=kind, bad_share=0.5, bad_file=file) as loader,  # type: ignore[arg-type]
        ):
            seen = [loader.fetch(range(start, start + 4)).indices.tolist() for start in range(0, 16, 4)]
            assert list(chain(*seen)) == good
        rows = list(csv.DictReader(file.read_text().splitlines()))
        assert {row["id"] for row in rows} == {"s/003", "s/008"}
        assert "image/003.npy" in next(row["path"] for row in rows if row["id"] == "s/003")
        assert all("cannot be read (ValueError" in row["reason"] for row in rows)


def test_what_an_earlier_attempt_listed_is_not_tried_again(root: Path, tmp_path: Path) -> None:
    spoil(root, 3)
    reader, file = NpySet(decodes=tmp_path / "decoded"), tmp_path / "bad.csv"
    for _ in range(2):
        with (
            opened(root, tmp_path / "c", reader, mode="disk") as cache,
            loader_of(cache, bad_file=file) as loader,
        ):
            loader.fetch(range(8))
    assert reader.decoded().count("s/003") == 1
    assert len(file.read_text().splitlines()) == 2


def test_a_line_torn_by_a_kill_is_no_sample_and_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    BadSamples(limit=9, file=file).add("a", path="p", reason="line\nbreak, comma")
    file.write_text(file.read_text() + "b,q")
    BadSamples(limit=9, file=file).add("c", path="p", reason="r")
    assert BadSamples(limit=9, file=file).ids == {"a", "c"}


def test_too_many_bad_samples_stop_the_run(root: Path, tmp_path: Path) -> None:
    spoil(root, 3, 8)
    with (
        opened(root, tmp_path / "c") as cache,
        loader_of(cache, bad_file=tmp_path / "bad.csv") as loader,
        pytest.raises(
            TooManyBadError, match=r"2 samples cannot be used; the limit is 1 .*bad\.csv.*00[38]\.npy"
        ),
    ):
        loader.fetch(range(8))


def test_nothing_but_bad_samples_ends(root: Path, tmp_path: Path) -> None:
    spoil(root, *PART)
    with (
        opened(root, tmp_path / "c") as cache,
        loader_of(cache, bad_share=1) as loader,
        pytest.raises(TooManyBadError, match="All 8 samples are bad"),
    ):
        loader.fetch(range(8))


def test_the_limit_is_the_smaller_of_share_and_count() -> None:
    assert limit_of(1_000_000, share=0.01, count=100) == 100
    assert limit_of(1_000, share=0.01, count=100) == 10
    assert limit_of(20, share=0.01, count=100) == 1
    assert limit_of(20, share=0.01, count=0) == 0


def test_debug_raises_at_once(root: Path, tmp_path: Path) -> None:
    spoil(root, 3)
    with (
        opened(root, tmp_path / "c") as cache,
        loader_of(cache, debug=True) as loader,
        pytest.raises(BadItemError, match=r"003\.npy"),
    ):
        loader.fetch(range(8))


def test_validation_sees_every_sample_once_in_order(root: Path, tmp_path: Path) -> None:
    for mode in ("live_cache", "device"):
        with opened(root, tmp_path / "c", mode=mode) as cache:
            batches = list(in_order(cache, PART, batch=3))
            assert [len(batch.ids) for batch in batches] == [3, 3, 2]
            assert list(chain(*(batch.indices.tolist() for batch in batches))) == list(PART)
            assert same(batches[2].arrays, [direct(NpySet(), root)[k] for k in PART[6:]])


def test_the_first_bad_sample_of_validation_is_an_error(root: Path, tmp_path: Path) -> None:
    spoil(root, 7)
    with opened(root, tmp_path / "c") as cache, pytest.raises(BadItemError, match=r"007\.npy"):
        list(in_order(cache, PART, batch=3))


def workers_of() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_a_dead_worker_is_told_with_a_hint_about_memory(root: Path, tmp_path: Path) -> None:
    reader = NpySet(die_at="s/005")
    with (
        opened(root, tmp_path / "c", reader) as cache,
        loader_of(cache, kind="process", workers=1) as loader,
        pytest.raises(DeadWorkerError, match=r"decodes samples died.*no memory left.*fewer loader\.workers"),
    ):
        loader.fetch(range(8))
    assert workers_of() == []


def test_a_worker_that_crashes_says_where(root: Path, tmp_path: Path) -> None:
    reader = NpySet(die_at="s/005", die_with=signal.SIGSEGV)
    with (
        opened(root, tmp_path / "c", reader) as cache,
        loader_of(cache, kind="process", workers=1) as loader,
        pytest.raises(DeadWorkerError, match=r"(?s)Fatal Python error: Segmentation fault.*in read"),
    ):
        loader.fetch(range(8))


def test_workers_outlive_a_stop_signal(root: Path, tmp_path: Path) -> None:
    with opened(root, tmp_path / "c") as cache, loader_of(cache, kind="process", workers=1) as loader:
        loader.fetch(range(2))
        (worker,) = workers_of()
        worker.send_signal(signal.SIGTERM)
        worker.send_signal(signal.SIGINT)
        assert loader.fetch(range(4, 8)).indices.shape == (4,)
        assert worker.is_running()
    assert workers_of() == []


def test_workers_end_when_their_parent_is_killed(root: Path, tmp_path: Path) -> None:
    read, write = os.pipe()

    def train() -> None:
        with opened(root, tmp_path / "c") as cache, loader_of(cache, kind="process", workers=1) as loader:
            loader.fetch(range(2))
            os.write(write, str(workers_of()[0].pid).encode())
            signal.pause()

    parent = fork(train)
    worker = psutil.Process(int(os.read(read, 20)))
    assert worker.is_running()
    os.kill(parent, signal.SIGKILL)
    assert end_of(parent) == -signal.SIGKILL
    gone = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    eventually(lambda: not worker.is_running() or worker.status() in gone, what="the end of the worker")
