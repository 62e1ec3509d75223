from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pkgs.reports.comparison import Comparison, choose_base, compare, p_text
from pkgs.reports.metrics import metric_of
from pkgs.reports.runs import Study, StudyError, read_study
from pkgs.reports.statistics import sign_flip_p, summarise
from tests.builders.run_folders import MadeUp, write_run


def study_of(root: Path, ious: dict[str, dict[int, float]]) -> Study:
    for condition, by_seed in ious.items():
        for seed, iou in by_seed.items():
            write_run(root, f"ke/{condition}", seed=seed, run=MadeUp(iou=iou))
    return read_study(root, "ke", out=root / "out")


def comparison(differences: Sequence[float], metric: str = "iou") -> Comparison:
    return Comparison(
        condition="no_augment",
        base="student_baseline",
        weights="last",
        metric=metric_of(metric),
        seeds=tuple(range(len(differences))),
        differences=tuple(differences),
        summary=summarise(differences),
        p=sign_flip_p(differences),
        improved=0,
    )


def test_conditions_are_paired_by_seed_and_a_seed_that_one_side_lacks_does_not_count(tmp_path: Path) -> None:
    study = study_of(tmp_path, {"base": {0: 0.80, 1: 0.82, 2: 0.84}, "new": {1: 0.83, 2: 0.83, 3: 0.99}})
    [one] = compare(study, "base", weights="last", metrics=[metric_of("iou")])
    assert one.seeds == (1, 2)
    assert one.differences == pytest.approx((0.01, -0.01))
    assert one.improved == 1


def test_a_smaller_ece_is_an_improvement(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, "ke/base", seed=seed, run=MadeUp(ece=0.02))
        write_run(tmp_path, "ke/new", seed=seed, run=MadeUp(ece=0.01))
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    [one] = compare(study, "base", weights="last", metrics=[metric_of("ece_fg")])
    assert one.improved == 2


def test_the_sentence_names_conditions_seeds_difference_interval_p_and_verdict() -> None:
    assert comparison([-0.05, -0.035, -0.02]).sentence().replace("\N{MINUS SIGN}", "-") == (
        "no_augment against student_baseline, 3 seeds: IoU -.035 (95 % t -.072 to +.002), p .25: "
        "no clear difference."
    )


def test_a_clear_difference_of_few_seeds_is_better_but_not_confirmed() -> None:
    sentence = comparison([0.050, 0.051, 0.052]).sentence()
    assert sentence.endswith("p .25: better, not confirmed (smallest possible p .25).")


def test_the_same_difference_with_enough_seeds_is_confirmed_and_worse_in_ece() -> None:
    differences = [0.050, 0.051, 0.052, 0.053, 0.049, 0.050]
    assert comparison(differences).sentence().endswith("p .0312: better.")
    assert comparison(differences, metric="ece_fg").sentence().endswith("p .0312: worse.")


def test_an_interval_within_the_margin_is_equivalent_and_no_difference_at_all_is_identical() -> None:
    assert comparison([0.001, -0.001, 0.0005]).sentence().endswith(": equivalent.")
    assert comparison([0.0, 0.0, 0.0]).sentence().endswith("3 seeds: IoU: identical in every seed.")


def test_a_difference_below_the_margin_is_never_better() -> None:
    differences = [
        0.0085,
        0.0095,
        0.0099,
        0.0101,
        0.0099,
        0.0100,
    ]  # clear of 0, mean below .01, interval beyond
    assert comparison(differences).verdict in ("no clear difference", "equivalent")


def test_one_seed_or_none_allows_no_statement() -> None:
    assert (
        comparison([0.1]).sentence().endswith("IoU +.100; one seed gives no interval: no statement possible.")
    )
    assert comparison([]).sentence().endswith("no seed in common yet.")


def test_an_unknown_metric_gets_numbers_but_no_verdict() -> None:
    assert comparison([0.5, 0.51, 0.52], metric="spearman").verdict == "no clear difference"


def test_the_base_is_the_wish_else_the_one_called_baseline_else_the_first(tmp_path: Path) -> None:
    study = study_of(tmp_path, {"aaa": {0: 0.8}, "my_baseline_2": {0: 0.8}, "zzz": {0: 0.8}})
    assert choose_base(study, None) == "my_baseline_2"
    assert choose_base(study, "zzz") == "zzz"
    with pytest.raises(StudyError, match=r"--base zz: Unknown condition 'zz'\. Did you mean 'zzz'\?"):
        choose_base(study, "zz")


def test_without_a_baseline_the_first_condition_is_the_base(tmp_path: Path) -> None:
    assert choose_base(study_of(tmp_path, {"aaa": {0: 0.8}, "bbb": {0: 0.8}}), None) == "aaa"


@pytest.mark.parametrize(
    ("p", "text"), [(0.25, ".25"), (0.125, ".125"), (0.0625, ".0625"), (1.0, "1.00"), (0.5, ".50")]
)
def test_p_values_show_as_many_digits_as_matter(p: float, text: str) -> None:
    assert p_text(p) == text
