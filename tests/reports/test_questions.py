from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pkgs.reports.detectors import judge_ranking
from pkgs.reports.pairs import compare_planned
from pkgs.reports.plan import ReportPlan
from pkgs.reports.questions import Outcome, answer, hypothesis_sentence
from pkgs.reports.rankings import RankingTable, read_ranking
from pkgs.reports.runs import Study, read_study
from tests.builders.planned_studies import Level, MadeUpStudy, write_planned_study, write_predictors
from tests.builders.rankings import RANKING, made_up_scores, write_ranking
from tests.builders.run_folders import MadeUp, write_run

PLAN = ReportPlan.model_validate(
    {
        "base": "base",
        "endpoints": ["iou", "ece_fg"],
        "margins": {"iou": 0.01, "ece_fg": 0.001},
        "families": [{"name": "all", "pairs": [["joint", "base"], ["more", "base"]]}],
        "questions": [
            {"name": "Q1", "text": "Is it predicted?", "error_prediction": {"conditions": ["joint"]}},
            {"name": "Q2", "text": "Does it help?", "better": [["joint", "base"]]},
            {"name": "Q3", "text": "And more?", "better": [["more", "base"]]},
        ],
        "hypothesis": {"text": "It helps.", "better": [["joint", "base"], ["more", "base"]]},
    }
)
GOOD, SAME = Level(iou=0.8, gap=0.002), Level()


def outcomes(study: Study) -> tuple[list[Outcome], str]:
    pairs, _ = compare_planned(study, PLAN)
    answers = answer(study, PLAN, pairs)
    sentence = hypothesis_sentence(PLAN, answers, pairs)
    assert sentence is not None
    return [one.outcome for one in answers], sentence


def study_of(root: Path, levels: Mapping[str, Level], *, spearman: float | None = 0.7) -> Study:
    write_planned_study(root, study=MadeUpStudy(levels=levels, seeds=(3, 4, 13)))
    study = read_study(root, "made", out=root / "out")
    for run in study.of("joint") if spearman is not None else []:
        write_predictors(run.folder, spearman=spearman or 0.0)
    return study


def test_all_passed_is_supported_but_not_confirmed_with_few_seeds(tmp_path: Path) -> None:
    found, hypothesis = outcomes(study_of(tmp_path, {"base": SAME, "joint": GOOD, "more": GOOD}))
    assert found == [Outcome.YES, Outcome.YES, Outcome.YES]
    assert hypothesis.startswith("It helps. Supported: joint against base: IoU better, ECE better; more")
    assert hypothesis.endswith("not confirmed, Holm p above .05.")


def test_no_question_is_interpreted_after_one_that_failed(tmp_path: Path) -> None:
    study = study_of(tmp_path, {"base": SAME, "joint": GOOD, "more": GOOD}, spearman=0.2)
    found, hypothesis = outcomes(study)
    assert found == [Outcome.NO, Outcome.NOT_ASKED, Outcome.NOT_ASKED]
    assert hypothesis == "It helps. Not supported: Q1 failed."
    pairs, _ = compare_planned(study, PLAN)
    assert answer(study, PLAN, pairs)[1].sentence() == (
        "Q2. Does it help? Not interpreted: Q1 failed, and without it this would say nothing."
    )


def test_a_question_without_data_is_open_and_so_is_the_hypothesis(tmp_path: Path) -> None:
    found, hypothesis = outcomes(
        study_of(tmp_path, {"base": SAME, "joint": GOOD, "more": GOOD}, spearman=None)
    )
    assert found == [Outcome.OPEN, Outcome.NOT_ASKED, Outcome.NOT_ASKED]
    assert hypothesis == "It helps. Undecided: Q1 has no answer yet."


def test_one_endpoint_that_is_not_better_fails_the_question_and_is_named(tmp_path: Path) -> None:
    levels = {"base": SAME, "joint": Level(iou=0.8), "more": GOOD}
    found, hypothesis = outcomes(study_of(tmp_path, levels))
    assert found == [Outcome.YES, Outcome.NO, Outcome.NOT_ASKED]
    assert "Not supported: Q2 failed; joint against base: IoU better, ECE " in hypothesis
    assert "more against base" not in hypothesis  # what holds is no obstacle


