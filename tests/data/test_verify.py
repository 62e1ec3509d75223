"""A look through a whole data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pkgs.data.readers.alabama import Alabama
from pkgs.data.readers.chestxray8 import ChestXray8
from pkgs.data.readers.image_folder import ImageFolder
from pkgs.data.readers.whu import Whu
from pkgs.data.verify import told, verify
from pkgs.data.whole_folder import digest_tree
from tests.builders.aerial import save
from tests.builders.alabama import write_alabama
from tests.builders.chestxray8 import write_chestxray8
from tests.builders.image_folder import write_image_folder
from tests.builders.whu import write_whu


def test_counts_types_and_shares_are_told(tmp_path: Path) -> None:
    reader, ticks = Whu(), []
    samples = reader.samples(write_whu(tmp_path))
    findings = verify(reader, samples, tick=lambda: ticks.append(1))
    assert told(findings).startswith(
        "9 samples in 9 groups (3 test, 3 train, 3 val).\n"
        "image: 9 of uint8 3x32x32.\n"
        "label: 9 of uint8 32x32.\n"
    )
    assert 0 < findings.foreground["label"] < 0.1
    assert findings.faults == findings.warnings == ()
    assert len(ticks) == 9


def test_masks_of_the_wrong_polarity_are_warned_about(tmp_path: Path) -> None:
    write_alabama(tmp_path)
    assert verify(Alabama(), Alabama().samples(tmp_path)).warnings == ()
    wrong = ImageFolder(labels="nonzero", channels=3, images="image", masks="mask")
    warnings = verify(wrong, wrong.samples(tmp_path)).warnings
    assert len(warnings) == 1
    assert "label: 9" in warnings[0]
    assert "The masks look inverted: is the object stored as 0?" in warnings[0]


def test_every_fault_is_collected_up_to_twenty(tmp_path: Path) -> None:
    write_image_folder(tmp_path, count=25)
    for path in (tmp_path / "images").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    reader = ImageFolder(labels="255")
    findings = verify(reader, reader.samples(tmp_path))
    assert len(findings.faults) == 21
    assert findings.faults[-1] == "and 5 more samples that cannot be read."
    assert "cannot be decoded" in findings.faults[0]


def test_ignored_pixels_and_object_255_are_counted_rightly(tmp_path: Path) -> None:
    stored = np.array([[0, 0, 0, 1], [255] * 4], np.uint8)
    save(tmp_path / "images/a.png", np.zeros((2, 4), np.uint8))
    save(tmp_path / "masks/a.png", stored)
    classes, objects = ImageFolder(), ImageFolder(labels="instances")
    assert verify(classes, classes.samples(tmp_path)).foreground == {"label": 0.25}
    assert verify(objects, objects.samples(tmp_path)).foreground == {"label": 0.625}


def test_classes_are_counted_and_nothing_is_changed(tmp_path: Path) -> None:
    reader = ChestXray8()
    samples = reader.samples(write_chestxray8(tmp_path))
    before = digest_tree(tmp_path)
    assert verify(reader, samples).classes[3] == 3
    assert digest_tree(tmp_path) == before
