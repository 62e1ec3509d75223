"""The split of the reference, and what the sound one does instead."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pkgs.data.assign import assign
from pkgs.data.config import SplitConfig
from pkgs.data.items import DataError, Sample
from pkgs.data.remainder import remainder_split
from pkgs.data.split import Entry, fitting, leaks, read_split, write_split

SAMPLES = [
    Sample(f"s{source:02d}/p{patch:03d}", f"s{source:02d}", {"image": Path("i"), "label": Path("m")})
    for source in range(24)
    for patch in range(20)
]
SOUND = SplitConfig(min_sources=3)


def shared_sources(config: SplitConfig) -> int:
    part_of = assign(SAMPLES, config)
    return len(leaks([Entry(s.id, s.group, part_of[s.id], s.id) for s in SAMPLES])[0])


def test_the_sound_split_shares_no_source_and_that_of_the_reference_nearly_all() -> None:
    assert shared_sources(SOUND) == 0
    assert shared_sources(remainder_split(SOUND, run="joint/3")) > 20


def test_the_test_of_the_reference_is_the_remainder() -> None:
    counts = Counter(assign(SAMPLES, remainder_split(SOUND, run="joint/3")).values())
    assert counts == {"train": 72, "val": 72, "test": 336}


def test_each_run_of_the_reference_is_tested_on_training_images_of_another() -> None:
    teacher, student = (
        assign(SAMPLES, remainder_split(SOUND, run=run)) for run in ("teacher_pretrained/3", "joint/3")
    )
    seen = [id_ for id_, part in student.items() if part == "test" and teacher[id_] == "train"]
    assert len(seen) > 30
    assert student == assign(SAMPLES, remainder_split(SOUND, run="joint/3"))


def test_a_manifest_of_the_reference_is_refused_by_a_sound_run(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_split(path, SAMPLES, config=remainder_split(SOUND, run="joint/3"), digests={})
    with pytest.raises(DataError, match="made with other settings"):
        fitting(path, read_split(path), samples=SAMPLES, config=SOUND)
