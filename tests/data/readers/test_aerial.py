"""WHU, Alabama and DataCentric: tiles of aerial images with masks of buildings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pkgs.data.items import DataError, Item, Reader
from pkgs.data.readers.alabama import Alabama
from pkgs.data.readers.datacentric import DataCentric
from pkgs.data.readers.whu import Whu
from tests.builders.aerial import save
from tests.builders.alabama import write_alabama
from tests.builders.datacentric import LATER, write_datacentric
from tests.builders.whu import write_whu


def roofs_are_red(item: Item) -> bool:
    """Say whether the mask lies on what the builder painted red."""
    red, green = item["image"][0].astype(int), item["image"][1].astype(int)
    return np.array_equal(red > green, item["label"] == 1)


def test_whu_parts_are_those_of_the_release_and_equal_names_stay_apart(tmp_path: Path) -> None:
    samples = Whu().samples(write_whu(tmp_path))
    assert [(s.id, s.part) for s in samples[:4]] == [
        ("test/0", "test"),
        ("test/1", "test"),
        ("test/2", "test"),
        ("train/0", "train"),
    ]
    assert all(roofs_are_red(Whu().read(s)) for s in samples)


def test_a_red_image_has_its_large_value_in_channel_zero(tmp_path: Path) -> None:
    reader = Whu()
    path = write_whu(tmp_path) / "train/Image/1.png"
    save(path, np.full((32, 32, 3), (250, 20, 10), np.uint8))
    sample = next(s for s in reader.samples(tmp_path) if s.id == "train/1")
    assert reader.read(sample)["image"][:, 0, 0].tolist() == [250, 20, 10]


def test_alabama_masks_are_turned_round_in_both_codings(tmp_path: Path) -> None:
    reader = Alabama()
    samples = reader.samples(write_alabama(tmp_path))
    assert len(samples) == 6
    assert all(roofs_are_red(reader.read(s)) for s in samples)


@pytest.mark.parametrize("scale", [1, 255])
@pytest.mark.parametrize("folders", [("training_patches", "training_noisy_labels", "training_labels"), LATER])
def test_datacentric_is_read_under_both_names_and_codings(
    tmp_path: Path, folders: tuple[str, str, str], scale: int
) -> None:
    reader = DataCentric(truth=True)
    samples = reader.samples(write_datacentric(tmp_path, folders=folders, scale=scale))
    item = reader.read(samples[0])
    assert set(np.unique(item["label"])) == set(np.unique(item["truth"])) == {0, 1}
    assert roofs_are_red({"image": item["image"], "label": item["truth"]})
    assert not roofs_are_red(item)


def test_patches_are_grouped_by_source_tile(tmp_path: Path) -> None:
    samples = DataCentric().samples(write_datacentric(tmp_path))
    assert {s.group for s in samples} == {"tile_7_0", "tile_12_3"}
    assert all(set(s.files) == {"image", "label"} for s in samples)


def test_truth_is_never_looked_at_unless_asked_for(tmp_path: Path) -> None:
    write_datacentric(tmp_path)
    for path in (tmp_path / "training_labels").iterdir():
        path.unlink()
    assert len(DataCentric().samples(tmp_path)) == 8
    with pytest.raises(DataError, match=r"8 files without a partner: .*\(no clean mask\)"):
        DataCentric(truth=True).samples(tmp_path)


def test_a_name_without_a_source_tile_is_refused(tmp_path: Path) -> None:
    write_datacentric(tmp_path)
    for folder in ("training_patches", "training_noisy_labels"):
        save(tmp_path / folder / "patch7.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match=r"names without five parts: patch7; .* rgb_folder"):
        DataCentric().samples(tmp_path)


@pytest.mark.parametrize(
    ("reader", "write", "mask"),
    [
        (Whu(), write_whu, "train/Mask/0.png"),
        (DataCentric(), write_datacentric, "training_noisy_labels/tile_7_0_0_0.png"),
    ],
)
def test_other_mask_values_are_refused_with_the_file(
    tmp_path: Path, reader: Reader, write: Callable[[Path], Path], mask: str
) -> None:
    pixels = np.zeros((32, 32), np.uint8)
    pixels[:16], pixels[16:20] = 255, 128
    save(write(tmp_path) / mask, pixels)
    wrong = next(s for s in reader.samples(tmp_path) if str(s.files["label"]).endswith(mask))
    with pytest.raises(
        DataError, match=r"the mask holds the values 0, 128, 255; expected only 0 and 1, or"
    ) as caught:
        reader.read(wrong)
    assert mask in str(caught.value)


def test_swapped_folders_of_tiles_are_noticed_on_both_sides(tmp_path: Path) -> None:
    reader = Alabama()
    (write_alabama(tmp_path) / "image").rename(tmp_path / "aside")
    (tmp_path / "mask").rename(tmp_path / "image")
    (tmp_path / "aside").rename(tmp_path / "mask")
    sample = reader.samples(tmp_path)[0]
    with pytest.raises(DataError, match=r"image/img_0\.png: grey \(mode L\).*swapped\?"):
        reader.read(sample)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)).save(
        sample.files["label"]
    )
    save(sample.files["image"], np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(DataError, match=r"mask/img_0\.png: the mask holds .*looks like an image.*swapped\?"):
        reader.read(sample)


def test_a_part_of_whu_that_is_missing_is_named_with_what_is_there(tmp_path: Path) -> None:
    (write_whu(tmp_path) / "val").rename(tmp_path / "validation")
    with pytest.raises(DataError, match=r"the folder 'val' is missing; it holds test, train, validation"):
        Whu().samples(tmp_path)