def test_a_condition_that_is_missing_leaves_its_question_open(tmp_path: Path) -> None:
    found, hypothesis = outcomes(study_of(tmp_path, {"base": SAME, "joint": GOOD}))
    assert found == [Outcome.YES, Outcome.YES, Outcome.OPEN]
    assert hypothesis.startswith(
        "It helps. Undecided: Q3 has no answer yet; more against base: IoU no statement"
    )


@pytest.mark.parametrize(
    ("code", "provisional", "reason"),
    [(None, True, "IoU better, ECE better; not"), (81, False, "diverged in a seed, so it is not better")],
)
def test_an_unfinished_run_makes_an_answer_provisional_and_a_diverged_one_fails_it(
    tmp_path: Path, code: int | None, reason: str, *, provisional: bool
) -> None:
    study_of(tmp_path, {"base": SAME, "joint": GOOD, "more": GOOD})
    for condition in ("base", "joint", "more"):
        run = MadeUp(code=code, tested=False) if condition == "joint" else MadeUp()
        write_run(tmp_path, f"made/{condition}", seed=42, run=run)
    study = read_study(tmp_path, "made", out=tmp_path / "out")
    pairs, _ = compare_planned(study, PLAN)
    second = answer(study, PLAN, pairs)[1]
    assert second.outcome is (Outcome.YES if provisional else Outcome.NO)
    assert reason in second.sentence()
    assert ("so far: runs are missing or unfinished" in second.sentence()) is provisional


def about_detectors(*better: tuple[str, str], alone: bool = False, first: bool = False) -> ReportPlan:
    """Return a plan whose question is about detectors; after or before one about conditions."""
    asked = {
        "name": "R", "text": "Which detector?", "ranking": {"better": better}, "stands_alone": alone
    }  # fmt: skip
    other = {"name": "Q", "text": "Does it help?", "better": [["more", "base"]]}
    questions = [asked, other] if first else [asked]
    raw = {"base": "base", "endpoints": ["iou"], "margins": {"iou": 0.01}, "ranking": RANKING}
    return ReportPlan.model_validate(raw | {"questions": questions})


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> Study:
    root = tmp_path_factory.mktemp("ranked")
    write_run(root, "made/base", seed=0, run=MadeUp())
    write_ranking(root, made_up_scores().drop(columns="plain_seed_0"))
    return read_study(root, "made", out=root / "out")


@pytest.mark.parametrize(
    ("better", "outcome"),
    [
        ([("good", "plain")], Outcome.YES),
        ([("plain", "good")], Outcome.NO),
        ([("good", "plain"), ("plain", "good")], Outcome.PARTLY),
        ([("constant", "plain")], Outcome.OPEN),
        ([("good", "plain"), ("constant", "plain")], Outcome.OPEN),
    ],
)
def test_a_question_about_detectors_is_answered_pair_by_pair(
    ranked: Study, better: list[tuple[str, str]], outcome: Outcome
) -> None:
    plan = about_detectors(*better)
    assert plan.ranking is not None
    table = read_ranking(ranked, plan.ranking)
    assert isinstance(table, RankingTable)
    [found] = answer(ranked, plan, [], ranking=judge_ranking(table, plan.ranking))
    assert found.outcome is outcome
    assert f"{better[0][0]} against {better[0][1]}: tau" in found.reasons


def test_without_a_ranking_its_question_is_open(ranked: Study) -> None:
    [found] = answer(ranked, about_detectors(("good", "plain")), [])
    assert found.outcome is Outcome.OPEN
    assert found.reasons == "there is no ranking with a truth that could answer it"


def test_a_question_that_stands_alone_blocks_no_other(ranked: Study) -> None:
    blocked = answer(ranked, about_detectors(("good", "plain"), first=True), [])
    alone = answer(ranked, about_detectors(("good", "plain"), first=True, alone=True), [])
    assert [one.outcome for one in blocked] == [Outcome.OPEN, Outcome.NOT_ASKED]
    assert [one.outcome for one in alone] == [Outcome.OPEN, Outcome.OPEN]
