from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pkgs.reports.bootstrap import bca_interval
from pkgs.reports.comparison import Comparison
from pkgs.reports.metrics import MINUS
from pkgs.reports.pairs import Pair, compare_planned, endpoints_of
from pkgs.reports.plan import ReportPlan, read_plan
from pkgs.reports.runs import Study, read_study
from pkgs.reports.statistics import effect_size, holm, paired_t_p, sign_flip_p, summarise
from tests.builders.planned_studies import Level, MadeUpStudy, write_plan, write_planned_study, write_tested
from tests.builders.run_folders import MadeUp, write_run


def plan_in(folder: Path, **changes: object) -> ReportPlan:
    return read_plan(write_plan(folder / "plan.yaml", **changes))


def pair(
    differences: Sequence[float], *, metric: str = "iou", p_holm: float = 1.0, diverged: bool = False
) -> Pair:
    plan = ReportPlan(base="base", endpoints=(metric,), margins={metric: 0.01})
    comparison = Comparison(
        condition="joint",
        base="base",
        weights="last",
        metric=endpoints_of(plan)[0],
        seeds=tuple(range(len(differences))),
        differences=tuple(differences),
        summary=summarise(differences),
        p=sign_flip_p(differences),
        improved=0,
    )
    return Pair(
        comparison=comparison,
        family="f",
        family_size=2,
        bca=bca_interval(differences),
        effect=effect_size(differences),
        p_t=paired_t_p(differences),
        p_holm=p_holm,
        by_source=None,
        lacking=(),
        diverged=diverged,
        pending=False,
    )


def study_in(root: Path) -> Study:
    return read_study(root, "made", out=root / "out")


def of(pairs: Sequence[Pair], condition: str, metric: str = "iou") -> Pair:
    chosen = ((one.comparison.condition, one.comparison.metric.name) for one in pairs)
    return next(one for one, key in zip(pairs, chosen, strict=True) if key == (condition, metric))


def test_the_sentence_is_that_of_the_specification() -> None:
    sentence = pair([0.004, -0.012, 0.001, -0.009, -0.004]).sentence()
    # sizes 4, 12, 1, 9, 4 sum to 30: the 6 subsets of at most 5 and their mirrors reach 20, so p is 12/32
    assert sentence.replace(MINUS, "-") == (
        "joint against base, 5 seeds: IoU -.004 (BCa -.009 to +.001; t -.012 to +.004), d -.5, p .375 "
        "(Holm 1.00): no clear difference."
    )


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.02, 0.03, 0.025, 0.022, 0.028], "better, not confirmed"),
        ([-0.02, -0.03, -0.025, -0.022, -0.028], "worse, not confirmed"),
        ([0.002, -0.001, 0.001, 0.0, 0.0015], "equivalent"),
        ([0.004, 0.005, 0.006, 0.005, 0.0045], "equivalent"),  # off 0, yet too small to matter
        ([0.0, 0.0, 0.0], "identical in every seed"),
        ([0.02, 0.02, 0.02], "no clear difference"),  # degenerate: the seed seems to do nothing
        ([0.05], "no statement possible"),
        ([], "no statement possible"),
    ],
)
def test_verdicts_follow_both_intervals_and_the_margin(differences: list[float], verdict: str) -> None:
    assert pair(differences).verdict_text == verdict


def test_better_needs_the_t_interval_too() -> None:
    differences = [0.05, 0.001, 0.03, 0.001, 0.02]  # BCa is too short for five seeds
    one = pair(differences)
    assert one.bca is not None
    assert one.bca.excludes_zero()
    assert one.comparison.summary.interval is not None
    assert not one.comparison.summary.interval.excludes_zero()
    assert one.verdict_text == "no clear difference"


def test_a_smaller_ece_is_better() -> None:
    assert pair([-0.02, -0.03, -0.025], metric="ece_fg").verdict_text == "better, not confirmed"


def test_confirmed_is_only_what_holm_leaves_below_five_percent() -> None:
    differences = [0.02, 0.03, 0.025, 0.022, 0.028]
    assert pair(differences, p_holm=0.05).verdict_text == "better, confirmed"
    assert pair(differences, p_holm=0.0501).verdict_text == "better, not confirmed"
    assert pair([0.001, -0.001, 0.0], p_holm=0.01).verdict_text == "equivalent"


def test_equal_differences_are_called_degenerate() -> None:
    assert "(BCa degenerate; t +.020 to +.020), d \N{EN DASH}" in pair([0.02, 0.02, 0.02]).sentence()


