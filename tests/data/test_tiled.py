"""Windows of large images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pkgs.data.config import DataConfig
from pkgs.data.items import DataError, Sample
from pkgs.data.labelled import open_labelled
from pkgs.data.readers.rgb_folder import RgbFolder
from pkgs.data.tiled import Tiled, corners_of
from tests.builders.aerial import draw_tile, save


def large(root: Path, *, sides: tuple[int, ...] = (72, 72, 72, 32)) -> Path:
    for number, side in enumerate(sides):
        colour, mask = draw_tile(number, side_px=side)
        save(root / f"images/n{number}.png", colour)
        save(root / f"masks/n{number}.png", mask)
    return root


@pytest.mark.parametrize(
    ("shape", "corners"),
    [
        ((64, 64), [(0, 0), (0, 32), (32, 0), (32, 32)]),
        ((32, 32), [(0, 0)]),
        ((20, 72), [(0, 0), (0, 20), (0, 40)]),
        ((16, 16), [(0, 0)]),
    ],
)
def test_windows_cover_an_image_in_rows_and_columns(
    shape: tuple[int, int], corners: list[tuple[int, int]]
) -> None:
    assert corners_of(shape, side_px=32) == corners


def test_windows_are_cuts_of_image_and_mask_alike(tmp_path: Path) -> None:
    plain, reader = RgbFolder(), Tiled(RgbFolder(), 32)
    whole = plain.read(plain.samples(large(tmp_path))[0])
    seen = np.zeros((72, 72), bool)
    for sample in reader.samples(tmp_path)[:9]:
        row, column = map(int, sample.id.removeprefix("n0/").split("_"))
        place = (slice(row, row + 32), slice(column, column + 32))
        item = reader.read(sample)
        assert np.array_equal(item["image"], whole["image"][:, *place])
        assert np.array_equal(item["label"], whole["label"][place])
        assert reader.header(sample).arrays["image"].shape == (3, 32, 32)
        seen[place] = True
    assert seen.all()


def test_small_images_stay_whole_under_their_own_names(tmp_path: Path) -> None:
    assert [sample.id for sample in Tiled(RgbFolder(), 32).samples(large(tmp_path))][-1] == "n3"


def test_windows_of_an_image_stay_in_its_part(tmp_path: Path) -> None:
    config = DataConfig.model_validate(
        {
            "root": str(large(tmp_path / "set")),
            "layout": "rgb_folder",
            "size_px": 32,
            "fit": "tile",
            "split": {"by": "group"},
            "cache": {"folder": str(tmp_path / "cache")},
        }
    )
    data = open_labelled(config, device=torch.device("cpu"))
    images = [{id_.partition("/")[0] for id_ in part.ids} for part in (data.train, data.val, data.test)]
    assert sum(map(len, images)) == len(set.union(*images)) == 4
    assert sum(map(len, (data.train, data.val, data.test))) == 3 * 9 + 1
    assert data.train.batch(np.arange(len(data.train))).image_BCHW.shape[1:] == (3, 32, 32)


def test_files_of_several_images_cannot_be_cut() -> None:
    with pytest.raises(DataError, match=r"holds several images, and data\.fit is tile\. Choose resize"):
        Tiled(RgbFolder(), 32).windows(Sample("a", "a", {}, place=2))
