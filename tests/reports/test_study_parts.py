from __future__ import annotations

import shutil
from pathlib import Path

from pkgs.reports.plan import ReportPlan
from pkgs.reports.problems import find_problems
from pkgs.reports.runs import Study, read_study
from pkgs.reports.study_parts import beside, parts_of
from pkgs.reports.tables import measured_metrics
from tests.builders.rankings import made_up_scores, write_ranking
from tests.builders.run_folders import MadeUp, write_run

PLAN = ReportPlan.model_validate(
    {
        "base": "retrain/all",
        "endpoints": ["iou"],
        "margins": {"iou": 0.01},
        "parts": [
            {"name": "Again", "conditions": ["retrain/*"]},
            {"name": "Folds", "conditions": ["student/fold*"], "brief": True},
        ],
    }
)


def study_in(root: Path) -> Study:
    for seed in range(3):
        write_run(root, "made/retrain/all", seed=seed, run=MadeUp())
        write_run(root, "made/retrain/half", seed=seed, run=MadeUp())
    for fold in (0, 1):
        write_run(root, f"made/student/fold{fold}", seed=0, run=MadeUp(fingerprint="e" * 16))
    write_run(root, "made/compat", seed=0, run=MadeUp(fingerprint="d" * 16))
    return read_study(root, "made", out=root / "out")


def test_conditions_stand_in_the_first_part_that_fits_and_the_others_last(tmp_path: Path) -> None:
    parts = parts_of(study_in(tmp_path), PLAN)
    assert [(part.name, part.brief) for part in parts] == [
        ("Again", False), ("Folds", True), ("Other conditions", False)
    ]  # fmt: skip
    assert [set(part.study.conditions) for part in parts] == [
        {"retrain/all", "retrain/half"}, {"student/fold0", "student/fold1"}, {"compat"}
    ]  # fmt: skip
    assert parts[0].named("bars") == "bars_again"
    assert parts[0].caption("Test results") == "Again: test results"


def test_without_parts_the_study_is_its_only_one(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    [part] = parts_of(study, PLAN.model_copy(update={"parts": ()}))
    assert (part.study, part.named("bars"), part.caption("Text")) == (study, "bars", "Text")
    assert parts_of(study, None) == [part]


def test_seeds_and_data_are_those_of_the_part(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    metrics = measured_metrics(study)
    assert find_problems(study, metrics, plan=PLAN) == []
    without = find_problems(study, metrics, plan=PLAN.model_copy(update={"parts": ()}))
    sentences = [one.sentence for one in without]
    assert "compat: seeds 1, 2, which other conditions have." in sentences
    assert any(sentence.startswith("data differs between conditions") for sentence in sentences)


def test_a_pair_lacks_no_seed_that_only_other_parts_have(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    assert beside(study, PLAN, ["student/fold0"]).paired_seeds == (0,)
    assert beside(study, PLAN, ["retrain/all", "student/fold0"]).paired_seeds == (0, 1, 2)


def test_jobs_that_leave_files_are_no_conditions(tmp_path: Path) -> None:
    study = study_in(tmp_path).with_jobs(["compat"])
    assert "compat" not in study.conditions
    assert [run.condition for run in study.other_jobs] == ["compat"]


def test_a_job_that_ran_by_hand_has_no_test_result_to_wait_for(tmp_path: Path) -> None:
    folder = write_ranking(tmp_path, made_up_scores())
    shutil.rmtree(folder.path / "attempts")
    folder.config.write_text("noisy_above: 0.1\n")
    study = study_in(tmp_path)
    assert "rank" in study.conditions
    apart = study.with_jobs(["rank"])
    assert find_problems(apart, measured_metrics(apart), plan=PLAN) == []