def test_a_condition_that_diverged_in_a_seed_never_passes() -> None:
    differences = [0.02, 0.03, 0.025]
    assert pair(differences).passes
    assert not pair(differences, diverged=True).passes


def test_planned_pairs_are_compared_with_holm_over_pairs_and_endpoints(tmp_path: Path) -> None:
    write_planned_study(tmp_path)
    pairs, complaints = compare_planned(study_in(tmp_path), plan_in(tmp_path))
    assert complaints == []
    assert [one.family_size for one in pairs] == [4, 4, 4, 4]
    assert [one.p_holm for one in pairs] == holm([one.comparison.p for one in pairs])
    assert of(pairs, "joint").verdict_text == "better, not confirmed"
    assert of(pairs, "joint").comparison.p == 0.0625
    by_source = of(pairs, "joint").by_source
    assert by_source is not None
    assert by_source.low < of(pairs, "joint").comparison.summary.mean < by_source.high


def test_runs_that_failed_diverged_or_are_missing_are_named_in_the_sentence(tmp_path: Path) -> None:
    write_planned_study(tmp_path, study=MadeUpStudy(levels={"base": Level()}))
    for seed in (3, 4):
        write_tested(tmp_path, "made/joint", seed=seed, level=Level(iou=0.8))
    write_run(tmp_path, "made/joint", seed=13, run=MadeUp(code=81, tested=False))
    write_run(tmp_path, "made/joint", seed=42, run=MadeUp(code=1, tested=False))
    pairs, _ = compare_planned(study_in(tmp_path), plan_in(tmp_path))
    assert (
        of(pairs, "joint")
        .sentence()
        .endswith("; without seed 13 (joint diverged), seed 42 (joint failed), seed 1337 (joint is missing).")
    )
    assert of(pairs, "joint").diverged
    assert of(pairs, "more").sentence() == "more against base: IoU: no statement possible, more is missing."
    assert of(pairs, "more", "ece_fg").pending


def test_a_number_that_is_not_finite_counts_as_diverged(tmp_path: Path) -> None:
    write_planned_study(tmp_path, study=MadeUpStudy(seeds=(3, 4)))
    path = study_in(tmp_path).of("joint")[0].folder.test_csv
    lines = path.read_text().splitlines()
    pooled = next(line for line in lines if "last,pooled" in line)
    iou = pooled.split(",")[7]
    path.write_text("\n".join(lines).replace(pooled, pooled.replace(iou, "nan", 1)) + "\n")
    pairs, _ = compare_planned(study_in(tmp_path), plan_in(tmp_path))
    assert of(pairs, "joint").lacking == ("seed 3 (joint diverged)",)
    assert not of(pairs, "joint", "ece_fg").diverged


def test_without_families_every_condition_found_is_compared_with_the_base(tmp_path: Path) -> None:
    write_planned_study(tmp_path, study=MadeUpStudy(levels={"base": Level(), "x/a": Level(), "x/b": Level()}))
    pairs, _ = compare_planned(study_in(tmp_path), plan_in(tmp_path, families=[]))
    assert [one.comparison.condition for one in pairs] == ["x/a", "x/a", "x/b", "x/b"]
    assert {one.family for one in pairs} == {"against the base"}


def test_sums_of_another_run_give_no_interval_and_a_complaint(tmp_path: Path) -> None:
    write_planned_study(tmp_path, study=MadeUpStudy(seeds=(3, 4)))
    base, joint = study_in(tmp_path).of("base")[0].folder, study_in(tmp_path).of("joint")[0].folder
    (joint.predictions / "calibration.csv").write_bytes((base.predictions / "calibration.csv").read_bytes())
    pairs, complaints = compare_planned(study_in(tmp_path), plan_in(tmp_path))
    assert of(pairs, "joint").by_source is None
    assert of(pairs, "more").by_source is not None
    [complaint] = complaints
    assert complaint.startswith("joint, seed 3: predictions/calibration.csv gives iou ")
    assert "one of the two is from another run" in complaint


def test_two_reports_give_the_same_numbers(tmp_path: Path) -> None:
    write_planned_study(tmp_path, study=MadeUpStudy(seeds=(3, 4, 13)))
    first, again = (compare_planned(study_in(tmp_path), plan_in(tmp_path))[0] for _ in range(2))
    assert [one.sentence() for one in first] == [one.sentence() for one in again]
    assert [one.by_source for one in first] == [one.by_source for one in again]
