from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pkgs.data.inputs import find
from pkgs.data.items import DataError
from pkgs.noise.ranking.config import RankConfig
from pkgs.noise.ranking.patches import GivenLabels, chunks, find_patches
from pkgs.noise.ranking.tables import half
from tests.builders.noise_runs import SPLIT, data_of, write_noisy_set


def test_labels_come_back_as_they_were_packed(tmp_path: Path) -> None:
    world = write_noisy_set(tmp_path / "data", tiles=3)
    patches = find_patches(data_of(world))
    labels = GivenLabels(patches, tick=lambda: None)
    places = np.array([5, 0, 11])
    np.testing.assert_array_equal(labels.at(places), [world.given[patches.ids[place]] for place in places])


def test_labels_are_brought_to_the_size_of_the_predictions(tmp_path: Path) -> None:
    world = write_noisy_set(tmp_path / "data", tiles=3)
    patches = find_patches(data_of(world).model_copy(update={"size_px": 16}))
    item = patches.item(0)
    assert (item["image"].shape, item["label"].shape) == ((3, 16, 16), (16, 16))


def test_folds_are_never_made_here(tmp_path: Path) -> None:
    world = write_noisy_set(tmp_path / "data", tiles=3)
    (world.root / "splits" / SPLIT).unlink()
    with pytest.raises(DataError, match=r"is missing. The runs that judge folds write it"):
        find_patches(data_of(world))
    assert list((world.root / "splits").iterdir()) == []


def test_a_tile_in_two_folds_is_refused(tmp_path: Path) -> None:
    world = write_noisy_set(tmp_path / "data", tiles=3)
    path = world.root / "splits" / SPLIT
    first, *rest = path.read_text().splitlines()[1:]
    sample, group, fold, digest = first.split(",")
    moved = f"{sample},{group},{(int(fold) + 1) % 3},{digest}"
    path.write_text("\n".join(["sample,group,fold,digest", moved, *rest]) + "\n")
    with pytest.raises(DataError, match="stands tile_0_0 in several folds"):
        find_patches(data_of(world))


def test_a_file_of_folds_without_a_patch_is_refused(tmp_path: Path) -> None:
    world = write_noisy_set(tmp_path / "data", tiles=3)
    path = world.root / "splits" / SPLIT
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(DataError, match="does not fit the data: without tile_"):
        find_patches(data_of(world))


def test_chunks_hold_all_places_once_and_no_more_pixels_than_asked() -> None:
    pieces = chunks(7, side_px=4, chunk_px=50)
    assert [piece.tolist() for piece in pieces] == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(chunks(7, side_px=4, chunk_px=1)) == 7


def test_half_of_each_fold_is_chosen_in_the_order_given() -> None:
    folds = np.array([0, 1, 0, 1, 0, 1, 1])
    assert half(np.array([6, 5, 4, 3, 2, 1, 0]), folds).tolist() == [4, 5, 6]


def test_an_image_that_has_changed_since_the_folds_were_made_is_refused(tmp_path: Path) -> None:
    world = write_noisy_set(tmp_path / "data", tiles=3)
    (world.root / "splits" / SPLIT).unlink()
    config = data_of(world)
    config = config.model_copy(
        update={"cache": config.cache.model_copy(update={"folder": str(tmp_path / "cache")})}
    )
    find(config)
    find_patches(config)
    image = world.root / "training_patches" / f"{world.ids[0]}.png"
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(image)
    with pytest.raises(DataError, match="its pixels have changed since the split was written"):
        find_patches(config)


def test_labels_of_another_folder_are_no_labels_of_the_set() -> None:
    raw = {"data": {"root": "here", "split": {"by": "folds"}, "keep": "keep.txt"}, "runs": {"student": "x"}}
    with pytest.raises(ValueError, match=r"data\.keep: the labels of data\.root are ranked"):
        RankConfig.model_validate(raw)


def test_a_ranking_without_folds_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.split\.by is source; expected folds"):
        RankConfig.model_validate({"data": {"root": "here"}, "runs": {"student": "x"}})
