from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pkgs.data.items import DataError
from pkgs.noise.correction import Coding, Corrector, corrected
from pkgs.noise.findings import find
from tests.builders.noise_patches import Square, label, predict

HOUSE, NEXT = (20, 20, 36, 36), (27, 20, 43, 36)
GEO_TAGS = [
    (33550, "d", 3, (0.2, 0.2, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, 500000.0, 5700000.0, 0.0), True),
    (34735, "H", 12, (1, 1, 0, 2, 1025, 0, 1, 1, 3072, 0, 1, 25832), True),
    (34737, "s", 0, "ETRS89 / UTM zone 32N|", True),
    (42112, "s", 0, '<GDALMetadata><Item name="a">b</Item></GDALMetadata>', True),
    (42113, "s", 0, "7", True),
]


def correct(
    folder: Path,
    stored: np.ndarray,
    labelled: list[Square],
    predicted: list[Square],
    *,
    name: str = "x.png",
) -> tuple[np.ndarray, bool]:
    """Write `stored` as the label's file and return the corrected file's values, and whether it changed."""
    source, target = folder / name, folder / f"new_{name}"
    if name.endswith(".png"):
        Image.fromarray(stored).save(source)
    else:
        tifffile.imwrite(source, stored)
    mask = label(labelled)
    changed = Corrector().write(target, source, label_HW=mask, findings=find(mask, predict(predicted)))
    new = np.asarray(Image.open(target)) if name.endswith(".png") else tifffile.imread(target)
    return new, changed


def after(labelled: list[Square], predicted: list[Square]) -> np.ndarray:
    mask = label(labelled)
    return corrected(mask, find(mask, predict(predicted)))


def test_missing_is_added_extra_removed_shifted_and_rotated_replaced() -> None:
    assert (after([], [HOUSE]) == label([HOUSE])).all()
    assert (after([HOUSE], []) == 0).all()
    assert (after([HOUSE], [NEXT]) == label([NEXT])).all()
    assert (after([(24, 14, 32, 42)], [(14, 24, 42, 32)]) == label([(14, 24, 42, 32)])).all()


def test_a_boundary_stays_as_it_is() -> None:
    assert (after([HOUSE], [(22, 20, 38, 36)]) == label([HOUSE])).all()


def test_what_was_not_found_stays_to_the_pixel() -> None:
    small, large = (2, 2, 3, 3), (44, 44, 60, 60)
    assert (after([small, large], [HOUSE, large]) == label([small, large, HOUSE])).all()


def test_a_replacement_does_not_cut_its_neighbour() -> None:
    neighbour = (38, 10, 50, 50)
    assert (after([HOUSE, neighbour], [NEXT, (39, 10, 51, 50)]) >= label([neighbour])).all()


@pytest.mark.parametrize("high", [1, 255])
@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_the_coding_is_that_of_the_input(tmp_path: Path, high: int, name: str) -> None:
    new, changed = correct(tmp_path, label([HOUSE]) * np.uint8(high), [HOUSE], [NEXT], name=name)
    assert changed
    assert new.dtype == np.uint8
    assert (new == label([NEXT]) * high).all()


def test_an_inverted_mask_stays_inverted(tmp_path: Path) -> None:
    new, _ = correct(tmp_path, 255 - label([HOUSE]) * np.uint8(255), [HOUSE], [NEXT])
    assert (new == 255 - label([NEXT]) * 255).all()


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_16_bit_stays_16_bit(tmp_path: Path, name: str) -> None:
    new, _ = correct(tmp_path, label([HOUSE]).astype(np.uint16) * 65535, [HOUSE], [NEXT], name=name)
    assert new.dtype == np.uint16
    assert (new == label([NEXT]).astype(np.uint16) * 65535).all()


def test_one_bit_stays_one_bit(tmp_path: Path) -> None:
    new, _ = correct(tmp_path, label([HOUSE]) == 1, [HOUSE], [NEXT])
    with Image.open(tmp_path / "new_x.png") as picture:
        assert picture.mode == "1"
    assert (new == (label([NEXT]) == 1)).all()


@pytest.mark.parametrize(("high", "inverted"), [(1, False), (255, False), (255, True)])
def test_a_mask_of_one_value_takes_the_coding_of_its_folder(
    tmp_path: Path,
    high: int,
    inverted: bool,  # noqa: FBT001 - a row of the table
) -> None:
    beside, own = (mask * np.uint8(high) for mask in (label([HOUSE]), label([])))
    if inverted:
        beside, own = high - beside, high - own
    Image.fromarray(beside).save(tmp_path / "a.png")
    new, _ = correct(tmp_path, own, [], [HOUSE])
    assert (new == beside).all()


