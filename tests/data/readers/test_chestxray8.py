"""ChestX-ray8: findings from a table, parts from official lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pkgs.data.items import DataError
from pkgs.data.readers.chestxray8 import FINDINGS, ChestXray8
from tests.builders.chestxray8 import RGBA, write_chestxray8


def edited(root: Path, old: str, new: str) -> Path:
    table = write_chestxray8(root) / "CX8/Data_Entry_2017.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new))
    return root


def test_findings_fill_the_vector_in_the_order_of_older_heads(tmp_path: Path) -> None:
    samples = {s.id: s for s in ChestXray8().samples(write_chestxray8(tmp_path))}
    assert samples["00000001_001"].vector == (1, 1) + (0,) * 13
    assert samples["00000002_000"].vector == (0, 0, 0, 1) + (0,) * 11
    assert (len(FINDINGS), FINDINGS[3], FINDINGS[14]) == (15, "No Finding", "Consolidation")
    assert ChestXray8().read(samples["00000005_000"])["vector"].sum() == 3


def test_images_of_a_patient_are_one_group_and_the_official_lists_decide(tmp_path: Path) -> None:
    samples = ChestXray8().samples(write_chestxray8(tmp_path))
    assert {s.group for s in samples} == {"1", "2", "3", "4", "5", "6"}
    assert {s.group for s in samples if s.part == "test"} == {"5", "6"}


def test_both_layouts_give_the_same_samples(tmp_path: Path) -> None:
    one = ChestXray8().samples(write_chestxray8(tmp_path / "a"))
    other = ChestXray8().samples(write_chestxray8(tmp_path / "b", parted=True))
    assert [(s.id, s.part, s.vector, s.group) for s in one] == [
        (s.id, s.part, s.vector, s.group) for s in other
    ]


def test_a_radiograph_stored_in_colour_gives_one_channel(tmp_path: Path) -> None:
    reader = ChestXray8()
    sample = next(s for s in reader.samples(write_chestxray8(tmp_path)) if s.id == RGBA)
    stored = np.asarray(Image.open(sample.files["image"]))
    assert np.array_equal(reader.read(sample)["image"][0], stored[..., 0])
    Image.new("RGB", (24, 24), (200, 10, 10)).save(sample.files["image"])
    with pytest.raises(DataError, match="a coloured picture; expected a grey radiograph"):
        reader.read(sample)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Patient ID", "Patient", r"the column 'Patient ID' is missing; it holds Image Index,"),
        ("Hernia", "Hernai", r"line 6: unknown finding 'Hernai'; known: Cardiomegaly,"),
        ("No Finding,2,2,", "No Finding,2,,", r"line 4: patient missing"),
        ("00000003_000.png", "00000001_000.png", r"line 6: 00000001_000\.png stands in the table twice"),
        (
            "00000004_000.png",
            "00000009_000.png",
            r"00000004_000 \(no row in the table\), 00000009_000 \(no image\)",
        ),
    ],
)
def test_a_broken_table_is_named_with_its_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        ChestXray8().samples(edited(tmp_path, old, new))
    assert "CX8" in str(caught.value)


def test_without_the_official_lists_there_is_no_split(tmp_path: Path) -> None:
    home = write_chestxray8(tmp_path) / "CX8"
    (home / "test_list.txt").unlink()
    with pytest.raises(
        DataError, match=r"neither train_val_list\.txt nor test_list\.txt names: 00000005_000"
    ):
        ChestXray8().samples(tmp_path)


def test_an_image_in_both_lists_is_refused(tmp_path: Path) -> None:
    home = write_chestxray8(tmp_path) / "CX8"
    (home / "test_list.txt").write_text("00000001_000.png\n00000005_000.png")
    with pytest.raises(DataError, match=r"00000001_000\.png stands in the other list too"):
        ChestXray8().samples(tmp_path)


def test_a_folder_that_contradicts_the_lists_is_refused(tmp_path: Path) -> None:
    home = write_chestxray8(tmp_path, parted=True) / "CX8"
    (home / "test/00000005_000.png").rename(home / "train_val/00000005_000.png")
    with pytest.raises(DataError, match="folder and official list disagree on 00000005_000"):
        ChestXray8().samples(tmp_path)
