"""What ended runs teach about duration, memory and the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median

import pytest

from pkgs.foundation.progress import Progress
from pkgs.jobqueue.schedule.eta import Eta, History, eta_of, expected_end_unix_s, learned_mib, program
from pkgs.jobqueue.schedule.simulate import Occupant, simulate
from pkgs.jobqueue.vocabulary import Job, RunKey
from tests.builders.worlds import cards, chance, job, table, taken, world

SEEDS = (0, 1, 2, 3, 4)


def training(name: str, *, command: str = "python -m pkgs.student --config x.yaml") -> Job:
    return replace(job(name, seeds=SEEDS), command=command)


def test_a_run_is_expected_to_take_the_median_of_its_own_seeds() -> None:
    history = History(table(training("ke/a")), {"ke/a": [100, 110, 9000]})
    found = history.estimate("ke/a")
    assert found is not None
    assert (found.duration_s, found.runs, found.own) == (110, 3, True)


def test_before_its_first_seed_a_job_learns_from_the_same_program_in_its_study() -> None:
    jobs = table(
        training("ke/a"), training("ke/b"), training("x/c"), training("ke/d", command="python -m other")
    )
    history = History(jobs, {"ke/a": [100, 120], "x/c": [7000], "ke/d": [1]})
    assert history.duration_s(RunKey("ke/b", None, 0)) == 110
    found = history.estimate("ke/b")
    assert found is not None
    assert not found.own


def test_before_its_study_has_ended_a_run_it_learns_from_any_study() -> None:
    history = History(table(training("ke/a"), training("x/c")), {"x/c": [7000]})
    assert history.duration_s(RunKey("ke/a", None, 0)) == 7000


def test_nothing_is_expected_of_an_unknown_program() -> None:
    history = History(table(training("ke/a"), training("ke/b", command="bash b.sh")), {"ke/a": [100]})
    assert history.duration_s(RunKey("ke/b", None, 0)) is None
    assert history.duration_s(RunKey("not in the table")) is None


def test_a_new_end_counts_at_once_for_the_job_and_its_kin() -> None:
    history = History(table(training("ke/a"), training("ke/b")), {})
    assert history.duration_s(RunKey("ke/b", None, 0)) is None
    history.add("ke/a", 50)
    assert history.duration_s(RunKey("ke/b", None, 0)) == 50


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python -m pkgs.student --config a.yaml", ("python", "pkgs.student")),
        ("python train.py {seed} --fast", ("python", "train.py")),
        ("./run.sh", ("./run.sh",)),
    ],
)
def test_a_program_is_what_stands_before_the_first_option(command: str, expected: tuple[str, ...]) -> None:
    assert program(command) == expected


def test_scatter_is_unknown_before_any_job_has_two_runs() -> None:
    jobs = table(training("a"), training("b"))
    assert History(jobs, {"a": [100], "b": [300]}).scatter is None
    assert History(jobs, {"a": [100, 100], "b": [300]}).scatter == 0
    assert History(jobs, {"a": [90, 110]}).scatter == pytest.approx(0.02**0.5)


@pytest.mark.parametrize(
    ("peaks", "expected"), [([], None), ([0], None), ([1000], 1280), ([10_000, 9000], 11_008), ([1024], 1280)]
)
def test_learned_memory_is_the_highest_peak_and_a_tenth_or_256_mib(
    peaks: list[int], expected: int | None
) -> None:
    assert learned_mib(peaks) == expected


def test_without_progress_a_run_ends_after_its_expected_duration_even_if_that_is_past() -> None:
    assert expected_end_unix_s(100, 900, duration_s=500, progress=None) == 600
    assert expected_end_unix_s(100, 900, duration_s=None, progress=None) is None


def test_the_forecast_of_the_run_itself_counts_the_more_the_further_it_is() -> None:
    def end(step: int) -> float | None:
        own = Progress(step, 100, eta_unix_s=2000)
        return expected_end_unix_s(0, 10, duration_s=1000, progress=own)

    assert [end(0), end(25), end(50), end(100)] == [1000, 1500, 2000, 2000]


def test_progress_without_an_eta_is_extrapolated() -> None:
    steps = Progress(25, 100, seconds_per_step=2)
    assert expected_end_unix_s(0, 60, duration_s=None, progress=steps) == 60 + 150
    assert expected_end_unix_s(0, 60, duration_s=None, progress=Progress(25, 100)) == 240


def test_progress_that_says_nothing_is_no_forecast() -> None:
    assert expected_end_unix_s(0, 60, duration_s=500, progress=Progress(0, 0)) == 500
    assert expected_end_unix_s(0, 60, duration_s=None, progress=Progress(0, 100)) is None


def forecast(lengths_s: dict[str, list[float]], *, jobs: dict[str, Job] | None = None) -> Eta | None:
    jobs = jobs or table(*(training(name) for name in ("ke/a", "ke/b")))
    history = History(jobs, lengths_s)
    start = replace(world(jobs, lengths_s={}, rooms=cards(1)), duration=history.duration_s)
    return eta_of(simulate(start), history, now_unix_s=0.0)


def test_nobody_knows_the_end_before_the_first_run_has_ended() -> None:
    assert forecast({}) is None


def test_the_end_has_no_margin_before_any_job_has_shown_its_scatter() -> None:
    eta = forecast({"ke/a": [100]})
    assert eta is not None
    assert eta.end_unix_s == 1000
    assert eta.give_or_take_s is None


def test_the_margin_counts_the_scatter_of_each_run_and_the_error_of_each_median() -> None:
    eta = forecast({"ke/a": [90, 110], "ke/b": [90, 110]})
    assert eta is not None
    assert eta.give_or_take_s == pytest.approx(1.645 * 0.02**0.5 * (10 * 100**2 + 2 * 500**2 / 2) ** 0.5)


def test_a_job_that_had_to_be_guessed_is_named() -> None:
    eta = forecast({"ke/a": [100]}, jobs=table(training("ke/a"), training("ke/b", command="bash b.sh")))
    assert eta is not None
    assert eta.guessed == ("ke/b",)


def test_the_end_of_one_study_is_not_that_of_the_queue() -> None:
    jobs = table(training("ke/a"), training("x/b"))
    history = History(jobs, {"ke/a": [10], "x/b": [1000]})
    timeline = simulate(replace(world(jobs, lengths_s={}, rooms=cards(2)), duration=history.duration_s))
    study = eta_of(timeline, history, now_unix_s=0.0, jobs={"ke/a"})
    assert study is not None
    assert study.end_unix_s < timeline.end_unix_s
    assert eta_of(timeline, history, now_unix_s=0.0, jobs={"gone"}) is None


def error_after_first_set(draw: Callable[[], float], *, devices: int) -> float:
    """Return the relative error of a study's end, told when its first matched set has ended.

    Three conditions, five seeds, synthetic durations of one hour, two hours and three hours, scattered.
    """
    jobs = table(*(training(f"ke/{name}") for name in "abc"))
    lengths = {key: draw() * 3600 * n for n, one in enumerate(jobs.values(), 1) for key in one.runs()}
    real = simulate(replace(world(jobs, lengths_s={}, rooms=cards(devices)), duration=lengths.__getitem__))
    now = max(entry.end_unix_s for entry in real.entries if entry.key.seed == 0)
    ended = [entry for entry in real.entries if entry.end_unix_s <= now]
    live = [entry for entry in real.entries if entry.start_unix_s < now < entry.end_unix_s]
    seen: dict[str, list[float]] = {}
    for entry in ended:
        seen.setdefault(entry.key.job, []).append(entry.end_unix_s - entry.start_unix_s)
    history = History(jobs, seen)
    busy = {entry.devices[0] for entry in live}
    rooms = [taken(room.uuid) if room.uuid in busy else room for room in cards(devices)]
    told = world(jobs, lengths_s={}, rooms=rooms)
    told = replace(
        told,
        now_unix_s=now,
        duration=history.duration_s,
        completed={entry.key for entry in ended},
        running=[Occupant(entry.key, entry.start_unix_s, entry.devices) for entry in live],
    )
    eta = eta_of(simulate(told), history, now_unix_s=now)
    assert eta is not None
    return abs(eta.end_unix_s - real.end_unix_s) / real.end_unix_s


@pytest.mark.parametrize("devices", [1, 2])
def test_after_its_first_matched_set_the_end_of_a_study_is_told_within_fifteen_percent(devices: int) -> None:
    source = chance(11)
    within = [error_after_first_set(lambda: source.uniform(0.8, 1.2), devices=devices) for _ in range(200)]
    assert sum(error <= 0.15 for error in within) >= 190
    wide = [
        error_after_first_set(lambda: max(0.2, source.gauss(1, 0.2)), devices=devices) for _ in range(200)
    ]
    assert median(wide) <= 0.15


def test_nine_real_ends_in_ten_lie_within_the_margin() -> None:
    source = chance(5)
    jobs = table(*(training(f"ke/{name}") for name in "abcdefgh"))
    hits = 0
    for _ in range(200):
        seen = {name: [source.gauss(1000, 200) for _ in range(3)] for name in jobs}
        eta = forecast(seen, jobs=jobs)
        real = sum(max(1.0, source.gauss(1000, 200)) for _ in range(40))
        assert eta is not None
        assert eta.give_or_take_s is not None
        hits += abs(real - eta.end_unix_s) <= eta.give_or_take_s
    assert 0.8 * 200 <= hits <= 0.98 * 200
