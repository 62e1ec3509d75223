"""The cache as its users see it: every mode gives the bytes that reader and preparations give."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pkgs.data.cache.cache import Cache
from pkgs.data.cache.config import CacheConfig
from pkgs.data.cache.opening import open_cache
from pkgs.data.cache.recipe import BadItemError
from pkgs.data.items import DataError, Header, Item, Sample
from tests.builders.caches import same, small
from tests.builders.npy_set import SIDE, Brighter, CutTo, NpySet, direct, write_npy_set

MODES = ("live_cache", "pre_cache", "disk", "device")


def opened(root: Path, folder: Path, reader: NpySet | None = None, **settings: object) -> Cache:
    reader = reader or NpySet()
    preparations: Any = settings.pop("preparations", ())
    config = small(folder, **settings)
    return open_cache(reader, reader.samples(root), root=root, preparations=preparations, config=config)


def packed(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in {".cache", ".filling"})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_every_mode_gives_what_reader_and_preparations_give(tmp_path: Path, mode: str, dtype: str) -> None:
    root, preparations = write_npy_set(tmp_path / "set", dtype=dtype, channels=2), (Brighter(3), CutTo(17))
    with opened(root, tmp_path / "c", mode=mode, preparations=preparations) as cache:
        assert cache.mode == mode
        for _ in range(2):  # while it fills, and when it is full
            assert same(cache.gather(range(12)), direct(NpySet(), root, preparations))
        order = [7, 0, 7, 11]
        assert same(cache.gather(order), [direct(NpySet(), root, preparations)[k] for k in order])
        assert str(cache.gather([0])["image"].dtype) == f"torch.{dtype}"


@pytest.mark.parametrize("dtype", ["uint16", "float64", "bool", ">i2"])
@pytest.mark.parametrize("mode", MODES)
def test_values_survive_where_torch_knows_no_such_type(tmp_path: Path, mode: str, dtype: str) -> None:
    root = write_npy_set(tmp_path / "set", count=3, dtype=dtype)
    with opened(root, tmp_path / "c", mode=mode) as cache:
        images = cache.gather([2, 1])["image"]
        expected = np.stack([np.load(root / "image" / f"{k:03d}.npy") for k in (2, 1)])
        assert np.array_equal(images.numpy(), expected)
        assert (images + images).dtype == images.dtype  # uint16 has come as int32


def test_a_second_opener_decodes_nothing(tmp_path: Path) -> None:
    root, reader = write_npy_set(tmp_path / "set"), NpySet(decodes=tmp_path / "decoded")
    with opened(root, tmp_path / "c", reader) as first:
        first.gather(range(12))
        assert sorted(reader.decoded()) == list(first.ids)
    with opened(root, tmp_path / "c", reader) as second:
        assert same(second.gather(range(12)), direct(NpySet(), root))
        assert len(reader.decoded()) == 12
        assert (second.stats().hits, second.stats().misses) == (12, 0)
    assert [path.suffix for path in packed(tmp_path / "c")] == [".cache"]


def test_an_item_is_decoded_once_however_often_a_batch_holds_it(tmp_path: Path) -> None:
    root, reader = write_npy_set(tmp_path / "set"), NpySet(decodes=tmp_path / "decoded")
    with opened(root, tmp_path / "c", reader) as cache:
        cache.gather([5, 5, 5])
        assert reader.decoded() == ["s/005"]


@pytest.mark.parametrize("change", ["touch", "content", "size", "version", "preparation", "name", "nan"])
def test_whatever_changes_the_values_changes_the_key(tmp_path: Path, change: str) -> None:
    root, folder = write_npy_set(tmp_path / "set"), tmp_path / "c"
    reader, settings = NpySet(), {"preparations": (Brighter(1),)}
    opened(root, folder, reader, **settings).close()
    image = root / "image" / "004.npy"
    if change == "touch":
        os.utime(image, ns=(1, 1))
    elif change in {"content", "size"}:
        np.save(image, np.zeros((1, SIDE, SIDE if change == "content" else SIDE + 1), np.uint8))
    elif change == "version":
        reader = NpySet(version=2)
    elif change == "preparation":
        settings = {"preparations": (Brighter(2),)}
    elif change == "name":
        image.rename(image.with_name("004b.npy"))
        (root / "label" / "004.npy").rename(root / "label" / "004b.npy")
    else:
        settings |= {"test_nan_inf": False}  # type: ignore[dict-item]
    opened(root, folder, reader, **settings).close()
    assert len(packed(folder)) == 2


def test_a_moved_folder_keeps_its_cache(tmp_path: Path) -> None:
    root, reader = write_npy_set(tmp_path / "set"), NpySet(decodes=tmp_path / "decoded")
    with opened(root, tmp_path / "c", reader) as cache:
        cache.gather(range(12))
    moved = root.rename(tmp_path / "moved")
    with opened(moved, tmp_path / "c", reader) as cache:
        cache.gather(range(12))
        assert len(reader.decoded()) == 12


def test_a_copy_with_new_times_is_known_by_its_content(tmp_path: Path) -> None:
    root, reader = write_npy_set(tmp_path / "set"), NpySet(decodes=tmp_path / "decoded")
    with opened(root, tmp_path / "c", reader, key_by="content") as cache:
        cache.gather(range(6))
    for path in root.rglob("*.npy"):
        os.utime(path, ns=(1, 1))
    with opened(root, tmp_path / "c", reader, key_by="content") as cache:
        assert same(cache.gather(range(12)), direct(NpySet(), root))
        assert len(reader.decoded()) == 12
    np.save(root / "image" / "000.npy", np.zeros((1, SIDE, SIDE), np.uint8))
    opened(root, tmp_path / "c", reader, key_by="content").close()
    assert len(packed(tmp_path / "c")) == 2


def test_a_file_that_changes_while_the_cache_is_open_is_not_mixed_in(tmp_path: Path) -> None:
    root = write_npy_set(tmp_path / "set")
    with opened(root, tmp_path / "c") as cache:
        np.save(root / "image" / "003.npy", np.zeros((1, SIDE, SIDE), np.uint8))
        with pytest.raises(BadItemError, match=r"003\.npy.*has changed since this run has opened its cache"):
            cache.gather([3])


def test_a_preparation_that_does_not_tell_its_settings_is_refused(tmp_path: Path) -> None:
    class Mute:
        def planned(self, header: Header) -> Header:
            return header

        def __call__(self, item: Item) -> Item:
            return item

    root = write_npy_set(tmp_path / "set")
    with pytest.raises(TypeError, match="Mute: its repr does not name its settings"):
        opened(root, tmp_path / "c", preparations=(Mute(),))


def test_batches_are_fresh_and_the_file_stays_as_it_is(tmp_path: Path) -> None:
    root = write_npy_set(tmp_path / "set")
    with opened(root, tmp_path / "c") as cache:
        cache.gather(range(12))
        (path,) = packed(tmp_path / "c")
        before = hashlib.sha256(path.read_bytes()).hexdigest()
        for start in range(0, 12, 4):
            for tensor in cache.gather(range(start, start + 4)).values():
                tensor.zero_()
            for array in cache.item(start).values():
                array[...] = 0
        with pytest.raises(ValueError, match="read-only"):
            cache.store.item(0)["image"][...] = 0
        assert hashlib.sha256(path.read_bytes()).hexdigest() == before
        assert same(cache.gather(range(12)), direct(NpySet(), root))


@pytest.mark.parametrize("mode", MODES)
def test_unequal_shapes_name_the_remedy_and_can_be_read_one_by_one(tmp_path: Path, mode: str) -> None:
    root = write_npy_set(tmp_path / "set", ragged=True)
    with opened(root, tmp_path / "c", mode=mode) as cache:
        assert cache.mode == ("live_cache" if mode == "device" else mode)
        with pytest.raises(
            DataError, match=r"'image' has different shapes.*\(1, 24, 24\), \(1, 25, 24\).*pad"
        ):
            cache.gather([0, 1])
        assert same(cache.gather([0, 3]), [direct(NpySet(), root)[k] for k in (0, 3)])
        expected = direct(NpySet(), root)[5]
        assert all(np.array_equal(array, expected[name]) for name, array in cache.item(5).items())


def test_windows_are_cut_without_reading_the_rest(tmp_path: Path) -> None:
    root = write_npy_set(tmp_path / "set", ragged=True, channels=2)
    corners = np.array([[0, 0], [4, 16]])
    for mode in ("live_cache", "disk"):
        with opened(root, tmp_path / "c", mode=mode) as cache:
            batch = cache.windows([2, 4], corners_BD=corners, size=(20, 8))
            items = [direct(NpySet(), root)[k] for k in (2, 4)]
            assert np.array_equal(batch["image"][0], items[0]["image"][:, :20, :8])
            assert np.array_equal(batch["label"][1], items[1]["label"][4:24, 16:24])
            assert batch["vector"].tolist() == [[0], [0]]
            with pytest.raises(DataError, match=r"window of \(20, 8\) at \(4, 17\) leaves 'image'.*Pad"):
                cache.windows([4], corners_BD=corners[1:] + np.array([[0, 1]]), size=(20, 8))


def test_what_an_item_is_called_survives(tmp_path: Path) -> None:
    root, reader = write_npy_set(tmp_path / "set"), NpySet()
    for mode in ("live_cache", "disk"):
        with opened(root, tmp_path / "c", mode=mode) as cache:
            assert [cache.sample(k) for k in range(12)] == reader.samples(root)
            assert cache.ids[3] == "s/003"
            assert list(cache.groups) == [sample.group for sample in reader.samples(root)]
            assert cache.header(0).spacing_mm == (1.0, 0.5)


def test_digests_find_equal_pixels_and_only_these(tmp_path: Path) -> None:
    root = write_npy_set(tmp_path / "set")
    np.save(root / "image" / "007.npy", np.load(root / "image" / "002.npy"))
    told = []
    for mode in ("live_cache", "disk"):
        with opened(root, tmp_path / "c", mode=mode) as cache:
            told.append(cache.digests(range(12)))
            assert len(set(told[-1])) == 11
            assert told[-1][7] == told[-1][2]
    assert told[0] == told[1]


def test_the_foreground_share_counts_judged_pixels_only(tmp_path: Path) -> None:
    root = write_npy_set(tmp_path / "set", count=2)
    label = np.zeros((SIDE, SIDE), np.uint8)
    label[:6], label[6:12] = 2, 255
    for number in range(2):
        np.save(root / "label" / f"{number:03d}.npy", label)
    for mode in ("live_cache", "disk"):
        with opened(root, tmp_path / "c", mode=mode) as cache:
            assert cache.foreground([0, 1]) == pytest.approx(1 / 3)


def test_a_flipped_byte_is_found_and_named(tmp_path: Path) -> None:
    root = write_npy_set(tmp_path / "set")
    with opened(root, tmp_path / "c") as cache:
        cache.gather(range(12))
        assert cache.verify() == []
    (path,) = packed(tmp_path / "c")
    raw = bytearray(path.read_bytes())
    raw[raw.index(np.load(root / "image" / "004.npy").tobytes()) + 9] ^= 1
    path.write_bytes(raw)
    with opened(root, tmp_path / "c") as cache:
        assert cache.verify() == ["s/004"]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_batches_are_cut_on_the_gpu(tmp_path: Path, dtype: str) -> None:
    root, reader, gpu = write_npy_set(tmp_path / "set", dtype=dtype), NpySet(), torch.device("cuda", 0)
    config = small(tmp_path / "c", mode="device")
    with open_cache(reader, reader.samples(root), root=root, config=config, device=gpu) as cache:
        assert cache.mode == "device"
        batch = cache.gather([5, 0, 5])
        assert all(tensor.device == gpu for tensor in batch.values())
        assert np.array_equal(batch["image"].cpu(), [direct(reader, root)[k]["image"] for k in (5, 0, 5)])


def test_device_mode_that_does_not_fit_falls_back_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pkgs.data.cache.device.free_memory", lambda: 100)
    root = write_npy_set(tmp_path / "set")
    with opened(root, tmp_path / "c", mode="device") as cache:
        assert cache.mode == "live_cache"
        assert same(cache.gather(range(12)), direct(NpySet(), root))
    assert "cache.mode device: " in caplog.text
    assert "are free on cpu. The mode is live_cache instead" in caplog.text


@pytest.mark.parametrize("mode", MODES)
def test_a_damaged_file_is_one_error_with_its_number_in_every_mode(tmp_path: Path, mode: str) -> None:
    root = write_npy_set(tmp_path / "set")
    whole = (root / "image" / "005.npy").read_bytes()
    (root / "image" / "005.npy").write_bytes(whole[: len(whole) // 2])
    for _ in range(2):  # also when its state is known
        with opened(root, tmp_path / "c", mode=mode) as cache:
            with pytest.raises(BadItemError, match=r"image/005\.npy, .*cannot be read \(ValueError") as told:
                cache.gather([4, 5])
            assert told.value.index == 5
            assert same(cache.gather([4, 6]), [direct_one(root, k) for k in (4, 6)])


def direct_one(root: Path, number: int) -> dict[str, Any]:
    return dict(NpySet().read(NpySet().samples(root)[number]))


@pytest.mark.parametrize("mode", MODES)
def test_values_that_are_not_finite_are_refused_once_unless_switched_off(tmp_path: Path, mode: str) -> None:
    root = write_npy_set(tmp_path / "set", dtype="float32", count=4)
    image = np.load(root / "image" / "001.npy")
    image[0, 3, 4] = np.nan
    np.save(root / "image" / "001.npy", image)
    with (
        opened(root, tmp_path / "c", mode=mode) as cache,
        pytest.raises(BadItemError, match=r"001\.npy.*: 1 of 576 values of 'image' are NaN or infinite"),
    ):
        cache.gather([0, 1])
    with opened(root, tmp_path / "c", mode=mode, test_nan_inf=False) as cache:
        assert cache.gather([1])["image"].isnan().sum() == 1


def test_a_cache_with_a_damaged_item_is_sealed_all_the_same(tmp_path: Path) -> None:
    root = write_npy_set(tmp_path / "set", count=4)
    (root / "image" / "001.npy").write_bytes(b"x")  # not even a header
    with opened(root, tmp_path / "c", mode="pre_cache") as cache:
        assert cache.complete
    assert [path.suffix for path in packed(tmp_path / "c")] == [".cache"]


def test_a_header_that_lies_is_told(tmp_path: Path) -> None:
    class Liar(NpySet):
        def header(self, sample: Sample) -> Header:
            return CutTo(3).planned(super().header(sample))

    root, reader = write_npy_set(tmp_path / "set"), Liar()
    with (
        open_cache(reader, reader.samples(root), root=root, config=small(tmp_path / "c")) as cache,
        pytest.raises(
            BadItemError, match=r"'image' decoded to uint8 \(1, 24, 24\), but its header said uint8"
        ),
    ):
        cache.gather([0])


def test_all_damaged_no_sample_and_double_ids_are_errors_at_once(tmp_path: Path) -> None:
    root, reader = write_npy_set(tmp_path / "set", count=2), NpySet()
    samples = reader.samples(root)
    with pytest.raises(DataError, match="no samples to cache"):
        open_cache(reader, [], root=root, config=small(tmp_path / "c"))
    with pytest.raises(DataError, match="two samples have the id 's/001'"):
        open_cache(reader, [*samples, samples[1]], root=root, config=small(tmp_path / "c"))
    for path in root.rglob("*.npy"):
        path.write_bytes(b"")
    with pytest.raises(BadItemError, match=r"000\.npy.*cannot be read \(EOFError"):
        opened(root, tmp_path / "c")


def test_samples_with_different_arrays_are_refused(tmp_path: Path) -> None:
    root, reader = write_npy_set(tmp_path / "set", count=2), NpySet()
    samples = reader.samples(root)
    lonely = Sample(id="x", group="x", files={"image": samples[0].files["image"]}, vector=(1,))
    with pytest.raises(DataError, match=r"different arrays: image, label, vector \| image, vector"):
        open_cache(reader, [*samples, lonely], root=root, config=small(tmp_path / "c"))


def test_numbers_outside_are_refused(tmp_path: Path) -> None:
    with opened(write_npy_set(tmp_path / "set"), tmp_path / "c") as cache:
        for wrong in ([12], [-1]):
            with pytest.raises(IndexError, match=f"No sample {wrong[0]}; they are numbered from 0 to 11"):
                cache.gather(wrong)
        with pytest.raises(IndexError, match="at least one number"):
            cache.gather([])


def test_a_pickled_cache_is_small_and_opens_at_first_use(tmp_path: Path) -> None:
    root = write_npy_set(tmp_path / "set")
    with opened(root, tmp_path / "c") as cache:
        cache.gather(range(12))
        raw = pickle.dumps(cache)
        assert len(raw) < 4000
        assert same(pickle.loads(raw).gather([1, 2]), direct(NpySet(), root)[1:3])  # noqa: S301


def test_hits_and_misses_are_counted_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="pkgs.data.cache.cache")
    with opened(write_npy_set(tmp_path / "set"), tmp_path / "c") as cache:
        cache.gather(range(4))
        cache.gather(range(6))
        counted = cache.stats()
        assert (counted.hits, counted.misses, counted.nbytes) == (4, 6, 6 * (2 * SIDE * SIDE + 8))
        assert counted.fill_s > 0
        counts = cache.counters.folder
    assert "cache: 4 hits, 6 misses (40.0% hits), 6.8 KiB decoded" in caplog.text
    assert not counts.exists()


def test_counting_after_the_owner_has_closed_harms_nobody(tmp_path: Path) -> None:
    root = write_npy_set(tmp_path / "set")
    cache = opened(root, tmp_path / "c")
    copy = pickle.loads(pickle.dumps(cache))  # noqa: S301
    cache.close()
    assert same(copy.gather([1, 2]), direct(NpySet(), root)[1:3])


def test_the_global_generators_are_left_alone(tmp_path: Path) -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].tobytes()  # type: ignore[union-attr]
    with opened(write_npy_set(tmp_path / "set"), tmp_path / "c") as cache:
        cache.gather(range(12))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1] == np.random.get_state()[1].tobytes()  # type: ignore[union-attr]


def test_the_folder_is_resolved_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    config = CacheConfig()
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert config.place() == Path("/somewhere/queuemanager")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert config.place() == Path.home() / ".cache/queuemanager"
    assert CacheConfig(folder="~/x").place() == Path.home() / "x"
