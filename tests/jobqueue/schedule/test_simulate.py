"""The queue played forward: order, packing, waiting times, and how well a plan foretells its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkgs.jobqueue.schedule.fanout import resolve, set_ranks
from pkgs.jobqueue.schedule.rooms import Room
from pkgs.jobqueue.schedule.simulate import Entry, Occupant, Timeline, World, simulate
from pkgs.jobqueue.vocabulary import Job, RunKey, Share
from tests.builders.worlds import (
    CARD_MIB,
    cards,
    chance,
    job,
    mixed_jobs,
    shared,
    strangers,
    table,
    taken,
    world,
)


def starts(timeline: Timeline) -> list[str]:
    return [str(entry.key) for entry in timeline.entries]


def by_key(timeline: Timeline) -> dict[RunKey, Entry]:
    return {entry.key: entry for entry in timeline.entries}


def check_no_overbooking(entries: Iterable[Entry], *, slots: int) -> None:
    """Sweep over all starts and ends; ends first, since a device is free the moment its run has ended."""
    moments = [(entry.end_unix_s, 0, entry) for entry in entries] + [
        (entry.start_unix_s, 1, entry) for entry in entries
    ]
    alone: set[str] = set()
    used_mib: dict[str, int] = defaultdict(int)
    runs: dict[str, int] = defaultdict(int)
    used_slots = 0
    for _, starting, entry in sorted(moments, key=lambda moment: moment[:2]):
        sign = 1 if starting else -1
        used_slots += sign * entry.cpu_slots
        assert used_slots <= slots
        for uuid in entry.devices:
            runs[uuid] += sign
            used_mib[uuid] += sign * (entry.reserve_mib or 0)
            if entry.reserve_mib is None:
                (alone.add if starting else alone.remove)(uuid)
            assert uuid not in alone or runs[uuid] == 1
            assert used_mib[uuid] <= CARD_MIB


def test_the_first_fair_comparison_is_ready_after_as_many_runs_as_there_are_conditions() -> None:
    jobs = table(*(job(f"ke/{name}", seeds=(0, 1, 2, 3, 4)) for name in "abc"))
    timeline = simulate(world(jobs, lengths_s=dict.fromkeys(jobs, 60), rooms=cards(1)))
    assert starts(timeline)[:3] == ["ke/a:0", "ke/b:0", "ke/c:0"]
    assert timeline.end_unix_s == 15 * 60


def test_conditions_of_one_row_also_come_set_by_set() -> None:
    jobs = table(job("ke/s", seeds=(7, 8), conditions=("x", "y", "z")))
    timeline = simulate(world(jobs, lengths_s={"ke/s": 60}, rooms=cards(1)))
    assert {entry.key.seed for entry in timeline.entries[:3]} == {7}


def test_sixteen_runs_of_6g_on_two_cards_of_24g_take_two_rounds() -> None:
    jobs = table(job("a", seeds=tuple(range(16)), gpu_mem=Share(6 * 1024)))
    timeline = simulate(world(jobs, lengths_s={"a": 100}, rooms=cards(2)))
    assert timeline.end_unix_s <= 1.05 * 200


def test_a_child_starts_when_its_own_parent_has_ended() -> None:
    jobs = table(
        job("t", seeds=(0, 1)), job("s", seeds=(0, 1), after="t"), job("report", gpus=0, after="s:all")
    )
    timeline = simulate(world(jobs, lengths_s={"t": 100, "s": 50, "report": 1}, rooms=cards(1)))
    assert starts(timeline) == ["t:0", "s:0", "t:1", "s:1", "report"]
    assert timeline.job_ends_unix_s == {"t": 250, "s": 300, "report": 301}


def test_what_runs_now_keeps_its_devices_until_its_end() -> None:
    start = world(
        table(job("a"), job("b")),
        lengths_s={"a": 100, "b": 10},
        rooms=[taken("G0"), shared("G1", free_mib=9)],
    )
    alone = Occupant(RunKey("a"), -30.0, ("G0",))
    guest = Occupant(RunKey("gone"), -5.0, ("G1",), reserve_mib=CARD_MIB - 9, expected_end_unix_s=20.0)
    timeline = simulate(replace(start, running=[alone, guest]))
    assert by_key(timeline)[RunKey("b")] == Entry(RunKey("b"), 20, 30, ("G1",), None, 0)
    assert timeline.end_unix_s == 70


def test_an_overdue_run_ends_at_once_as_far_as_anyone_can_tell() -> None:
    start = world(table(job("a"), job("b")), lengths_s={"a": 100, "b": 10}, rooms=[taken("G0")])
    timeline = simulate(replace(start, running=[Occupant(RunKey("a"), -500.0, ("G0",))]))
    assert timeline.end_unix_s == 10


def test_cards_of_strangers_are_never_used() -> None:
    timeline = simulate(
        world(table(job("a", seeds=(0, 1))), lengths_s={"a": 10}, rooms=[strangers("G0"), *cards(2)[1:]])
    )
    assert {entry.devices for entry in timeline.entries} == {("G1",)}


def test_a_device_that_a_run_has_just_left_counts_as_free() -> None:
    settling = Room("G0", CARD_MIB, 0, alone_ok=False, share_ok=False)
    timeline = simulate(
        world(table(job("a"), job("b")), lengths_s={"a": 10, "b": 10}, rooms=[settling, taken("G1")])
    )
    assert timeline.end_unix_s == 10


def test_a_pause_before_a_retry_is_kept() -> None:
    start = world(table(job("a")), lengths_s={"a": 10}, rooms=cards(1))
    timeline = simulate(replace(start, not_before_unix_s={RunKey("a"): 120.0}))
    assert timeline.entries[0].start_unix_s == 120


def test_what_waits_for_a_failed_run_is_named_as_never_starting() -> None:
    jobs = table(job("t", seeds=(0, 1)), job("s", seeds=(0, 1), after="t"))
    start = world(jobs, lengths_s={"t": 10, "s": 10}, rooms=cards(2))
    timeline = simulate(replace(start, left_out={RunKey("t", None, 0)}))
    assert timeline.never == (RunKey("s", None, 0),)
    assert timeline.job_ends_unix_s == {"t": 10}


def test_completed_runs_and_jobs_left_out_take_no_time() -> None:
    start = world(table(job("a", seeds=(0, 1)), job("b")), lengths_s={"a": 10, "b": 10}, rooms=cards(1))
    timeline = simulate(replace(start, completed={RunKey("a", None, 0)}, left_out={"b"}))
    assert starts(timeline) == ["a:1"]


def test_an_unknown_duration_is_the_median_of_the_others_and_is_named() -> None:
    timeline = simulate(
        world(table(job("a"), job("b"), job("new")), lengths_s={"a": 10, "b": 30}, rooms=cards(3))
    )
    assert timeline.guessed == {"new"}
    assert timeline.assumed_s == 20
    assert by_key(timeline)[RunKey("new")].end_unix_s == 20


def test_without_any_known_duration_only_the_order_is_told() -> None:
    timeline = simulate(world(table(job("a"), job("b")), lengths_s={}, rooms=cards(1)))
    assert timeline.assumed_s is None
    assert starts(timeline) == ["a", "b"]


def test_cpu_runs_share_the_slots() -> None:
    start = world(table(job("a", seeds=(0, 1, 2, 3, 4), gpus=0)), lengths_s={"a": 10}, cpu_slots=2)
    assert simulate(start).end_unix_s == 30


def test_without_gpus_the_slots_stand_in() -> None:
    start = replace(
        world(table(job("a", seeds=(0, 1), gpus=4)), lengths_s={"a": 10}, cpu_slots=2), gpus_exist=False
    )
    assert simulate(start).end_unix_s == 10


def stream(*, first: bool) -> tuple[dict[str, Job], dict[RunKey, float]]:
    """Return a run on two cards at 5 s, and small ones every 10 s for five hours, in rows before or after."""
    small = [job(f"small{n}") for n in range(1800)]
    large = job("large", gpus=2)
    jobs = table(*small, large) if first else table(large, *small)
    arrivals = {RunKey(one.id): 10.0 * n for n, one in enumerate(small)}
    return jobs, {**arrivals, RunKey("large"): 5.0}


@pytest.mark.parametrize("believed_s", [30.0, 3.0, None])
def test_an_endless_stream_of_small_runs_delays_a_large_one_by_a_bound(believed_s: float | None) -> None:
    jobs, arrivals = stream(first=False)
    start = world(jobs, lengths_s={**dict.fromkeys(jobs, 30), "large": 60}, rooms=cards(2))
    timeline = simulate(replace(start, not_before_unix_s=arrivals, expected=lambda _: believed_s))
    assert 600 < by_key(timeline)[RunKey("large")].start_unix_s <= 5 + 600 + 3 * 30


def test_a_stream_of_better_order_delays_a_large_one_by_hours_but_not_for_ever() -> None:
    jobs, arrivals = stream(first=True)
    start = world(jobs, lengths_s={**dict.fromkeys(jobs, 30), "large": 60}, rooms=cards(2))
    listed = {key.job: arrival for key, arrival in arrivals.items()}
    timeline = simulate(replace(start, not_before_unix_s=arrivals, listed_unix_s=listed))
    assert 7000 < by_key(timeline)[RunKey("large")].start_unix_s <= 7200 + 5 + 3 * 30


def test_small_runs_go_on_beside_an_aged_large_one_where_they_end_in_time() -> None:
    jobs = table(job("first"), job("large", gpus=2), *(job(f"s{n}") for n in range(40)))
    lengths = {"first": 2000, "large": 100, **{f"s{n}": 100 for n in range(40)}}
    timeline = simulate(world(jobs, lengths_s=lengths, rooms=cards(2)))
    assert by_key(timeline)[RunKey("large")].start_unix_s == 2000
    assert sum(entry.end_unix_s <= 2000 for entry in timeline.entries) == 21


@pytest.fixture(scope="module")
def mixed() -> tuple[World, dict[str, float]]:
    """`sim:8x24G` with 2,000 runs of mixed sizes."""
    source = chance(7)
    jobs = mixed_jobs(2000, source=source)
    lengths = {name: source.uniform(600, 14_400) for name in jobs}
    return world(jobs, lengths_s=lengths, rooms=cards(8), cpu_slots=16), lengths


@pytest.fixture(scope="module")
def played(mixed: tuple[World, dict[str, float]]) -> Timeline:
    return simulate(mixed[0])


def test_two_thousand_mixed_runs_are_never_overbooked(played: Timeline) -> None:
    assert len(played.entries) == 2000
    assert not played.never
    check_no_overbooking(played.entries, slots=16)


def test_two_thousand_mixed_runs_starve_nobody(
    mixed: tuple[World, dict[str, float]], played: Timeline
) -> None:
    start, lengths = mixed
    order = set_ranks(start.fanout.jobs)
    found = by_key(played)
    ahead = worst = 0.0
    for key in sorted(found, key=order.of):
        entry = found[key]
        ready_s = max((found[parent].end_unix_s for parent in start.fanout.parents(key)), default=0.0)
        if start.fanout.jobs[key.job].gpus:
            worst = max(worst, entry.start_unix_s - max(ready_s, ahead))
            ahead = max(ahead, entry.start_unix_s)
    assert worst <= 600 + 2 * max(lengths.values())


def test_two_thousand_mixed_runs_show_the_order_of_matched_sets(
    mixed: tuple[World, dict[str, float]], played: Timeline
) -> None:
    order = set_ranks(mixed[0].fanout.jobs)
    by_rank = defaultdict(list)
    for entry in played.entries:
        if entry.devices:
            by_rank[order.rank(entry.key)].append(entry.start_unix_s)
    middles = [median(by_rank[rank]) for rank in range(5)]
    assert middles == sorted(middles)
    assert middles[4] > 3 * middles[0]


@pytest.mark.parametrize("number", range(5))
def test_the_planned_end_is_within_a_tenth_of_a_scattered_one(
    mixed: tuple[World, dict[str, float]], played: Timeline, number: int
) -> None:
    start, lengths = mixed
    source = chance(number)
    noise = {key: max(0.3, source.gauss(1, 0.2)) for one in start.fanout.jobs.values() for key in one.runs()}
    real = replace(start, duration=lambda key: lengths[key.job] * noise[key], expected=start.duration)
    end = simulate(real).end_unix_s
    assert abs(played.end_unix_s - end) <= 0.1 * end


def test_two_thousand_mixed_runs_use_most_of_the_machine(played: Timeline) -> None:
    busy_s = sum(
        (entry.end_unix_s - entry.start_unix_s)
        * len(entry.devices)
        * min(1, (entry.reserve_mib or CARD_MIB) / CARD_MIB)
        for entry in played.entries
    )
    assert busy_s > 0.7 * 8 * played.end_unix_s


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_no_random_world_is_overbooked_or_forgets_a_run(seed: int) -> None:
    source = chance(seed)
    jobs = mixed_jobs(40, seeds=2, source=source)
    lengths = {name: source.uniform(1, 3000) for name in jobs}
    start = world(jobs, lengths_s=lengths, rooms=cards(8), cpu_slots=2)
    timeline = simulate(replace(start, expected=lambda key: source.choice([None, lengths[key.job], 1.0])))
    assert not timeline.never
    assert len(timeline.entries) == 40
    check_no_overbooking(timeline.entries, slots=2)
    found = by_key(timeline)
    for key, entry in found.items():
        assert all(found[parent].end_unix_s <= entry.start_unix_s for parent in start.fanout.parents(key))


def test_ten_thousand_mixed_runs_are_simulated() -> None:
    source = chance(3)
    jobs = mixed_jobs(10_000, source=source)
    lengths = {name: source.uniform(600, 14_400) for name in jobs}
    timeline = simulate(world(jobs, lengths_s=lengths, rooms=cards(8), cpu_slots=16))
    assert len(timeline.entries) == 10_000


def test_the_same_world_gives_the_same_timeline() -> None:
    jobs = mixed_jobs(100, source=chance(5))
    start = world(jobs, lengths_s={name: 10.0 * n for n, name in enumerate(jobs, 1)}, rooms=cards(8))
    assert simulate(start) == simulate(replace(start, fanout=resolve(dict(jobs))))
