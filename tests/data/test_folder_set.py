"""Any folder of images and masks in the CEM-MitoLab layout."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from pkgs.data.folder_set import FolderPlan, blocks_of, convert, instances, pair_files, tiles
from pkgs.data.items import DataError
from pkgs.data.readers.cem_mitolab import CemMitoLab
from tests.builders.image_folder import write_image_folder


def build(out: Path, plan: FolderPlan) -> dict[str, object]:
    out.mkdir()
    return convert(out, plan, pairs=pair_files(plan), tick=lambda _: None)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 12), st.integers(0, 3))
def test_neighbours_never_stand_in_two_blocks(count: int, blocks: int, gap: int) -> None:
    if count - gap * (blocks - 1) < blocks:
        with pytest.raises(DataError, match="Lower --group-blocks"):
            blocks_of(count, blocks=blocks, gap=gap)
        return
    ranges = blocks_of(count, blocks=blocks, gap=gap)
    assert all(after.start - before.stop == gap for before, after in pairwise(ranges))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1
    assert (ranges[0].start, ranges[-1].stop) == (0, count)


def test_numbers_in_names_count_as_numbers(tmp_path: Path) -> None:
    plan = FolderPlan(*write_image_folder(tmp_path))
    assert [image.stem for image, _ in pair_files(plan)] == [str(number) for number in range(1, 13)]


def test_a_converted_folder_is_read_as_any_other_set(tmp_path: Path) -> None:
    plan = FolderPlan(*write_image_folder(tmp_path), foreground="255", group_blocks=3)
    facts = build(tmp_path / "out", plan)
    samples = CemMitoLab().samples(tmp_path / "out")
    assert facts["images"] == len(samples) == 10
    assert facts["left_out"] == 2
    assert {sample.group for sample in samples} == {"block_000", "block_001", "block_002"}


def test_zero_as_foreground_is_the_complement(tmp_path: Path) -> None:
    images, masks = write_image_folder(tmp_path)
    inside = build(tmp_path / "a", FolderPlan(images, masks, foreground="255"))["foreground_share"]
    outside = build(tmp_path / "b", FolderPlan(images, masks, foreground="0"))["foreground_share"]
    assert isinstance(inside, float)
    assert isinstance(outside, float)
    assert abs(inside + outside - 1) < 1e-4


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 128))
def test_tiles_cover_everything(rows: int, columns: int, tile_px: int) -> None:
    covered = np.zeros((rows, columns), bool)
    for _, cut in tiles(covered.shape, tile_px):
        assert covered[cut].shape == (min(tile_px, rows), min(tile_px, columns))
        covered[cut] = True
    assert covered.all()


def test_connected_regions_are_numbered_and_numbers_are_kept() -> None:
    binary = np.array([[255, 0, 255]], np.int32)
    assert instances(binary, "255").tolist() == [[1, 0, 2]]
    assert instances(np.array([[7, 9, 0]], np.int32), "nonzero").tolist() == [[7, 9, 0]]


def test_tiled_masks_belong_to_their_images(tmp_path: Path) -> None:
    plan = FolderPlan(*write_image_folder(tmp_path), foreground="255", tile_px=20, group_blocks=2)
    build(tmp_path / "out", plan)
    for sample in CemMitoLab().samples(tmp_path / "out"):
        image, mask = (tifffile.imread(sample.files[name]) for name in ("image", "label"))
        assert image.shape == mask.shape == (20, 20)
        assert not mask.any() or image[mask > 0].min() > image[mask == 0].mean()


def test_lonely_files_are_listed(tmp_path: Path) -> None:
    images, masks = write_image_folder(tmp_path)
    (masks / "3.png").unlink()
    (images / "5.png").unlink()
    with pytest.raises(
        DataError, match=r"2 files without a partner.*3\.png \(no mask\), 5\.png \(no image\)"
    ):
        pair_files(FolderPlan(images, masks))


def test_a_missing_folder_is_named_with_its_option(tmp_path: Path) -> None:
    images, _ = write_image_folder(tmp_path)
    with pytest.raises(DataError, match=r"--masks .*none: is not a folder"):
        pair_files(FolderPlan(images, tmp_path / "none"))


def test_masks_without_the_value_say_which_values_they_hold(tmp_path: Path) -> None:
    images, masks = write_image_folder(tmp_path)
    for path in masks.iterdir():
        path.unlink()
    for path in images.iterdir():
        tifffile.imwrite(masks / f"{path.stem}.tif", np.full((32, 32), 3, np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match=r"no pixel is foreground with --foreground 255.*values 3"):
        build(tmp_path / "out", FolderPlan(images, masks, foreground="255"))
