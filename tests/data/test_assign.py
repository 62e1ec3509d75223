"""Splits by group: what the release gives stays, no group is parted, each class gives its share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkgs.data.assign import assign
from pkgs.data.config import SplitConfig
from pkgs.data.items import DataError, Sample
from pkgs.data.split import Entry, check_leaks, fitting, read_split, write_split
from pkgs.foundation.config import ConfigError, strict

BY_GROUP = SplitConfig(by="group", train=0.6, val=0.2, test=0.2)
STRATIFIED = SplitConfig(by="group", train=0.6, val=0.2, test=0.2, stratify=True)


def sample(number: int, *, group: str = "", part: str = "", vector: tuple[int, ...] = ()) -> Sample:
    return Sample(f"i{number:05d}", group or f"i{number:05d}", {"image": Path("i")}, part, vector)


def patients(count: int, *, part: str = "") -> list[Sample]:
    return [sample(4 * p + k, group=f"p{p:03d}", part=part) for p in range(count) for k in range(p % 4 + 1)]


def groups_in(samples: Sequence[Sample], config: SplitConfig) -> dict[str, set[str]]:
    part_of = assign(samples, config)
    return {part: {s.group for s in samples if part_of[s.id] == part} for part in ("train", "val", "test")}


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 60), st.integers(0, 1000))
def test_no_group_stands_in_two_parts_and_no_part_is_empty(count: int, seed: int) -> None:
    parts = groups_in(patients(count), SplitConfig(by="group", seed=seed))
    assert sum(len(groups) for groups in parts.values()) == count
    assert all(parts.values())


def test_shares_are_of_the_groups() -> None:
    assert {part: len(groups) for part, groups in groups_in(patients(50), BY_GROUP).items()} == {
        "train": 30,
        "val": 10,
        "test": 10,
    }


def test_parts_of_the_release_stay_and_val_is_cut_from_train_by_patient() -> None:
    official = patients(40, part="train")
    test = [sample(900 + k, group=f"t{k}", part="test") for k in range(7)]
    config = SplitConfig(by="group", train=0.72, val=0.08, test=0.20)
    parts = groups_in(official + test, config)
    assert parts["test"] == {s.group for s in test}
    assert (len(parts["val"]), len(parts["train"])) == (4, 36)


def test_half_of_the_official_val_images_become_test_class_by_class() -> None:
    train = [sample(k, part="train", vector=(k % 10,)) for k in range(100)]
    val = [sample(1000 + k, part="val", vector=(k % 10,)) for k in range(500)]
    part_of = assign(train + val, STRATIFIED)
    for wanted in ("val", "test"):
        assert set(Counter(s.vector[0] for s in val if part_of[s.id] == wanted).values()) == {25}
    assert all(part_of[s.id] == "train" for s in train)


def test_a_whole_split_of_the_release_is_taken_as_it_is() -> None:
    samples = [sample(k, part=("train", "val", "test")[k % 3]) for k in range(9)]
    assert assign(samples, BY_GROUP) == {s.id: s.part for s in samples}


def test_half_given_parts_are_refused() -> None:
    with pytest.raises(DataError, match=r"gives the parts '', 'train'.*by hand"):
        assign([sample(0, part="train"), sample(1)], BY_GROUP)


def test_each_class_gives_its_share_to_within_one() -> None:
    samples = [sample(k, vector=(0 if k < 400 else 1 if k < 480 else 2,)) for k in range(500)]
    part_of = assign(samples, STRATIFIED)
    for part, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        counts = Counter(s.vector[0] for s in samples if part_of[s.id] == part)
        assert all(abs(counts[k] - share * total) <= 2 for k, total in ((0, 400), (1, 80), (2, 20)))


def test_a_patient_counts_for_the_rarest_finding() -> None:
    common = [sample(k, vector=(1, 0)) for k in range(45)]
    both = [sample(100 + k, vector=(1, 1)) for k in range(5)]
    part_of = assign(common + both, STRATIFIED)
    assert sorted(Counter(part_of[s.id] for s in both).values()) == [1, 1, 3]


def test_stratifying_without_classes_is_refused() -> None:
    with pytest.raises(DataError, match=r"no sample holds a class"):
        assign(patients(10), STRATIFIED)
    part_of = assign(patients(10), STRATIFIED, classes=lambda s: [int(s.group[1:]) % 2])
    assert set(part_of.values()) == {"train", "val", "test"}


def test_stratifying_sources_has_no_effect_and_is_refused() -> None:
    with pytest.raises(ConfigError, match="stratify has no effect with by: source"):
        strict(SplitConfig, {"stratify": True}, where="x.yaml")


def test_two_groups_cannot_fill_three_parts() -> None:
    with pytest.raises(DataError, match="2 groups cannot be divided into test and val and train"):
        assign(patients(2), BY_GROUP)


def test_the_seed_decides_and_other_draws_do_not() -> None:
    assert assign(patients(30), BY_GROUP) == assign(patients(30)[::-1], BY_GROUP)
    other = SplitConfig(by="group", train=0.6, val=0.2, test=0.2, seed=43)
    assert assign(patients(30), BY_GROUP) != assign(patients(30), other)


def test_a_split_by_group_is_written_read_and_fits(tmp_path: Path) -> None:
    path = tmp_path / "splits" / STRATIFIED.file_name
    samples = [sample(k, vector=(k % 3,)) for k in range(30)]
    write_split(path, samples, config=STRATIFIED, digests={})
    assert path.name == "group_seed42_stratified.csv"
    fitting(path, read_split(path), samples=samples, config=STRATIFIED)
    assert path.read_text().splitlines()[1].endswith(",")  # nobody has read the pixels


def test_a_split_whose_groups_have_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_split(path, patients(20), config=BY_GROUP, digests={})
    renamed = [Sample(s.id, f"x{s.group}", s.files) for s in patients(20)]
    with pytest.raises(DataError, match="made with other settings"):
        fitting(path, read_split(path), samples=renamed, config=BY_GROUP)


def test_a_patient_in_two_official_parts_is_an_error() -> None:
    entries = [Entry("a", "p1", "train", ""), Entry("b", "p1", "test", "")]
    with pytest.raises(DataError, match="1 groups stand in more than one part"):
        check_leaks(entries, config=BY_GROUP, warn=[])


def test_samples_without_a_digest_are_no_copies_of_each_other() -> None:
    warnings: list[str] = []
    check_leaks([Entry("a", "p1", "train", ""), Entry("b", "p2", "test", "")], config=BY_GROUP, warn=warnings)
    assert warnings == []
