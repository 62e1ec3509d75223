from __future__ import annotations

import json
from pathlib import Path

import pytest

from pkgs.reports.plan import ReportPlan
from pkgs.reports.problems import find_problems, monitored
from pkgs.reports.runs import read_study
from pkgs.reports.tables import measured_metrics
from tests.builders.run_folders import MadeUp, write_attempt, write_run, write_study


def problems_of(root: Path) -> list[tuple[str, str]]:
    study = read_study(root, "ke", out=root / "out")
    return [(str(one.kind), one.sentence) for one in find_problems(study, measured_metrics(study))]


def test_a_whole_study_has_no_problems(tmp_path: Path) -> None:
    write_study(tmp_path)
    assert problems_of(tmp_path) == []


def test_a_failed_run_is_named_with_code_progress_and_log(tmp_path: Path) -> None:
    write_run(tmp_path, "ke/a", seed=1, run=MadeUp(code=1, tested=False))
    assert problems_of(tmp_path) == [
        ("Failed", "a, seed 1: exit code 1, at step 50 of 100. Log: a/seed_1/attempts/1/output.log.")
    ]


def test_a_failed_job_that_trains_nothing_is_named_too(tmp_path: Path) -> None:
    write_study(tmp_path)
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    write_attempt(study.other_jobs[0].folder, 2, code=2)
    assert problems_of(tmp_path) == [("Failed", "data: exit code 2. Log: data/attempts/2/output.log.")]


