from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest

from pkgs.reports.__main__ import main
from pkgs.reports.plan import read_plan
from pkgs.reports.plan_ranking import Ranking
from pkgs.reports.ranking_report import RankingReport, report_ranking
from pkgs.reports.ranking_tables import share_text
from pkgs.reports.runs import read_study
from tests.builders.noise_studies import write_noise_study
from tests.builders.rankings import RANKING, made_up_scores, write_ranking
from tests.builders.run_folders import MadeUp, write_run

PLAN = Path(__file__).parents[2] / "configs/noise/report.yaml"


def report(root: Path) -> str:
    """Report the made-up study of noise by the plan that ships, and return its page as Markdown."""
    out = root / "out"
    code = main(["noise", "--root", str(root), "--plan", str(PLAN), "--out", str(out)], environment={})
    assert code == 0
    return (out / "report.md").read_text().replace("\\_", "_")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    root = tmp_path_factory.mktemp("noise")
    write_noise_study(root)
    return root / "out", report(root)


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    root = tmp_path_factory.mktemp("doubtful")
    write_noise_study(root, truth=False)
    return root / "out", report(root)


def test_the_plan_that_ships_names_the_rows_of_the_study() -> None:
    plan = read_plan(PLAN)
    assert plan.other_jobs == ("rank",)
    assert [question.name for question in plan.questions] == ["Q1", "Q2", "Q3"]
    assert plan.margins == {"iou": 0.005, "dice": 0.005}
    assert {name for name, _ in plan.pairs} == {
        f"retrain/{name}" for name in ("cleanest_50", "random_50", "oracle_50", "corrected", "clean_labels")
    }


def test_the_page_holds_detectors_against_their_bases_and_over_seeds(whole: tuple[Path, str]) -> None:
    _, text = whole
    assert "256 samples in 16 tiles; 41 % have a true noise above .10" in text
    sentence = (
        r"- combined against compat: tau \+\.\d{3} \(tile bootstrap 95 % \+\.\d{3} to \+\.\d{3}\): better\."
    )
    assert re.search(sentence, text)
    assert "- iou against the mean of its seeds: tau +." in text
    assert "- bridge_without_drop, which never met drop: AUROC ." in text
    assert "| detector | tau | Spearman | AUROC | AP |" in text
    assert "| detector | worst 1 % | worst 5 % | worst 10 % | worst 20 % |" in text
    assert "| detector | drop (n = " in text
    assert "| detector | 0 (n = " in text
    assert re.search(
        r"p_noisy: Brier score \.\d{3} .*estimated \.550 \(95 % \.450 to \.660\), true \.414", text
    )


def test_the_cautions_of_the_plan_are_always_printed(whole: tuple[Path, str]) -> None:
    _, text = whole
    for note in read_plan(PLAN).notes:
        assert f"- {note}" in text
    assert "- Tau of synthetic noise is no forecast for real noise." in text


def test_questions_are_answered_apart_from_each_other(whole: tuple[Path, str]) -> None:
    out, text = whole
    assert re.search(r"- Q1\. Does the ranking .* In part: combined against compat: tau", text)
    assert re.search(r"- Q3\. .* No: retrain/cleanest_50 against retrain/all: IoU", text)
    assert pd.read_csv(out / "tables/questions.csv").outcome.tolist() == ["In part", "In part", "No"]


def test_tables_and_figures_of_the_ranking_lie_beside_the_page(whole: tuple[Path, str]) -> None:
    out, text = whole
    table = pd.read_csv(out / "tables/detectors.csv")
    tau = table[(table.detector == "combined") & (table.measure == "tau") & (table.by == "all")].iloc[0]
    assert tau.percentile_low < tau.value < tau.percentile_high
    assert tau.bca_low < tau.value < tau.bca_high
    differences = pd.read_csv(out / "tables/detector_differences.csv")
    assert set(differences.measure) == {"tau", "auroc", "ap", "spearman"}
    assert len(pd.read_csv(out / "tables/probability.csv")) == 15
    for name in ("detectors", "precision", "limits", "kinds", "objects", "ensembles", "against_compat"):
        assert (out / f"tables/{name}.md").is_file()
    for name in ("detectors", "roc_precision", "score_against_truth", "probability", "curves_memorisation"):
        assert (out / f"figures/{name}.png").is_file()
        assert f"figures/{name}.png" in text


