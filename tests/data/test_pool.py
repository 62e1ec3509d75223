"""The unlabelled pool: nothing of val and test, an order of its own, truth for evaluation alone."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from pkgs.data import content
from pkgs.data.cache.config import CacheConfig
from pkgs.data.cache.loader import Loader
from pkgs.data.config import DataConfig, PoolConfig
from pkgs.data.formats.grey_image import digest_image, read_grey
from pkgs.data.items import DataError
from pkgs.data.pool import Pool, open_loader, open_pool
from pkgs.data.readers.cem_mitolab import CemMitoLab
from pkgs.data.split import Entry
from tests.builders.cem_1500k import write_cem_1500k
from tests.builders.cem_mitolab import write_cem_mitolab

CPU = torch.device("cpu")
PARTS = {"source_00": "test", "source_02": "val"}
POOL = "CEM1500k_unlabelled/cem1.5M"


def planted(root: Path) -> list[Entry]:
    """Write a labelled set and a pool that holds a copy of a test image and a source of val."""
    write_cem_mitolab(write_cem_1500k(root), sources=4)
    labelled = root / "CEM-MitoLab/cem_mitolab"
    plane = tifffile.imread(labelled / "source_00/images/s0_1.tiff")
    tifffile.imwrite(root / POOL / "pool_01/copy.tif", plane, photometric="minisblack", compression="zlib")
    shutil.copytree(labelled / "source_02/images", root / POOL / "Source_02")
    return [
        Entry(s.id, s.group, PARTS.get(s.group, "train"), digest_image(s.files["image"]))
        for s in CemMitoLab().samples(root)
    ]


def open_one(root: Path, entries: list[Entry], *, keep_overlap: bool = False, count: int = 0) -> Pool:
    cache = CacheConfig(folder=str(root.parent / "cache"))
    config = PoolConfig(root=str(root), max_images=count, cache=cache)
    data = DataConfig(root=str(root), size_px=32)
    return open_pool(config, entries=entries, data=data, device=CPU, keep_overlap=keep_overlap)


def test_copies_and_sources_of_val_and_test_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entries = planted(tmp_path / "set")
    with caplog.at_level(logging.INFO):
        pool = open_one(tmp_path / "set", entries)
    assert pool.dropped == 5
    assert len(pool.part) == 9
    assert set(pool.part.sources) == {"pool_00", "pool_01", "pool_02"}
    assert "pool_01/copy" not in pool.part.ids
    assert "5 of 14 unlabelled images left out: 4 of sources in val or test, 1 copies" in caplog.text


def test_the_reference_keeps_them(tmp_path: Path) -> None:
    pool = open_one(tmp_path / "set", planted(tmp_path / "set"), keep_overlap=True)
    assert (pool.dropped, len(pool.part)) == (0, 14)


def test_images_of_train_stay(tmp_path: Path) -> None:
    entries = [Entry(e.sample, e.group, "train", e.digest) for e in planted(tmp_path / "set")]
    assert open_one(tmp_path / "set", entries).dropped == 0


def test_a_batch_holds_images_as_the_labelled_ones_are_and_no_labels(tmp_path: Path) -> None:
    pool = open_one(write_cem_1500k(tmp_path / "set"), [])
    batch = pool.part.batch(np.arange(9)).to(CPU)
    assert batch.image_BCHW.shape == (9, 1, 32, 32)
    assert batch.ids == tuple(pool.part.ids)
    grey = read_grey(pool.part.cache.sample(0).files["image"])
    assert torch.equal(batch.image_BCHW[0, 0], torch.from_numpy(grey))
    assert not hasattr(batch, "label_BHW")


def test_the_order_of_the_pool_is_not_that_of_labelled_images_of_the_same_seed(tmp_path: Path) -> None:
    pool = open_one(write_cem_1500k(tmp_path / "set"), [])
    config = PoolConfig(root="")
    with open_loader(pool.part, config=config, seed=3) as mine:
        first = mine.fetch(range(9))
    with open_loader(pool.part, config=config, seed=3) as again:
        assert pool.part.fetched(again.fetch(range(9))).ids == pool.part.fetched(first).ids
    with Loader(pool.part.cache, indices=pool.part.numbers, seed=3) as labelled:
        assert labelled.fetch(range(9)).ids != first.ids


def test_images_are_read_once_for_all_runs_and_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = planted(tmp_path / "set")
    open_one(tmp_path / "set", entries)

    def fail(path: Path) -> str:
        raise AssertionError(path)

    monkeypatch.setattr(content, "digest_image", fail)
    assert open_one(tmp_path / "set", entries[:8]).dropped == 1


def test_a_stopped_look_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries, read = planted(tmp_path / "set"), list[Path]()

    def note(path: Path) -> str:
        read.append(path)
        return digest_image(path)

    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(content, "CHUNK", 4)
    monkeypatch.setattr(content, "digest_image", note)
    config = PoolConfig(root=str(tmp_path / "set"), cache=CacheConfig(folder=str(tmp_path / "cache")))
    data = DataConfig(root=config.root, size_px=32)
    with pytest.raises(KeyboardInterrupt):
        open_pool(config, entries=entries, data=data, device=CPU, tick=stop)
    assert len(read) == 4
    assert open_one(tmp_path / "set", entries).dropped == 5
    assert len(read) == 14


def test_many_images_are_looked_at_by_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "WORTH_PROCESSES", 1)
    monkeypatch.setattr(content, "usable_cores", lambda: 2)
    assert open_one(tmp_path / "set", planted(tmp_path / "set")).dropped == 5


def test_a_damaged_image_is_not_taken_for_a_copy_of_another(tmp_path: Path) -> None:
    entries = planted(tmp_path / "set")
    for name in ("pool_00/roi_0.tiff", "pool_00/roi_1.tiff"):
        path = tmp_path / "set" / POOL / name
        path.write_bytes(path.read_bytes()[:300])
    assert open_one(tmp_path / "set", entries).dropped == 5


def test_a_cache_folder_that_cannot_be_written_costs_time_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entries = planted(tmp_path / "set")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/content").write_text("a file where the folder should be")
    assert open_one(tmp_path / "set", entries).dropped == 5
    assert caplog.text.count("every start will read all images") == 1


def test_a_part_of_a_large_pool_is_the_same_whatever_the_split(tmp_path: Path) -> None:
    root = write_cem_1500k(tmp_path / "set")
    some = open_one(root, [], count=4).part.ids
    assert len(some) == 4
    assert some == sorted(some)
    assert set(some) <= set(open_one(root, []).part.ids)
    assert open_one(root, [Entry("a/b", "other", "test", "0" * 16)], count=4).part.ids == some


def test_a_pool_that_val_and_test_know_wholly_is_an_error(tmp_path: Path) -> None:
    root = write_cem_1500k(tmp_path / "set", sources=1)
    with pytest.raises(DataError, match=r"val or test know all 3 unlabelled images\. Add other sources"):
        open_one(root, [Entry("pool_00/x", "pool_00", "val", "")])


def test_truth_is_there_for_a_synthetic_pool_image_by_image(tmp_path: Path) -> None:
    entries = planted(tmp_path / "set")
    assert open_one(tmp_path / "set", entries).truth is None
    truth = tmp_path / "set/CEM1500k_unlabelled/truth"
    for number, image in enumerate(sorted((tmp_path / "set" / POOL).rglob("*.tif*"))):
        (truth / image.parent.name).mkdir(parents=True, exist_ok=True)
        mask = np.zeros(tifffile.imread(image).shape, np.uint16)
        mask[:, : number + 1] = 7
        tifffile.imwrite(truth / image.parent.name / f"{image.stem}.tif", mask, photometric="minisblack")
    pool = open_one(tmp_path / "set", entries)
    assert pool.truth is not None
    assert pool.truth.ids == pool.part.ids
    batch, images = pool.truth.batch(np.arange(9)), pool.part.batch(np.arange(9))
    assert torch.equal(batch.image_BCHW, images.image_BCHW)
    assert batch.label_BHW.unique().tolist() == [0, 1]
    next(truth.rglob("*.tif")).unlink()
    with pytest.raises(DataError, match=r"1 images of the pool have no mask in truth/"):
        open_one(tmp_path / "set", entries)