def test_a_seed_that_only_other_conditions_have_is_missing(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        write_run(tmp_path, "ke/a", seed=seed)
    write_run(tmp_path, "ke/b", seed=1)
    assert problems_of(tmp_path) == [("Missing", "b: seeds 0, 2, which other conditions have.")]


def test_a_running_run_is_unfinished_and_shows_its_progress(tmp_path: Path) -> None:
    write_run(tmp_path, "ke/a", seed=0, run=MadeUp(code=None, tested=False))
    assert problems_of(tmp_path) == [
        ("Unfinished", "a, seed 0: attempt 1 has no exit.json: running, or lost, at step 50 of 100.")
    ]


def test_a_completed_training_without_test_results_is_named(tmp_path: Path) -> None:
    write_run(tmp_path, "ke/a", seed=0, run=MadeUp(tested=False))
    [(kind, sentence)] = problems_of(tmp_path)
    assert (kind, sentence) == ("Missing", "a, seed 0: ended with exit code 0, yet test.csv has no rows.")


def test_a_nan_stop_a_nan_loss_and_a_nan_metric_are_named(tmp_path: Path) -> None:
    write_run(tmp_path, "ke/a", seed=0, run=MadeUp(code=81, tested=False))
    with write_run(tmp_path, "ke/a", seed=1).train_csv.open("a") as file:
        file.write("1,1,101,5,0.01,64,nan\n")
    folder = write_run(tmp_path, "ke/a", seed=2)
    folder.test_csv.write_text(folder.test_csv.read_text().replace("0.800000", "nan"))
    sentences = [sentence for kind, sentence in problems_of(tmp_path) if kind == "Diverged"]
    assert "a, seed 0: the loss became NaN (exit code 81), at step 50 of 100." in sentences[0]
    assert "a, seed 1: the last training loss is not finite." in sentences
    assert "a, seed 2: no finite IoU for the last weights; not in the means." in sentences


def test_settings_that_changed_between_seeds_are_listed_with_their_values(tmp_path: Path) -> None:
    for seed, lr in ((0, 0.01), (1, 0.01), (2, 0.001)):
        write_run(tmp_path, "ke/a", seed=seed, run=MadeUp(config={"train": {"lr": lr}}))
    assert problems_of(tmp_path) == [
        (
            "Changed between runs",
            "a: config changed between seeds: train.lr is 0.01 in seeds 0 1, 0.001 in seed 2.",
        )
    ]


def test_a_setting_that_holds_the_runs_seed_or_a_number_like_it_has_not_changed(tmp_path: Path) -> None:
    for seed in (0, 1):
        config = {"teacher": f"b/seed_{seed}/last", "validate_every": "1 epochs"}
        write_run(tmp_path, "ke/a", seed=seed, run=MadeUp(config=config))
    assert problems_of(tmp_path) == []


@pytest.mark.parametrize(
    ("changed", "what"), [(MadeUp(commit="b" * 40), "code"), (MadeUp(fingerprint="e" * 16), "data")]
)
def test_other_code_or_data_in_one_seed_is_named(tmp_path: Path, changed: MadeUp, what: str) -> None:
    write_run(tmp_path, "ke/a", seed=0)
    write_run(tmp_path, "ke/a", seed=1, run=changed)
    [(_, sentence)] = problems_of(tmp_path)
    assert sentence.startswith(f"a: {what} changed between seeds: ")


def test_conditions_with_different_data_are_named(tmp_path: Path) -> None:
    write_run(tmp_path, "ke/a", seed=0)
    write_run(tmp_path, "ke/b", seed=0, run=MadeUp(fingerprint="e" * 16))
    [(_, sentence)] = problems_of(tmp_path)
    assert sentence == "data differs between conditions: a: ffffffffffff; b: eeeeeeeeeeee."


@pytest.mark.parametrize(("file", "count"), [("Jobs.csv", 0), ("pkgs/student/step.py", 1)])
def test_uncommitted_changes_count_where_they_are_code(tmp_path: Path, file: str, count: int) -> None:
    write_run(tmp_path, "ke/a", seed=0)
    folder = write_run(tmp_path, "ke/a", seed=1)
    provenance = json.loads(folder.provenance.read_text())
    provenance["diff"] = f"diff --git a/{file} b/{file}\n-old\n+new\n"
    folder.provenance.write_text(json.dumps(provenance))
    assert len(problems_of(tmp_path)) == count


def test_what_cannot_be_read_is_named_with_its_run(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "ke/a", seed=0)
    folder.val_csv.write_text("time\n1\n")
    assert problems_of(tmp_path) == [("Unreadable", "a, seed 0: val.csv has no column 'step'; it has time.")]


def test_mixed_presets_are_named_between_conditions_and_between_seeds(tmp_path: Path) -> None:
    for condition, seed, preset in (
        ("a", 3, "demo"),
        ("a", 4, "demo"),
        ("b", 3, "readme"),
        ("b", 4, "readme"),
    ):
        write_run(tmp_path, f"ke/{condition}", seed=seed, run=MadeUp(config={"preset": preset}))
    assert ("Changed between runs", "preset differs between conditions: a: demo; b: readme.") in problems_of(
        tmp_path
    )
    write_run(tmp_path, "ke/a", seed=5, run=MadeUp(config={"preset": "history"}))
    write_run(tmp_path, "ke/b", seed=5, run=MadeUp(config={"preset": "readme"}))
    sentences = [sentence for _, sentence in problems_of(tmp_path)]
    assert "a: preset changed between seeds: demo in seeds 3 4, history in seed 5." in sentences


def test_alarms_are_listed_by_run_and_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    alarm = {"step": 75, "name": "exploitation", "sentence": "the real error rose."}
    for seed, text in ((3, json.dumps([alarm])), (4, "[]"), (5, "{")):
        (write_run(tmp_path, "ke/a", seed=seed).path / "alarms.json").write_text(text)
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    assert monitored(study) == {
        "a, seed 3": ["exploitation at step 75: the real error rose"],
        "a, seed 4": [],
    }
    assert problems_of(tmp_path) == [
        ("Alarms of the monitor", "a, seed 3: exploitation at step 75: the real error rose."),
        (
            "Unreadable",
            "a, seed 5: alarms.json cannot be read; whether the monitor raised an alarm is unknown.",
        ),
    ]


def test_conditions_of_the_plan_that_have_no_run_are_missing(tmp_path: Path) -> None:
    write_run(tmp_path, "ke/a", seed=0)
    plan = ReportPlan(base="a", endpoints=("iou",), margins={"iou": 0.01}, order=("a", "ghost"))
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    [problem] = find_problems(study, measured_metrics(study), plan=plan)
    assert problem.sentence == "ghost: is missing: the plan names it, and it has no run yet."


def test_a_reference_without_a_seed_beside_seeded_conditions_is_complete(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, "ke/a", seed=seed)
    write_run(tmp_path, "ke/mean_of_all")
    assert problems_of(tmp_path) == []