def test_parts_have_tables_of_their_own_and_brief_ones_nothing_else(whole: tuple[Path, str]) -> None:
    out, text = whole
    assert "**Retraining: last weights: mean ± sd over seeds**" in text
    assert "**Out of fold: last weights: mean ± sd over seeds**" in text
    assert {path.stem for path in (out / "figures").glob("bars*.png")} == {"bars_retraining"}
    assert "Calibration of retrain/all, " in text
    assert "- student/fold0" not in text


def test_parts_may_have_other_seeds_and_data_and_the_ranking_no_test(whole: tuple[Path, str]) -> None:
    _, text = whole
    assert "Nothing: every condition has every seed" in text


def test_without_a_truth_no_number_pretends_to_be_an_accuracy(doubtful: tuple[Path, str]) -> None:
    out, text = doubtful
    assert "**No truth is known for these samples, so nothing here says how good a detector is" in text
    assert "Estimated share of noisy samples: .550 (95 % .450 to .660). Assumed: wrong labels" in text
    ranking = text.partition("## Ranking")[2].partition("\n## ")[0]
    for word in ("tau", "AUROC", "Spearman", "Brier"):
        assert word not in ranking
    assert "What they measured is agreement with these labels, not accuracy" in text
    assert "## Agreement with labels that may be wrong" in text
    assert not re.search(r"(: better|: worse|\| better|\| worse)", text)
    for heading in ("Results by seed", "Calibration", "By seed", "Per source", "Every comparison"):
        assert f"## {heading}" not in text
    assert "## Memorisation" in text
    assert not (out / "tables/detectors.csv").exists()
    assert not (out / "tables/comparisons.csv").exists()
    outcomes = pd.read_csv(out / "tables/questions.csv").outcome
    assert outcomes.tolist() == ["No answer yet"] * 3


def test_the_shape_of_the_scores_is_shown_without_a_truth(doubtful: tuple[Path, str]) -> None:
    out, text = doubtful
    assert "| detector | lowest | 10 % | 25 % | median | 75 % | 90 % | highest | tied with another |" in text
    assert (out / "figures/score_shapes.png").is_file()
    assert not (out / "figures/roc_precision.png").exists()


def report_of(root: Path, frame: pd.DataFrame, **changes: object) -> RankingReport:
    write_run(root, "made/base", seed=0, run=MadeUp())
    write_ranking(root, frame)
    study = read_study(root, "made", out=root / "out")
    return report_ranking(study, Ranking.model_validate(RANKING | changes), synthetic=True)


def test_a_constant_detector_is_shown_with_a_dash_and_last(tmp_path: Path) -> None:
    found = report_of(tmp_path, made_up_scores())
    [table] = [one for one in found.blocks if getattr(one, "name", "") == "detectors"]
    assert [row[0] for row in table.rows] == ["good", "plain", "constant"]  # type: ignore[union-attr]
    assert table.rows[2][1] == "–"  # type: ignore[union-attr]  # noqa: RUF001
    assert table.rows[2][3].startswith(".500")  # type: ignore[union-attr]


def test_where_nothing_is_noisy_there_is_no_auroc_and_no_roc_curve(tmp_path: Path) -> None:
    frame = made_up_scores().assign(true_noise=0.0)
    found = report_of(tmp_path, frame, hits={}, objects="", probability="", rate="", seeds={})
    assert found.judged is not None
    assert math.isnan(found.judged.detectors[0].estimates(found.judged.draws)["auroc"].value)
    names = [one.drawing.name for one in found.blocks if hasattr(one, "drawing")]
    assert names == ["detectors", "score_against_truth"]


def test_a_ranking_that_is_not_there_is_a_sentence_and_a_problem(tmp_path: Path) -> None:
    write_run(tmp_path, "made/base", seed=0, run=MadeUp())
    study = read_study(tmp_path, "made", out=tmp_path / "out")
    found = report_ranking(study, Ranking.model_validate(RANKING), synthetic=True)
    assert found.complaints == ("rank has no run yet, so there is no ranking.",)
    assert found.judged is None


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.01, "1 %"), (0.055, "5.5 %"), (0.1, "10 %"), (0.414, "41 %")]
)
def test_shares_have_a_digit_where_they_need_one(share: float, text: str) -> None:
    assert share_text(share) == text
