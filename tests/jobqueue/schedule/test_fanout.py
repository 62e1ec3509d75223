"""Who waits for whom, and which rows can never run."""

from __future__ import annotations

import pytest

from pkgs.jobqueue.schedule.fanout import Problem, resolve, set_ranks
from pkgs.jobqueue.vocabulary import Job, RunKey
from tests.builders.worlds import job, table


def only_problem(jobs: dict[str, Job], name: str, refused: dict[str, int] | None = None) -> Problem:
    (problem,) = resolve(jobs, refused or {}).problems[name]
    return problem


def test_seeds_are_matched_with_the_same_seed_of_the_parent() -> None:
    fanout = resolve(table(job("t", seeds=(0, 1)), job("s", seeds=(1, 0), after="t")))
    assert fanout.parents(RunKey("s", None, 1)) == (RunKey("t", None, 1),)
    assert not fanout.problems


def test_conditions_are_matched_where_both_sides_have_them() -> None:
    fanout = resolve(table(job("t", conditions=("a", "b")), job("s", conditions=("b", "a"), after="t")))
    assert fanout.parents(RunKey("s", "b")) == (RunKey("t", "b"),)


def test_a_child_without_conditions_waits_for_all_conditions_of_its_seed() -> None:
    fanout = resolve(table(job("t", seeds=(0, 1), conditions=("a", "b")), job("s", seeds=(1,), after="t")))
    assert fanout.parents(RunKey("s", None, 1)) == (RunKey("t", "a", 1), RunKey("t", "b", 1))


def test_a_parent_without_seeds_is_one_run_that_all_seeds_wait_for() -> None:
    fanout = resolve(table(job("data"), job("s", seeds=(3, 4), conditions=("a",), after="data")))
    assert fanout.parents(RunKey("s", "a", 4)) == (RunKey("data"),)


def test_all_waits_for_every_run_of_the_parent_once() -> None:
    fanout = resolve(table(job("t", seeds=(0, 1), conditions=("a", "b")), job("report", after="t:all t:all")))
    assert fanout.parents(RunKey("report")) == tuple(
        RunKey("t", condition, seed) for seed in (0, 1) for condition in ("a", "b")
    )


def test_a_child_without_seeds_is_told_to_write_all() -> None:
    problem = only_problem(table(job("t", seeds=(0, 1)), job("report", after="t")), "report")
    assert str(problem) == (
        "column 'after': 't' is not a job without seeds, as report is: it has a run for each of 2 seeds. "
        "Write `t:all` to wait for all of its runs."
    )


def test_a_seed_that_the_parent_lacks_is_named_with_all_as_the_cure() -> None:
    problem = only_problem(table(job("t", seeds=(0, 1)), job("s", seeds=(0, 1, 2, 7), after="t")), "s")
    assert "it lacks 2, 7" in problem.expected
    assert "`t:all`" in problem.remedy


def test_a_seed_that_only_the_parent_has_is_no_problem() -> None:
    assert not resolve(table(job("t", seeds=(0, 1, 2)), job("s", seeds=(1,), after="t"))).problems


def test_a_condition_that_the_parent_lacks_is_named() -> None:
    jobs = table(job("t", conditions=("a", "b")), job("s", conditions=("a", "c"), after="t"))
    assert "it lacks c" in only_problem(jobs, "s").expected


def test_an_unknown_parent_is_refused_with_the_nearest_id() -> None:
    problem = only_problem(table(job("ke/teacher"), job("ke/s", after="ke/techer")), "ke/s")
    assert str(problem) == (
        "column 'after': 'ke/techer' is not the id of a row in this table. Did you mean 'ke/teacher'?"
    )


def test_an_unknown_parent_like_no_other_gets_a_remedy_all_the_same() -> None:
    assert "take it out" in only_problem(table(job("s", after="zzz")), "s").remedy


def test_a_forgotten_study_is_found() -> None:
    assert (
        "'ke/teacher'" in only_problem(table(job("ke/teacher"), job("ke/s", after="teacher")), "ke/s").remedy
    )


def test_a_job_that_waits_for_itself_is_refused() -> None:
    assert "cannot wait for itself" in only_problem(table(job("a", after="a")), "a").expected


def test_a_circle_is_refused_with_all_its_members_in_order() -> None:
    jobs = table(job("a", after="b"), job("b", after="c"), job("c", after="a"), job("d"))
    fanout = resolve(jobs)
    assert fanout.problems["a"][0].value == "a -> b -> c -> a"
    assert fanout.problems["b"][0].value == "b -> c -> a -> b"
    assert fanout.problems["c"][0].value == "c -> a -> b -> c"
    assert "d" not in fanout.problems


