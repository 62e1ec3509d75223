from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from pkgs.reports.__main__ import main
from pkgs.reports.pairs import compare_planned
from pkgs.reports.plan import ReportPlan, read_plan
from pkgs.reports.planned_sections import notes, other_conditions, pair_tables, what_seeds_allow
from pkgs.reports.runs import Study, read_study
from pkgs.reports.tables import measured_metrics, seed_rows
from tests.builders.planned_studies import (
    Level,
    MadeUpStudy,
    write_plan,
    write_planned_study,
    write_predictors,
    write_tested,
    write_weights,
)
from tests.builders.run_folders import MadeUp, write_run

SEEDS = (3, 4, 13, 42, 1337)
CHANGES: dict[str, object] = {
    "order": ["base", "twin", "joint", "more"],
    "same": [["twin", "base", "nothing flows back"]],
    "shared_inputs": ["more"],
    "questions": [
        {"name": "Q1", "text": "Is it predicted?", "error_prediction": {"conditions": ["joint"]}},
        {"name": "Q2", "text": "Does it help?", "better": [["joint", "base"]]},
        {"name": "Q3", "text": "And more?", "better": [["more", "base"]]},
    ],
    "hypothesis": {"text": "It helps.", "better": [["joint", "base"], ["more", "base"]]},
}


def write_everything(root: Path) -> None:
    """Write a study with all that a plan can ask about; `more` lost a seed and raised an alarm."""
    levels = {"base": Level(), "twin": Level(), "joint": Level(iou=0.79, gap=0.004)}
    write_planned_study(root, study=MadeUpStudy(levels=levels))
    for seed in SEEDS[1:]:
        write_tested(root, "made/more", seed=seed, level=Level())
    write_run(root, "made/more", seed=3, run=MadeUp(code=81, tested=False))
    write_tested(root, "made/reference", seed=None, level=Level(iou=0.78))
    for run in study_in(root).runs:
        if run.condition in ("base", "twin"):
            write_weights(run.folder, "student", [1.0, run.seed or 0], about=run.name)
        if run.condition == "joint":
            write_predictors(run.folder)
        if run.condition == "more":
            sentence = '[{"step": 75, "name": "exploitation", "sentence": "the real error rose"}]'
            (run.folder.path / "alarms.json").write_text(sentence if run.seed == 3 else "[]")


