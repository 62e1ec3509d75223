from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.foundation.config import ConfigError
from pkgs.reports.plan import find_plan, read_plan
from tests.builders.planned_studies import write_plan
from tests.builders.rankings import RANKING

PAIR = ["joint", "base"]
PREDICTION = {"conditions": ["joint"], "spearman_image": 0.5}
ABOUT_RANKING = {"name": "R", "text": "?", "ranking": {"better": [["good", "plain"]]}}


def test_a_plan_names_its_conditions_in_the_order_of_the_page(tmp_path: Path) -> None:
    plan = read_plan(write_plan(tmp_path / "plan.yaml", order=["first"], same=[["twin", "base", "why"]]))
    assert plan.conditions == ("first", "base", "joint", "more", "twin")
    assert plan.weights == "last"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"famlies": []}, "Did you mean 'families'"),
        ({"endpoints": ["iuo"], "margins": {"iuo": 0.1}}, "Did you mean 'iou'"),
        ({"margins": {"iou": 0.01}}, "margins are for ['iou'], endpoints are ['ece_fg', 'iou']"),
        ({"margins": {"iou": 0.0, "ece_fg": 0.001}}, "margins must be above 0, not so for iou"),
        (
            {"families": [{"name": "a", "pairs": [PAIR, PAIR]}]},
            "joint against base stands in the families twice",
        ),
        ({"families": [{"name": "a", "pairs": []}]}, "at least 1 item"),
        ({"hypothesis": {"text": "?", "better": [["joint", "more"]]}}, "asks for joint against more, which"),
        (
            {"questions": [{"name": "Q", "text": "?"}]},
            "needs either `error_prediction`, `better` or `ranking`",
        ),
        (
            {"questions": [{"name": "Q", "text": "?", "better": [PAIR], "error_prediction": PREDICTION}]},
            "needs either",
        ),
        ({"questions": [{"name": "Q", "text": "?", "beter": [PAIR]}]}, "beter"),
        ({"same": [["a", "b"]]}, "same"),
        ({"ranking": RANKING | {"base": ["plian"]}}, "Did you mean 'plain'"),
        ({"ranking": RANKING | {"unseen": {"dorp": "x"}}}, "Did you mean 'drop'"),
        ({"ranking": RANKING | {"depths": [10]}}, "shares in (0, 1], not so 10"),
        ({"ranking": RANKING | {"object_counts": [3, 1]}}, "object_counts must rise, got [3, 1]"),
        ({"ranking": RANKING | {"detectors": []}}, "at least 1 item"),
        ({"questions": [ABOUT_RANKING]}, "question 'R' asks about detectors; `ranking` is missing"),
        (
            {"ranking": RANKING | {"detectors": ["plain"], "base": []}, "questions": [ABOUT_RANKING]},
            "Unknown detector 'good'",
        ),
        (
            {"questions": [ABOUT_RANKING | {"ranking": {"better": [["a", "b"]], "measures": ["taau"]}}]},
            "Did you mean 'tau'",
        ),
    ],
)
def test_a_plan_that_does_not_fit_together_is_refused_with_its_reason(
    tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError) as error:
        read_plan(write_plan(tmp_path / "plan.yaml", **changes))
    assert sentence in str(error.value)
    assert "plan.yaml" in str(error.value)


def test_a_plan_lies_beside_the_configs_of_its_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_plan("made") is None
    (tmp_path / "configs/made").mkdir(parents=True)
    write_plan(tmp_path / "configs/made/report.yaml")
    found = find_plan("made")
    assert found is not None
    assert read_plan(found).base == "base"


def test_jobs_whose_files_are_shown_are_no_conditions_of_the_plan(tmp_path: Path) -> None:
    tables = [{"condition": "rank", "file": "objects.csv", "caption": "Objects"}]
    plan = read_plan(
        write_plan(tmp_path / "plan.yaml", ranking=RANKING, tables=tables, questions=[ABOUT_RANKING])
    )
    assert plan.other_jobs == ("rank",)
    assert "rank" not in plan.conditions