def test_what_waits_for_a_circle_is_not_called_part_of_it() -> None:
    problem = only_problem(table(job("a", after="b"), job("b", after="a"), job("c", after="a")), "c")
    assert "waits for a, whose row has an error" in problem.expected


def test_two_circles_through_one_job_are_both_named() -> None:
    jobs = table(job("hub", after="a b"), job("a", after="hub"), job("b", after="hub"))
    values = {name: problems[0].value for name, problems in resolve(jobs).problems.items()}
    assert values == {"hub": "hub -> a -> hub", "a": "a -> hub -> a", "b": "b -> hub -> b"}


def test_what_waits_for_a_refused_row_names_that_row_and_its_line() -> None:
    problem = only_problem(table(job("s", after="ke/x")), "s", refused={"ke/x": 7})
    assert "waits for ke/x, whose row has an error in line 7" in problem.expected
    assert "Mend that row" in problem.remedy


def test_a_refusal_reaches_the_whole_chain_below_it_and_nothing_else() -> None:
    jobs = table(
        job("a", after="nobody"), job("b", after="a"), job("c", after="b"), job("d"), job("e", after="d")
    )
    assert set(resolve(jobs).problems) == {"a", "b", "c"}


def test_a_refused_job_has_no_parents_to_wait_for() -> None:
    fanout = resolve(table(job("a", after="nobody")))
    with pytest.raises(ValueError, match="a is refused: column 'after': 'nobody'"):
        fanout.parents(RunKey("a"))


def test_children_are_the_jobs_that_name_it() -> None:
    fanout = resolve(table(job("t"), job("a", after="t"), job("b", after="a t t:all")))
    assert fanout.children("t") == ("a", "b")
    assert fanout.children("b") == ()


def test_matched_sets_are_ranked_over_the_seeds_of_the_whole_study() -> None:
    order = set_ranks(table(job("ke/a", seeds=(3, 4)), job("ke/b", seeds=(4, 5)), job("x/c", seeds=(5,))))
    seeds = [("ke/a", 3), ("ke/a", 4), ("ke/b", 4), ("ke/b", 5), ("x/c", 5)]
    assert [order.rank(RunKey(name, None, seed)) for name, seed in seeds] == [0, 1, 1, 2, 0]


def test_without_a_study_a_job_ranks_its_own_seeds() -> None:
    order = set_ranks(table(job("a", seeds=(3, 4)), job("b", seeds=(4, 5)), job("c")))
    assert [order.rank(key) for key in (RunKey("a", None, 4), RunKey("b", None, 4), RunKey("c"))] == [1, 0, 0]


def test_runs_go_by_priority_then_matched_set_then_row_then_condition() -> None:
    jobs = table(
        job("s/a", seeds=(0, 1), conditions=("x", "y")), job("s/b", seeds=(0, 1)), job("u", priority=5)
    )
    order = set_ranks(jobs)
    runs = sorted((run for one in jobs.values() for run in one.runs()), key=order.of)
    assert [str(run) for run in runs] == ["u", "s/a:0:x", "s/a:0:y", "s/b:0", "s/a:1:x", "s/a:1:y", "s/b:1"]


def test_a_large_table_is_resolved() -> None:
    rows, jobs = 100_000, {}
    for n in range(rows):
        after = f"s{(n - 1) // 10}/j{n - 1}" if n % 3 else ""
        jobs[f"s{n // 10}/j{n}"] = job(f"s{n // 10}/j{n}", seeds=(0, 1, 2, 3, 4), after=after)
    assert not resolve(jobs).problems


@pytest.mark.parametrize("shape", ["ring", "hub", "unknown"])
def test_in_a_large_table_full_of_mistakes_each_row_gets_a_short_sentence(shape: str) -> None:
    rows = 10_000
    pattern = {"ring": "j{next}", "hub": "j0", "unknown": "k{n}"}[shape]
    jobs = {f"j{n}": job(f"j{n}", after=pattern.format(n=n, next=(n + 1) % rows)) for n in range(rows)}
    if shape == "hub":
        jobs["j0"] = job("j0", after=" ".join(f"j{n}" for n in range(1, rows)))
    problems = resolve(jobs).problems
    assert len(problems) == rows
    assert max(len(str(found)) for of_job in problems.values() for found in of_job[:1]) < 400
