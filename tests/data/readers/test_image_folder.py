"""Images of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pkgs.data.items import DataError, Item
from pkgs.data.readers.image_folder import ImageFolder, Meaning
from tests.builders.aerial import draw_tile, save
from tests.builders.image_folder import write_image_folder


def one(reader: ImageFolder, root: Path) -> Item:
    return reader.read(reader.samples(root)[0])


def mask_of(root: Path, values: np.ndarray) -> Path:
    save(root / "images/a.png", np.zeros(values.shape, np.uint8))
    (root / "masks").mkdir()
    tifffile.imwrite(root / "masks/a.tif", values, photometric="minisblack")
    return root


@pytest.mark.parametrize(
    ("labels", "stored", "told"),
    [
        ("classes", [0, 0, 1, 1, 2, 2, 255, 255], [0, 0, 1, 1, 2, 2, 255, 255]),
        ("nonzero", [0, 0, 1, 1, 7, 7, 255, 255], [0, 0, 1, 1, 1, 1, 1, 1]),
        ("255", [0, 0, 128, 128, 255, 255, 0, 0], [0, 0, 0, 0, 1, 1, 0, 0]),
        ("0", [0, 0, 128, 128, 255, 255, 0, 0], [1, 1, 0, 0, 0, 0, 1, 1]),
        ("instances", [0, 0, 300, 300, 255, 255, 2, 2], [0, 0, 300, 300, 255, 255, 2, 2]),
    ],
)
def test_what_the_values_mean_is_chosen(
    tmp_path: Path, labels: Meaning, stored: list[int], told: list[int]
) -> None:
    root = mask_of(tmp_path, np.array([stored] * 2, np.uint16))
    assert one(ImageFolder(labels=labels), root)["label"][0].tolist() == told


def test_black_and_white_masks_are_not_taken_for_ignored_classes(tmp_path: Path) -> None:
    write_image_folder(tmp_path)
    with pytest.raises(DataError, match=r"holds only 0, 255, and 255 means ignored.*labels '255'"):
        one(ImageFolder(), tmp_path)


def test_numbered_objects_are_not_taken_for_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"class numbers up to 700.*'instances'"):
        one(ImageFolder(), mask_of(tmp_path, np.full((4, 4), 700, np.uint16)))


def test_colour_images_are_read_on_request_and_refused_else(tmp_path: Path) -> None:
    colour, mask = draw_tile(0)
    save(tmp_path / "images/a.png", colour)
    save(tmp_path / "masks/a.png", mask)
    assert one(ImageFolder(channels=3), tmp_path)["image"].shape == (3, 32, 32)
    with pytest.raises(DataError, match=r"a\.png: colour \(mode RGB\); expected one grey channel"):
        one(ImageFolder(), tmp_path)


def test_images_and_masks_are_paired_by_name_and_not_by_order(tmp_path: Path) -> None:
    write_image_folder(tmp_path)
    (tmp_path / "masks/3.png").rename(tmp_path / "masks/0.png")
    with pytest.raises(DataError, match=r"2 files without a partner: 0 \(no image\), 3 \(no mask\)"):
        ImageFolder().samples(tmp_path)


def test_images_without_masks_are_read_on_request(tmp_path: Path) -> None:
    write_image_folder(tmp_path)
    assert set(one(ImageFolder(masks=""), tmp_path)) == {"image"}


def test_groups_are_found_in_the_names(tmp_path: Path) -> None:
    for name in ("p1_01", "p1_02", "p2_01"):
        save(tmp_path / f"images/{name}.png", np.zeros((4, 4), np.uint8))
    reader = ImageFolder(masks="", group=r"^(p\d+)_")
    assert [s.group for s in reader.samples(tmp_path)] == ["p1", "p1", "p2"]
    save(tmp_path / "images/odd.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match=r"finds no group in odd\. Put the part"):
        reader.samples(tmp_path)


def test_formats_may_be_mixed_and_endings_written_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    plane = np.full((6, 6), 90, np.uint8)
    for name in ("a.PNG", "b.bmp", "c.jpg", "d.JPEG"):
        Image.fromarray(plane).save(tmp_path / "images" / name)
    tifffile.imwrite(tmp_path / "images/e.TIF", plane, photometric="minisblack")
    (tmp_path / "images/notes.txt").write_text("no image")
    (tmp_path / "images/.hidden.png").write_text("no image")
    reader = ImageFolder(masks="")
    assert [s.id for s in reader.samples(tmp_path)] == ["a", "b", "c", "d", "e"]
    assert all(abs(int(reader.read(s)["image"].mean()) - 90) <= 1 for s in reader.samples(tmp_path))