def test_a_folder_of_empty_masks_gets_255(tmp_path: Path) -> None:
    new, _ = correct(tmp_path, label([]), [], [HOUSE])
    assert (new == label([HOUSE]) * 255).all()


def test_the_coding_found_once_is_kept_for_empty_masks(tmp_path: Path) -> None:
    corrector = Corrector({tmp_path: Coding(0, 1)})
    Image.fromarray(label([])).save(tmp_path / "x.png")
    mask = label([])
    corrector.write(
        tmp_path / "new.png", tmp_path / "x.png", label_HW=mask, findings=find(mask, predict([HOUSE]))
    )
    assert (np.asarray(Image.open(tmp_path / "new.png")) == label([HOUSE])).all()


def test_without_a_finding_the_file_is_copied_byte_for_byte(tmp_path: Path) -> None:
    _, changed = correct(tmp_path, label([HOUSE]), [HOUSE], [HOUSE])
    assert not changed
    assert (tmp_path / "new_x.png").read_bytes() == (tmp_path / "x.png").read_bytes()


@pytest.mark.parametrize("scale", [2, 3])
def test_a_larger_file_keeps_its_own_pixels_where_nothing_is_corrected(tmp_path: Path, scale: int) -> None:
    other = (44, 44, 60, 60)
    fine = np.kron(label([HOUSE, other]), np.ones((scale, scale), np.uint8))
    fine[44 * scale, 44 * scale] = 0  # a detail that the small label has lost
    fine[20 * scale - 1, 20 * scale : 36 * scale] = 1  # a rim outside the resized object
    mask = label([HOUSE, other])
    Image.fromarray(fine).save(tmp_path / "x.png")
    Corrector().write(
        tmp_path / "y.png", tmp_path / "x.png", label_HW=mask, findings=find(mask, predict([NEXT, other]))
    )
    expected = np.kron(label([NEXT, other]), np.ones((scale, scale), np.uint8))
    expected[44 * scale, 44 * scale] = 0
    assert (np.asarray(Image.open(tmp_path / "y.png")) == expected).all()


def test_a_smaller_file_is_corrected_at_its_own_size(tmp_path: Path) -> None:
    Image.fromarray(label([HOUSE])[::2, ::2]).save(tmp_path / "x.png")
    mask = label([HOUSE])
    Corrector().write(tmp_path / "y.png", tmp_path / "x.png", label_HW=mask, findings=find(mask, predict([])))
    assert (np.asarray(Image.open(tmp_path / "y.png")) == 0).all()


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"byteorder": ">", "compression": "zlib", "description": "made by hand", "resolution": (72, 72)},
        {"photometric": "miniswhite", "bigtiff": True},
    ],
)
def test_a_tiff_keeps_its_tags_and_the_input_its_bytes(tmp_path: Path, how: dict[str, object]) -> None:
    source, target = tmp_path / "x.tif", tmp_path / "y.tif"
    tifffile.imwrite(source, label([HOUSE]) * np.uint8(255), extratags=GEO_TAGS, metadata=None, **how)
    before = source.read_bytes()
    mask = label([HOUSE])
    assert Corrector().write(target, source, label_HW=mask, findings=find(mask, predict([NEXT])))
    assert source.read_bytes() == before
    assert (tifffile.imread(target) == label([NEXT]) * 255).all()
    with tifffile.TiffFile(source) as old, tifffile.TiffFile(target) as new:
        told, kept = ({tag.code: tag.value for tag in file.pages.first.tags} for file in (old, new))
        assert (new.byteorder, new.is_bigtiff) == (old.byteorder, old.is_bigtiff)
    for lies_elsewhere in (273, 279):
        del told[lies_elsewhere], kept[lies_elsewhere]
    assert kept == told


def test_a_mask_of_several_classes_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.png: a mask with the values 1, 2 beside 0; only masks of one"):
        correct(tmp_path, label([HOUSE]) + label([(0, 0, 5, 5)]) * np.uint8(2), [HOUSE], [NEXT])


def test_a_jpeg_is_refused_with_a_sentence(tmp_path: Path) -> None:
    Image.fromarray(label([])).save(tmp_path / "x.jpg")
    mask = label([])
    with pytest.raises(DataError, match=r"x\.jpg: JPEG blurs the values of a mask"):
        Corrector().write(
            tmp_path / "y.jpg", tmp_path / "x.jpg", label_HW=mask, findings=find(mask, predict([HOUSE]))
        )