def study_in(root: Path) -> Study:
    return read_study(root, "made", out=root / "made/report")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of a planned study with its report."""
    root = tmp_path_factory.mktemp("root")
    write_everything(root)
    plan = write_plan(root / "plan.yaml", **CHANGES)
    assert main(["made", "--root", str(root), "--plan", str(plan)], environment={}) == 0
    return root


def text_of(root: Path) -> str:
    return (root / "made/report/report.md").read_text().replace("\\_", "_")


def test_the_verdict_comes_first_then_the_questions_then_the_figures(whole: Path) -> None:
    headings = re.findall(r"^## (.*)$", text_of(whole), re.MULTILINE)
    assert headings == [
        "Verdict",
        "Questions, in order",
        "Missing, failed, changed",
        "Test results",
        "Results by seed",
        "Calibration",
        "Learning curves",
        "Every comparison",
        "By seed",
        "Per source",
        "Runs",
        "How to read this",
    ]


def test_the_page_holds_the_hypothesis_the_answers_and_a_sentence_for_every_condition(whole: Path) -> None:
    text = text_of(whole)
    assert "**Hypothesis: It helps. Not supported: Q3 failed; more against base: IoU" in text
    assert "- Q1. Is it predicted? Yes: joint, 5 seeds: Spearman per image of teacher .700" in text
    assert "- Q3. And more? No: more against base: " in text
    assert "- joint against base, 5 seeds: IoU +" in text
    assert re.search(r"- more against base, 4 seeds: ECE .*; without seed 3 \(more diverged\)\.", text)
    assert "- base (the base): IoU ." in text
    assert "- twin equals base to the last bit in 5 of 5 seeds: nothing flows back." in text
    assert "- reference (not in the plan, compared with nothing): IoU .7" in text


def test_the_page_says_what_is_odd_and_what_was_watched(whole: Path) -> None:
    text = text_of(whole)
    assert "- Read with what is listed below: diverged 1, alarms of the monitor 1." in text
    assert "- more, seed 3: exploitation at step 75: the real error rose." in text
    assert "Monitored without an alarm: more (4 runs)." in text


def test_what_five_seeds_allow_is_always_printed(whole: Path) -> None:
    assert (
        "With 5 paired seeds the smallest exact p is .0625, so nothing can be confirmed; a family of 4 needs "
        "8 seeds. BCa at n = 5 covers about 84 % instead of 95 % (n = 10: 90 %), hence the t interval; a "
        "verdict needs both."
    ) in text_of(whole)
    assert "The seeds of more start from the same checkpoints of all seeds" in text_of(whole)


def test_tables_are_written_as_csv_with_all_digits_and_as_markdown(whole: Path) -> None:
    tables = whole / "made/report/tables"
    pairs = pd.read_csv(tables / "pairs.csv")
    assert pairs.groupby("condition").size().to_dict() == {"joint": 2, "more": 2}
    row = pairs[(pairs.condition == "joint") & (pairs.metric == "iou")].iloc[0]
    assert (row.n, row.p_sign_flip, row.verdict) == (5, 0.0625, "better, not confirmed")
    assert row.bca_low > row.t_low > 0
    assert row.sources_and_seeds_low < row.mean_difference < row.sources_and_seeds_high
    conditions = pd.read_csv(tables / "conditions.csv")
    assert set(conditions.condition) == {"joint", "more"}
    assert pd.read_csv(tables / "questions.csv").outcome.tolist() == ["Yes", "Yes", "No"]
    assert {path.name for path in tables.glob("*.md")} >= {
        "pairs_1.md", "conditions.md", "mean_sd.md", "seeds_iou.md", "sources_iou.md",
    }  # fmt: skip
    assert "| condition | metric | n | difference | BCa |" in (tables / "pairs_1.md").read_text()


def test_a_second_report_gives_the_same_bytes(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = whole / "made/report"
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    assert main(["made", "--root", str(whole), "--plan", str(whole / "plan.yaml")], environment={}) == 0
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before
    printed = capsys.readouterr().out
    assert "Hypothesis: It helps. Not supported" in printed
    assert "joint against base, 5 seeds: IoU +" in printed


def test_a_study_that_has_just_begun_is_reported_by_its_plan(tmp_path: Path) -> None:
    write_run(tmp_path, "made/more", seed=3, run=MadeUp(code=None, tested=False))
    plan = write_plan(tmp_path / "plan.yaml", **CHANGES)
    assert main(["made", "--root", str(tmp_path), "--plan", str(plan)], environment={}) == 0
    text = text_of(tmp_path)
    assert "It helps. Undecided: Q1 has no answer yet" in text
    assert "- joint against base: IoU: no statement possible, base and joint are missing." in text
    assert "- base: is missing: no run yet." in text
    assert "- joint: is missing: the plan names it, and it has no run yet." in text


def test_switches_of_one_training_become_a_table_of_ablations(tmp_path: Path) -> None:
    levels = {"base": Level(), "switch/broken": Level(iou=0.4), "switch/harmless": Level()}
    write_planned_study(tmp_path, study=MadeUpStudy(levels=levels, seeds=(3, 4, 13)))
    plan = write_plan(tmp_path / "plan.yaml", families=[])
    assert main(["made", "--root", str(tmp_path), "--plan", str(plan)], environment={}) == 0
    table = (tmp_path / "made/report/tables/conditions.md").read_text().replace("\\_", "_")
    assert table.startswith("**Each condition and its difference from base**")
    assert "| switch/broken | 3 | ." in table
    assert "worse, not confirmed" in table
    frame = pd.read_csv(tmp_path / "made/report/tables/conditions.csv")
    assert set(frame.condition) == {"switch/broken", "switch/harmless"}


def plan_of(**changes: object) -> ReportPlan:
    raw = {"base": "base", "endpoints": ["iou"], "margins": {"iou": 0.01}}
    return ReportPlan.model_validate(raw | changes)


def test_what_more_seeds_allow_depends_on_the_families(tmp_path: Path) -> None:
    levels = {name: Level() for name in ("base", "a", "b", "c", "d", "e", "f")}
    write_planned_study(tmp_path, study=MadeUpStudy(levels=levels, seeds=range(8)))
    others = [[name, "base"] for name in list(levels)[1:]]
    families = [{"name": "many", "pairs": others}, {"name": "one", "pairs": [["a", "b"]]}]
    plan = plan_of(families=families, endpoints=["iou", "ece_fg"], margins={"iou": 0.01, "ece_fg": 0.001})
    pairs, _ = compare_planned(study_in(tmp_path), plan)
    assert what_seeds_allow(pairs).startswith(
        "With 8 paired seeds the smallest exact p is .0078, so nothing can be confirmed in a family of 12; "
        "a family of 2 needs 7 seeds, of 12 needs 9. BCa at n = 8 covers about 89 %"
    )


def test_a_family_with_one_base_names_it_once_and_a_mixed_one_in_every_row(tmp_path: Path) -> None:
    write_planned_study(tmp_path, study=MadeUpStudy(seeds=(3, 4)))
    families = [
        {"name": "x", "pairs": [["joint", "base"]]},
        {"name": "y", "pairs": [["more", "base"], ["base", "joint"]]},
    ]
    pairs, _ = compare_planned(study_in(tmp_path), plan_of(families=families))
    one, mixed = pair_tables(pairs)
    assert one.caption == "X: 1 comparison, all against base; 95 % intervals"
    assert one.header[:3] == ["condition", "metric", "n"]
    assert mixed.header[:4] == ["condition", "against", "metric", "n"]
    assert [row[:2] for row in mixed.rows] == [["more", "base"], ["base", "joint"]]


def test_no_note_on_shared_inputs_where_nothing_is_shared(tmp_path: Path) -> None:
    write_planned_study(tmp_path, study=MadeUpStudy(seeds=(3, 4)))
    plan = read_plan(write_plan(tmp_path / "plan.yaml", shared_inputs=["ghost"]))
    study = study_in(tmp_path)
    pairs, _ = compare_planned(study, plan)
    assert len(notes(pairs, plan, study)) == 1
    rows = seed_rows(study, measured_metrics(study))
    assert any(
        sentence.startswith("ghost: is missing")
        for sentence in other_conditions(study, plan, rows=rows, equalities=[])
    )
