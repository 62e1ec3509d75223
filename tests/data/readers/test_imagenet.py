"""ImageNet: classes by mapping and solution."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pkgs.data.items import DataError
from pkgs.data.readers.imagenet import ImageNet
from tests.builders.imagenet import DISGUISED, GREY, SYNSETS, write_imagenet


def test_the_class_is_the_line_in_the_mapping_in_train_and_in_val(tmp_path: Path) -> None:
    samples = ImageNet().samples(write_imagenet(tmp_path))
    by_id = {s.id: s for s in samples}
    assert by_id[f"train/{SYNSETS[7]}/{SYNSETS[7]}_1"].vector == (7,)
    assert by_id["val/ILSVRC2012_val_00000016"].vector == (7,)
    assert Counter(s.part for s in samples) == {"train": 40, "val": 40}


def test_subsets_keep_evenly_spaced_classes_and_number_them_anew(tmp_path: Path) -> None:
    samples = ImageNet(classes=10).samples(write_imagenet(tmp_path))
    assert Counter(s.vector for s in samples) == {(k,): 4 for k in range(10)}
    assert {s.id.split("/")[1] for s in samples if s.part == "train"} == set(SYNSETS[::2])


def test_the_second_layout_parts_the_official_val_images(tmp_path: Path) -> None:
    samples = ImageNet().samples(write_imagenet(tmp_path, parted=True) / "imagenet-1k")
    assert Counter(s.part for s in samples) == {"train": 40, "val": 20, "test": 20}
    assert set(Counter((s.part, s.vector) for s in samples if s.part != "train").values()) == {1}


def test_grey_images_and_disguised_pngs_become_rgb(tmp_path: Path) -> None:
    reader = ImageNet()
    samples = {s.files["image"].name: s for s in reader.samples(write_imagenet(tmp_path))}
    grey = reader.read(samples[GREY])["image"]
    assert np.array_equal(grey[0], grey[2])
    assert reader.read(samples[DISGUISED])["image"].shape[0] == 3
    assert reader.read(samples[GREY])["vector"].tolist() == [0]


def test_a_synset_that_the_mapping_does_not_know_is_named(tmp_path: Path) -> None:
    home = write_imagenet(tmp_path) / "imagenet-1k"
    (home / "ILSVRC/Data/CLS-LOC/train/n99999999").mkdir()
    with pytest.raises(DataError, match=r"synsets that LOC_synset_mapping\.txt does not know: n99999999"):
        ImageNet().samples(tmp_path)


def test_a_synset_of_the_mapping_without_a_folder_is_named(tmp_path: Path) -> None:
    mapping = write_imagenet(tmp_path) / "imagenet-1k/LOC_synset_mapping.txt"
    mapping.write_text(mapping.read_text() + "n88888888 nowhere\n")
    with pytest.raises(DataError, match=r"without a folder: n88888888\. Unpack them"):
        ImageNet().samples(tmp_path)


def test_a_val_image_without_a_solution_is_named(tmp_path: Path) -> None:
    solution = write_imagenet(tmp_path) / "imagenet-1k/LOC_val_solution.csv"
    lines = solution.read_text().splitlines()
    solution.write_text("\n".join(lines[:-1]))
    with pytest.raises(DataError, match=r"does not name: ILSVRC2012_val_00000040"):
        ImageNet().samples(tmp_path)
    solution.write_text("a,b\n")
    with pytest.raises(DataError, match="first line 'a,b'; expected ImageId,PredictionString"):
        ImageNet().samples(tmp_path)


def test_a_number_of_classes_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"20 classes cannot be thinned evenly to 3\. Choose a divisor"):
        ImageNet(classes=3).samples(write_imagenet(tmp_path))
