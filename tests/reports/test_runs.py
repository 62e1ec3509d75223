from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.reports.attempts import State
from pkgs.reports.runs import StudyError, read_study
from tests.builders.run_folders import MadeUp, write_run, write_study


def test_a_study_is_found_with_its_conditions_seeds_and_other_jobs(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=[0, 2, 10])
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    assert set(study.conditions) == {"student_baseline", "no_augment"}
    assert study.seeds == (0, 2, 10)
    assert [run.name for run in study.other_jobs] == ["data"]


def test_a_condition_folder_between_job_and_seed_is_part_of_the_conditions_name(tmp_path: Path) -> None:
    write_run(tmp_path, "ke/student", condition="plain", seed=0)
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    assert [run.name for run in study.runs] == ["student/plain, seed 0"]


def test_a_job_without_a_study_can_be_reported_by_its_id(tmp_path: Path) -> None:
    write_run(tmp_path, "student", seed=0)
    write_run(tmp_path, "other")
    assert read_study(tmp_path, "student", out=tmp_path / "out").conditions == ("student",)
    assert read_study(tmp_path, "other", out=tmp_path / "out").conditions == ("other",)


def test_folders_that_a_rerun_set_aside_and_the_report_itself_are_not_runs(tmp_path: Path) -> None:
    write_study(tmp_path)
    write_run(tmp_path, "ke/student_baseline/seed_0.1")
    write_run(tmp_path, "ke/no_augment.1", seed=0)
    write_run(tmp_path, "ke/report")
    study = read_study(tmp_path, "ke", out=tmp_path / "ke/report")
    assert len(study.runs) == 6
    assert study.set_aside == ("no_augment.1", "student_baseline/seed_0.1")


def test_an_unknown_study_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    write_study(tmp_path, name="kidney")
    (tmp_path / "queue").mkdir()
    with pytest.raises(StudyError, match=r"Unknown study 'kidny'\. Did you mean 'kidney'\?") as error:
        read_study(tmp_path, "kidny", out=tmp_path / "out")
    assert "queue" not in str(error.value)


@pytest.mark.parametrize("name", ["..", "ke/../..", "/etc", "", "ke//x", "a b"])
def test_a_study_that_is_no_part_of_an_id_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StudyError, match="expected the part of a job's id"):
        read_study(tmp_path, name, out=tmp_path / "out")


def test_a_missing_root_and_a_study_without_trainings_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no such folder"):
        read_study(tmp_path / "nowhere", "ke", out=tmp_path / "out")
    (tmp_path / "ke/student_baseline").mkdir(parents=True)
    with pytest.raises(StudyError, match="holds no training yet"):
        read_study(tmp_path, "ke", out=tmp_path / "out")


def test_a_run_by_hand_is_completed_once_it_has_test_results(tmp_path: Path) -> None:
    for seed, tested in ((0, True), (1, False)):
        folder = write_run(tmp_path, "ke/a", seed=seed, run=MadeUp(tested=tested))
        folder.attempt(1).exit.unlink()
        folder.attempt(1).output.unlink()
        folder.attempt(1).path.rmdir()
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    assert [run.ending.state for run in study.runs] == [State.COMPLETED, State.UNFINISHED]


def test_conditions_come_in_the_order_of_their_first_start(tmp_path: Path) -> None:
    for name, start in (("b", 10), ("a", 20)):
        folder = write_run(tmp_path, f"ke/{name}", seed=0)
        folder.attempt(1).exit.write_text(f'{{"code": 0, "start_unix_s": {start}}}')
    assert read_study(tmp_path, "ke", out=tmp_path / "out").conditions == ("b", "a")
