from __future__ import annotations

from pathlib import Path

from pkgs.foundation.provenance import digest_file
from pkgs.reports.origins import origin_problems
from pkgs.reports.runs import read_study
from tests.builders.planned_studies import set_provenance, write_weights
from tests.builders.run_folders import write_run

SEEDS = (3, 4)


def problems_of(root: Path, *shared: str) -> list[str]:
    return list(origin_problems(read_study(root, "made", out=root / "out"), frozenset(shared)))


def write_teachers(root: Path) -> dict[int, str]:
    """Write a condition that leaves teachers, and return their digests by seed."""
    digests = {}
    for seed in SEEDS:
        path = write_weights(write_run(root, "made/first", seed=seed), "teacher", [1.0, seed])
        digests[seed] = digest_file(path)
    return digests


def test_runs_that_started_from_their_own_seed_are_no_problem(tmp_path: Path) -> None:
    for seed, digest in write_teachers(tmp_path).items():
        set_provenance(write_run(tmp_path, "made/second", seed=seed), inputs={"teacher": digest})
    assert problems_of(tmp_path) == []


def test_a_teacher_of_another_seed_is_named(tmp_path: Path) -> None:
    digests = write_teachers(tmp_path)
    for seed in SEEDS:
        set_provenance(write_run(tmp_path, "made/second", seed=seed), inputs={"teacher": digests[3]})
    assert problems_of(tmp_path) == [
        "second, seed 4: started from teacher of first, seed 3; expected its own seed."
    ]
    assert problems_of(tmp_path, "second") == []  # a plan may say that they share


def test_all_seeds_teachers_are_what_a_committee_starts_from(tmp_path: Path) -> None:
    digests = list(write_teachers(tmp_path).values())
    for seed in SEEDS:
        set_provenance(write_run(tmp_path, "made/second", seed=seed), inputs={"teacher": digests})
    assert problems_of(tmp_path) == []


def test_a_teacher_that_was_trained_again_since_is_stale(tmp_path: Path) -> None:
    digests = write_teachers(tmp_path)
    for seed in SEEDS:
        set_provenance(write_run(tmp_path, "made/second", seed=seed), inputs={"teacher": digests[seed]})
    study = read_study(tmp_path, "made", out=tmp_path / "out")
    write_weights(study.of("first")[0].folder, "teacher", [7.0])
    [sentence] = problems_of(tmp_path)
    assert sentence.startswith(
        f"second, seed 3: started from teacher ({digests[3][:8]}), which no run of the"
    )
    assert "status rerun" in sentence


def test_a_start_from_outside_the_study_is_nothing_to_complain_about(tmp_path: Path) -> None:
    write_teachers(tmp_path)
    folder = write_run(tmp_path, "made/second", seed=3)
    set_provenance(folder, inputs={"encoder": "a" * 16, "note": 3, "empty": None})
    assert problems_of(tmp_path) == []
