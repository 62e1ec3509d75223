from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.reports.equal_weights import Equality, compare_weights, weights_digest
from pkgs.reports.runs import Study, read_study
from tests.builders.planned_studies import write_weights
from tests.builders.run_folders import write_run

WHY = "nothing flows back"


def study_of(root: Path, values: dict[tuple[str, int], list[float]]) -> Study:
    for (condition, seed), weights in values.items():
        folder = write_run(root, f"made/{condition}", seed=seed)
        if weights:
            write_weights(folder, "student", weights, about=condition)
    return read_study(root, "made", out=root / "out")


def test_equal_weights_are_said_to_be_equal_whatever_text_stands_beside_them(tmp_path: Path) -> None:
    study = study_of(tmp_path, {(name, seed): [1.0, seed] for name in ("twin", "base") for seed in (3, 4)})
    assert compare_weights(study, "twin", "base", why=WHY) == Equality(
        "twin", "twin equals base to the last bit in 2 of 2 seeds: nothing flows back.", as_expected=True
    )


def test_seeds_that_differ_in_the_last_bit_are_named(tmp_path: Path) -> None:
    almost = 1.0 + 2.0**-52
    values = {("twin", 3): [1.0], ("base", 3): [1.0], ("twin", 4): [1.0], ("base", 4): [almost]}
    assert compare_weights(study_of(tmp_path, values), "twin", "base", why=WHY) == Equality(
        "twin", "twin differs from base in seed 4, yet should not: nothing flows back.", as_expected=False
    )


def test_weights_that_only_one_side_has_are_not_compared(tmp_path: Path) -> None:
    study = study_of(tmp_path, {("twin", 3): [1.0], ("base", 3): [1.0], ("twin", 4): [1.0], ("base", 4): []})
    write_weights(study.of("twin")[0].folder, "teacher", [9.0])
    found = compare_weights(study, "twin", "base", why=WHY)
    sentence = found.sentence
    assert found.as_expected
    assert sentence.startswith("twin equals base to the last bit in 1 of 2 seeds")
    assert sentence.endswith("Not compared, without weights of both: seed 4.")
    missing = compare_weights(study, "ghost", "base", why=WHY)
    assert missing.as_expected
    assert missing.sentence == "ghost should equal base (nothing flows back): ghost missing, not compared."


def test_names_and_shapes_belong_to_the_digest_and_a_broken_file_is_not_compared(tmp_path: Path) -> None:
    study = study_of(tmp_path, {("twin", 3): [1.0], ("base", 3): [1.0]})
    path = write_weights(study.of("twin")[0].folder, "student", [1.0])
    before = weights_digest(path)
    path.write_bytes(path.read_bytes().replace(b"weight", b"weighs"))
    assert weights_digest(path) != before
    path.write_bytes(b"\xff" * 64)
    with pytest.raises(ValueError, match="is no safetensors file"):
        weights_digest(path)
    found = compare_weights(study, "twin", "base", why=WHY)
    assert found.as_expected
    assert "no seed has the last weights of both yet" in found.sentence
