"""Who trains, who chooses, who judges."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkgs.data.assign import assign
from pkgs.data.config import SplitConfig
from pkgs.data.items import DataError, Sample
from pkgs.data.split import Entry, check_leaks, fitting, leaks, read_split, write_split
from pkgs.foundation.config import ConfigError, strict

DEMO = SplitConfig(min_sources=3)


def samples_of(counts: Sequence[int]) -> list[Sample]:
    return [
        Sample(f"s{number:02d}/p{patch:03d}", f"s{number:02d}", {"image": Path("i"), "label": Path("m")})
        for number, count in enumerate(counts)
        for patch in range(count)
    ]


def sources_in(samples: Sequence[Sample], config: SplitConfig) -> dict[str, set[str]]:
    part_of = assign(samples, config)
    return {part: {s.group for s in samples if part_of[s.id] == part} for part in ("train", "val", "test")}


def test_the_demo_gives_three_sources_to_test_and_four_to_val() -> None:
    parts = sources_in(samples_of([20] * 24), DEMO)
    assert {part: len(names) for part, names in parts.items()} == {"train": 17, "val": 4, "test": 3}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(10, 40), min_size=24, max_size=40), st.integers(0, 1000))
def test_no_source_ever_stands_in_two_parts(counts: list[int], seed: int) -> None:
    samples = samples_of(counts)
    parts = sources_in(samples, SplitConfig(min_sources=2, max_source_share=0.2, seed=seed))
    assert sum(len(names) for names in parts.values()) == len(counts)
    assert min(len(parts["val"]), len(parts["test"])) >= 2


def test_a_source_above_five_percent_never_judges() -> None:
    samples = samples_of([200] + [20] * 30)
    assert all(
        "s00" in sources_in(samples, SplitConfig(min_sources=3, seed=seed))["train"] for seed in range(20)
    )


def test_too_few_sources_are_an_error_that_names_the_settings() -> None:
    with pytest.raises(DataError, match=r"runs out of sources.*data\.split\.min_sources"):
        assign(samples_of([20] * 4), SplitConfig())


def test_the_seed_decides_and_nothing_else() -> None:
    samples = samples_of([20] * 24)
    assert assign(samples, DEMO) == assign(samples[::-1], DEMO)
    assert assign(samples, DEMO) != assign(samples, SplitConfig(min_sources=3, seed=43))


def test_a_patch_split_has_exact_shares_and_shares_sources() -> None:
    samples = samples_of([20] * 24)
    part_of = assign(samples, SplitConfig(by="patch"))
    assert Counter(part_of.values()) == {"train": 384, "val": 72, "test": 24}
    entries = [Entry(s.id, s.group, part_of[s.id], s.id) for s in samples]
    assert len(leaks(entries)[0]) > 10


def test_a_written_split_is_read_back_and_fits(tmp_path: Path) -> None:
    samples, path = samples_of([20] * 24), tmp_path / "splits" / "a.csv"
    write_split(path, samples, config=DEMO, digests={s.id: f"d{s.id}" for s in samples})
    entries = read_split(path)
    fitting(path, entries, samples=samples, config=DEMO)
    assert path.read_text().splitlines()[0] == "sample,group,split,digest"
    assert {e.sample: e.split for e in entries} == assign(samples, DEMO)


@pytest.mark.parametrize(("by", "digest"), [("source", "f200a2b73cba970a"), ("patch", "ce1d245a77c1cc7f")])
def test_the_bytes_of_a_split_file_are_those_of_every_released_version(
    tmp_path: Path, by: Literal["source", "patch"], digest: str
) -> None:
    samples, config = samples_of([20] * 24), SplitConfig(by=by, min_sources=3)
    write_split(tmp_path / "a.csv", samples, config=config, digests={s.id: f"d{s.id}" for s in samples})
    assert hashlib.sha256((tmp_path / "a.csv").read_bytes()).hexdigest()[:16] == digest


def test_a_foreign_split_file_is_refused(tmp_path: Path) -> None:
    samples, path = samples_of([20] * 24), tmp_path / "a.csv"
    write_split(path, samples, config=DEMO, digests={s.id: s.id for s in samples})
    with pytest.raises(DataError, match=r"does not fit the data: without s24/p000"):
        fitting(path, read_split(path), samples=samples_of([20] * 25), config=DEMO)
    with pytest.raises(DataError, match="made with other settings"):
        fitting(path, read_split(path), samples=samples, config=SplitConfig(min_sources=3, seed=1))


def test_a_split_that_cannot_be_written_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "splits").write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"a\.csv: the split cannot be written"):
        write_split(
            tmp_path / "splits/a.csv",
            samples_of([20] * 24),
            config=DEMO,
            digests={s.id: s.id for s in samples_of([20] * 24)},
        )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sample,part\n", "first line"),
        ("sample,group,split,digest\na,b,holdout,c\n", "line 2"),
        ("", "first line"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        read_split(tmp_path / "a.csv")


def test_one_image_in_two_parts_is_an_error_by_source_and_a_warning_by_patch() -> None:
    entries = [Entry("a/1", "a", "train", "same"), Entry("b/1", "b", "test", "same")]
    warnings: list[str] = []
    check_leaks(entries, config=SplitConfig(by="patch"), warn=warnings)
    assert "a/1 (train) = b/1 (test)" in warnings[0]
    with pytest.raises(DataError, match=r"1 images stand in more than one part"):
        check_leaks(entries, config=SplitConfig(), warn=[])


def test_copies_within_one_part_are_no_leak() -> None:
    assert leaks([Entry("a/1", "a", "train", "same"), Entry("a/2", "a", "train", "same")]) == ([], [])


def test_shares_must_sum_to_one() -> None:
    with pytest.raises(ConfigError, match="train \\+ val \\+ test must be 1"):
        strict(SplitConfig, {"train": 0.9}, where="x.yaml")
