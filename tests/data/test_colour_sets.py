"""Colour sets through `open_labelled`: values, folds, further sets, other masks, who may train."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pkgs.data.cache.shelf import FILLING, SEALED
from pkgs.data.channel_statistics import channel_statistics
from pkgs.data.config import DataConfig
from pkgs.data.digests import digest_sample
from pkgs.data.folds import read_folds
from pkgs.data.formats.rgb_image import digest_rgb
from pkgs.data.inputs import find, problems
from pkgs.data.items import DataError
from pkgs.data.labelled import Labelled, open_labelled
from pkgs.data.part_statistics import statistics_of
from pkgs.data.readers.alabama import Alabama
from pkgs.data.readers.datacentric import COLOURS, DataCentric
from pkgs.data.samples import Part
from tests.builders.aerial import draw_tile, save
from tests.builders.alabama import write_alabama
from tests.builders.cem_mitolab import write_cem_mitolab
from tests.builders.datacentric import write_datacentric
from tests.builders.whu import write_whu

CPU = torch.device("cpu")
TILES = 6


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """Return a set of six tiles of four overlapping patches, whose labels are moved by three pixels."""
    root = tmp_path / "noisy"
    for tile in range(TILES):
        for place, (row, column) in enumerate(((0, 0), (0, 26), (26, 0), (26, 26))):
            colour, mask = draw_tile(50 * tile + place)
            name = f"t_{tile}_0_{row}_{column}.png"
            save(root / "training_patches" / name, colour)
            save(root / "training_noisy_labels" / name, np.roll(mask, 3, axis=1))
            save(root / "training_labels" / name, mask * np.uint8(255))
    return root


def config_for(root: Path, **more: object) -> DataConfig:
    settings = {
        "root": str(root),
        "layout": "datacentric",
        "size_px": 32,
        "split": {"by": "folds", "folds": 3},
        "cache": {"folder": str(root.parent / "cache")},
    }
    return DataConfig.model_validate({**settings, **more})


def opened(root: Path, **more: object) -> Labelled:
    return open_labelled(config_for(root, **more), device=CPU)


def label_of(part: Part, id_: str) -> np.ndarray:
    return part.batch(np.array([part.ids.index(id_)])).label_BHW[0].numpy()


def stored(path: Path) -> np.ndarray:
    return (np.asarray(Image.open(path)) > 0).astype(np.uint8)


def test_colours_come_in_the_order_of_r_g_b_as_shares_of_white(noisy: Path) -> None:
    part = opened(noisy).train
    batch = part.batch(np.array([0])).to(CPU)
    image = np.asarray(Image.open(noisy / f"training_patches/{part.ids[0]}.png"), np.float32) / 255
    assert batch.image_BCHW.dtype == torch.float32
    assert np.array_equal(batch.image_BCHW[0].permute(1, 2, 0).numpy(), image)
    assert part.batch(np.array([0])).image_BCHW.dtype == torch.uint8


def test_each_patch_is_test_in_one_fold_and_no_tile_in_two_parts(noisy: Path) -> None:
    tested: list[str] = []
    for fold in range(3):
        data = opened(noisy, split={"by": "folds", "folds": 3, "fold": fold})
        tiles = [set(part.sources) for part in (data.train, data.val, data.test)]
        assert all(tiles)
        assert sum(map(len, tiles)) == len(set.union(*tiles)) == TILES
        tested += data.test.ids
    assert len(tested) == len(set(tested)) == 4 * TILES


def test_the_folds_are_kept_in_a_file_and_a_changed_image_is_refused(noisy: Path) -> None:
    find(config_for(noisy))
    entries = read_folds(noisy / "splits/folds3_seed42.csv")
    assert {entry.split for entry in entries} == {"0", "1", "2"}
    assert entries[0].digest == digest_rgb(noisy / f"training_patches/{entries[0].sample}.png")
    colour, _ = draw_tile(999)
    save(noisy / f"training_patches/{entries[0].sample}.png", colour)
    with pytest.raises(DataError, match="its pixels have changed since the split was written"):
        find(config_for(noisy))


def test_all_folds_and_splits_share_one_cache(noisy: Path) -> None:
    for fold in range(3):
        opened(noisy, split={"by": "folds", "folds": 3, "fold": fold})
    opened(noisy, split={"by": "patch"})
    files = (noisy.parent / "cache").iterdir()
    assert len({path.stem for path in files if path.suffix in {SEALED, FILLING}}) == 2  # images and objects


def test_where_all_train_the_same_images_judge_and_it_is_said(noisy: Path) -> None:
    data = opened(noisy, split={"by": "all"})
    assert data.train.ids == data.val.ids == data.test.ids
    assert len(data.train) == 4 * TILES
    assert any("images that were trained on" in warning for warning in data.inputs.warnings)


def test_a_digest_of_colours_is_that_of_the_decoded_sample(noisy: Path) -> None:
    sample = DataCentric().samples(noisy)[0]
    assert digest_rgb(sample.files["image"]) == digest_sample(DataCentric(), sample)


def test_other_masks_are_seen_by_the_parts_that_they_are_for(noisy: Path, tmp_path: Path) -> None:
    corrected = tmp_path / "corrected"
    for path in (noisy / "training_labels").iterdir():
        _, mask = draw_tile(777)
        save(corrected / path.name, mask)
    data = opened(noisy, labels=str(corrected), test_labels=str(noisy / "training_labels"))
    for part in (data.train, data.val):
        assert np.array_equal(label_of(part, part.ids[0]), draw_tile(777)[1])
    tested = data.test.ids[0]
    assert np.array_equal(label_of(data.test, tested), stored(noisy / f"training_labels/{tested}.png"))


def test_test_sees_clean_masks_and_train_noisy_ones(noisy: Path) -> None:
    data = opened(noisy, test_labels=str(noisy / "training_labels"))
    trained = data.train.ids[0]
    assert np.array_equal(
        label_of(data.train, trained), stored(noisy / f"training_noisy_labels/{trained}.png")
    )


def test_masks_that_are_missing_are_named(noisy: Path) -> None:
    shutil.copytree(noisy / "training_labels", noisy.parent / "some")
    (noisy.parent / "some/t_0_0_0_0.png").unlink()
    with pytest.raises(DataError, match=r"data\.labels: .*some lacks 1 of 24 masks: t_0_0_0_0\. Masks bear"):
        opened(noisy, labels=str(noisy.parent / "some"), split={"by": "all"})
    assert "is not a folder" in problems(config_for(noisy, test_labels=str(noisy / "clean")))[0]


def test_only_those_on_the_list_train(noisy: Path) -> None:
    everyone = opened(noisy)
    chosen = everyone.train.ids[::2]
    keep = noisy.parent / "keep.txt"
    keep.write_text("\n".join([*chosen, *everyone.test.ids[:1]]) + "\n\n")
    fewer = opened(noisy, keep=str(keep))
    assert fewer.train.ids == chosen
    assert (fewer.val.ids, fewer.test.ids) == (everyone.val.ids, everyone.test.ids)
    assert fewer.inputs.fingerprint != everyone.inputs.fingerprint


def test_a_list_of_other_ids_is_refused(noisy: Path) -> None:
    keep = noisy.parent / "keep.txt"
    keep.write_text("t_0_0_0_0.png\n")
    assert "names 1 ids that the data lack: t_0_0_0_0.png" in problems(config_for(noisy, keep=str(keep)))[0]
    keep.write_text("")
    assert "nothing is left to train on" in problems(config_for(noisy, keep=str(keep)))[0]
    assert "cannot be read" in problems(config_for(noisy, keep=str(noisy / "none.txt")))[0]


def test_further_sets_bring_their_polarity_and_parts_that_are_released_stay(tmp_path: Path) -> None:
    whu, alabama = write_whu(tmp_path / "whu"), write_alabama(tmp_path / "alabama")
    config = config_for(
        whu, layout="whu", split={"by": "group"}, also=[{"root": str(alabama), "layout": "alabama"}]
    )
    data = open_labelled(config, device=CPU)
    ids = [set(part.ids) for part in (data.train, data.val, data.test)]
    assert {id_ for id_ in ids[0] if "alabama" not in id_} == {"train/0", "train/1", "train/2"}
    assert sum(id_.startswith("alabama/img_") for part in ids for id_ in part) == 6
    assert all(any(id_.startswith("alabama/") for id_ in part) for part in ids)
    for part in (data.train, data.val, data.test):
        batch = part.batch(np.arange(len(part))).to(CPU)
        assert torch.equal(batch.image_BCHW[:, 0] > batch.image_BCHW[:, 1], batch.label_BHW == 1)
    assert (alabama / "splits/group_seed42.csv").exists()
    assert problems(config) == []


@pytest.mark.parametrize("how", ["per_image", "per_dataset"])
def test_matched_colours_have_mean_and_spread_of_the_target(tmp_path: Path, how: str) -> None:
    whu, alabama = write_whu(tmp_path / "whu", tiles=2), write_alabama(tmp_path / "alabama")
    also = [{"root": str(alabama), "layout": "alabama"}]
    data = opened(whu, layout="whu", split={"by": "group"}, also=also, colour_match=how)
    parts = (data.train, data.val, data.test)
    images = [part.batch(np.arange(len(part))).image_BCHW.double() for part in parts]
    ids = [id_ for part in parts for id_ in part.ids]
    every = torch.cat(images)[[id_.startswith("alabama/") for id_ in ids]]
    groups = [every] if how == "per_dataset" else list(every[:, None])
    for group in groups:
        mean = (
            group.transpose(0, -3).flatten(1).mean(dim=1) if how == "per_dataset" else group.mean((0, 2, 3))
        )
        assert (mean - torch.tensor(COLOURS.mean)).abs().max() < 2


def test_colours_of_a_whole_set_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_alabama(tmp_path / "alabama")
    config = config_for(root, layout="alabama", split={"by": "group"}, colour_match="per_dataset")
    first = find(config)
    monkeypatch.setattr(Alabama, "read", None)
    assert find(config).reader == first.reader
    assert len(list((tmp_path / "cache/colours").glob("*.json"))) == 1


@pytest.mark.parametrize(
    ("also", "message"),
    [
        ([("alabama", "alabama"), ("alabama", "alabama")], "two sets of the layout 'alabama'"),
        ([("cem", "cem_mitolab")], "images of cem_mitolab have 1 channels, those of datacentric 3"),
        ([("nowhere", "alabama")], "nowhere: is not a folder"),
    ],
)
def test_sets_that_do_not_go_together_are_refused(
    tmp_path: Path, also: list[tuple[str, str]], message: str
) -> None:
    write_alabama(tmp_path / "alabama")
    write_cem_mitolab(tmp_path / "cem", sources=1)
    further = [{"root": str(tmp_path / name), "layout": layout} for name, layout in also]
    told = problems(config_for(write_datacentric(tmp_path / "set"), also=further))
    assert len(told) == 1
    assert message in told[0]


def test_grey_images_have_no_colours_to_match(tmp_path: Path) -> None:
    root = write_cem_mitolab(tmp_path / "cem", sources=8)
    told = problems(config_for(root, layout="cem_mitolab", colour_match="per_image"))
    assert "cem_mitolab holds grey images. Leave it out." in told[0]


def test_statistics_of_a_part_are_those_of_its_files_and_of_no_others(noisy: Path) -> None:
    data = opened(noisy)
    known = [sample for sample in data.inputs.samples if sample.id in data.train.ids]
    expected = channel_statistics(DataCentric(), known)
    assert statistics_of(data.train) == (expected.mean, expected.std)


def test_inverted_masks_are_said_with_the_cure(noisy: Path) -> None:
    assert not any("inverted" in warning for warning in opened(noisy).inputs.warnings)
    for path in (noisy / "training_noisy_labels").iterdir():
        save(path, np.uint8(1) - stored(path))
    said = [warning for warning in opened(noisy).inputs.warnings if "inverted" in warning]
    assert len(said) == 1
    assert "layout: alabama" in said[0]


def test_objects_of_test_are_what_hangs_together(noisy: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[2:6, 2:6] = mask[20:26, 20:26] = 1
    for path in (noisy / "training_noisy_labels").iterdir():
        save(path, mask)
    instances = opened(noisy).test.batch(np.array([0])).instances_BHW
    assert instances is not None
    assert instances.unique().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((32, 32), 3, np.uint8), "the mask holds the values 3; expected only 0 and 1"),
        (np.full((32, 32), 65535, np.uint16), "the mask holds the values 65535"),
        (np.zeros((32, 32, 4), np.uint8), r"colour \(mode RGBA\); expected one grey channel"),
    ],
)
def test_masks_of_another_kind_are_refused_in_a_sentence(
    noisy: Path, pixels: np.ndarray, message: str
) -> None:
    data = opened(noisy)
    save(noisy / f"training_noisy_labels/{data.test.ids[0]}.png", pixels)
    part = opened(noisy).test
    with pytest.raises(DataError, match=message):
        part.batch(np.arange(len(part)))


def test_inputs_are_byte_equal_afterwards(noisy: Path) -> None:
    before = {path: path.read_bytes() for path in noisy.rglob("*.png")}
    opened(noisy, test_labels=str(noisy / "training_labels"), colour_match="per_dataset")
    assert before == {path: path.read_bytes() for path in noisy.rglob("*.png")}


def test_a_fold_beyond_the_last_is_refused() -> None:
    with pytest.raises(ValueError, match="fold is 3; 3 folds are numbered 0 to 2"):
        DataConfig.model_validate({"root": "x", "split": {"by": "folds", "folds": 3, "fold": 3}})
