"""The schedule: who starts, where, and who waits for whom to end."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkgs.jobqueue.schedule.plan import Candidate, Plan, Room, Snapshot, Waiting, infeasible, plan
from pkgs.jobqueue.schedule.rooms import allowed, occupied
from pkgs.jobqueue.vocabulary import RunKey, Share
from tests.builders.worlds import cards, chance, job, shared, snapshots, strangers, taken

LONG_AGO = -700.0
"""Older than `aging_s`, at time 0."""


def run(name: str, row: int = 0, **fields: object) -> Candidate:
    order = fields.pop("order", (0, 0, row, 0))
    return Candidate(RunKey(name), order, **fields)  # type: ignore[arg-type]


def turn(candidates: list[Candidate], rooms: list[Room], slots: int = 0, **fields: object) -> Plan:
    return plan(Snapshot(0.0, candidates, rooms, slots, 4, **fields))  # type: ignore[arg-type]


def placed(decided: Plan) -> dict[str, tuple[str, ...]]:
    return {start.key.job: start.devices for start in decided.starts}


def test_eight_cards_are_filled_in_one_turn() -> None:
    decided = turn([run(f"j{n}", n) for n in range(20)], cards(8))
    assert placed(decided) == {f"j{n}": (f"G{n}",) for n in range(8)}


def test_runs_start_in_order_and_not_as_given() -> None:
    urgent, early, late = (
        run("u", order=(-5, 1, 9, 0)),
        run("e", order=(0, 0, 1, 0)),
        run("l", order=(0, 0, 2, 0)),
    )
    assert [start.key.job for start in turn([late, early, urgent], cards(2)).starts] == ["u", "e"]


def test_a_run_alone_never_joins_a_device_with_a_run_of_ours() -> None:
    assert not turn([run("a")], [shared("G0", free_mib=20_000)]).starts


def test_a_run_that_shares_never_joins_a_run_alone() -> None:
    assert not turn([run("a", memory_mib=100)], [taken("G0")]).starts


def test_sharing_runs_fill_the_tightest_device_first() -> None:
    rooms = [shared("G0", free_mib=20_000), shared("G1", free_mib=9000), shared("G2", free_mib=5000)]
    assert placed(turn([run("a", memory_mib=6000)], rooms)) == {"a": ("G1",)}


def test_sharing_runs_prefer_a_shared_device_to_a_free_one() -> None:
    rooms = [*cards(1, total_mib=8000), shared("G9", free_mib=20_000)]
    assert placed(turn([run("a", memory_mib=6000)], rooms)) == {"a": ("G9",)}


def test_what_starts_in_this_turn_takes_its_memory_from_the_next() -> None:
    decided = turn([run(f"j{n}", n, memory_mib=6144) for n in range(9)], cards(2))
    assert [start.devices for start in decided.starts] == [("G0",)] * 4 + [("G1",)] * 4
    assert all(start.reserve_mib == 6144 for start in decided.starts)


def test_a_small_run_may_pass_a_large_one_at_the_head() -> None:
    decided = turn([run("large", 0, gpus=2), run("small", 1)], [*cards(1), taken("G9")])
    assert placed(decided) == {"small": ("G0",)}
    assert decided.collecting is None


def test_a_large_run_that_waited_long_collects_devices_as_they_fall_free() -> None:
    decided = turn(
        [run("large", 0, gpus=2, ready_unix_s=LONG_AGO), run("small", 1)], [*cards(1), taken("G9", until=50)]
    )
    assert not decided.starts
    assert decided.collecting is not None
    assert decided.collecting.devices == ("G0", "G9")
    assert decided.collecting.expected_start_unix_s == 50


def test_a_collected_device_may_be_used_by_what_ends_in_time() -> None:
    rooms = [*cards(1), taken("G9", until=50)]
    large = run("large", 0, gpus=2, ready_unix_s=LONG_AGO)
    too_long, unknown, short = (
        run("long", 1, expected_s=51),
        run("unknown", 2),
        run("short", 3, expected_s=50),
    )
    assert placed(turn([large, too_long, unknown, short], rooms)) == {"short": ("G0",)}


def test_nobody_uses_a_collected_device_while_its_start_is_unknown_or_overdue() -> None:
    large, short = run("large", 0, gpus=2, ready_unix_s=LONG_AGO), run("short", 1, expected_s=1)
    assert not turn([large, short], [*cards(1), taken("G9")]).starts
    assert not turn([large, short], [*cards(1), taken("G9", until=-100)]).starts


def test_devices_that_nobody_collects_are_still_given_out() -> None:
    large = run("large", 0, gpus=3, ready_unix_s=LONG_AGO)
    rooms = [taken("G0", until=10), taken("G1", until=20), shared("G2", free_mib=900, until=30)]
    decided = turn([large, run("small", 1, memory_mib=500)], [*rooms, shared("G3", free_mib=600, until=40)])
    assert placed(decided) == {"small": ("G3",)}


def test_nothing_is_collected_for_devices_in_strangers_hands() -> None:
    decided = turn(
        [run("large", 0, gpus=2, ready_unix_s=LONG_AGO), run("s", 1)], [*cards(1), strangers("G9")]
    )
    assert decided.collecting is None
    assert placed(decided) == {"s": ("G0",)}


def test_a_device_that_settles_stays_collected() -> None:
    settling = Room("G9", 24_576, 0, alone_ok=False, share_ok=False)
    decided = turn([run("large", 0, gpus=2, ready_unix_s=LONG_AGO), run("s", 1)], [*cards(1), settling])
    assert not decided.starts
    assert decided.collecting is not None
    assert decided.collecting.expected_start_unix_s == 0


def test_only_one_run_collects_at_a_time() -> None:
    first = run("a", 0, gpus=2, ready_unix_s=LONG_AGO)
    second = run("b", 1, gpus=2, ready_unix_s=LONG_AGO)
    decided = turn([first, second], [taken(f"G{n}", until=n) for n in range(4)])
    assert decided.collecting is not None
    assert decided.collecting.key == RunKey("a")


def test_a_large_memory_need_ages_like_many_devices() -> None:
    large = run("large", 0, memory_mib=20_000, ready_unix_s=LONG_AGO)
    decided = turn(
        [large, run("small", 1, memory_mib=6000, expected_s=100)], [shared("G0", free_mib=9000, until=60)]
    )
    assert not decided.starts
    assert decided.collecting is not None


def test_rows_added_later_pass_with_a_better_order_only_until_the_large_run_has_waited_for_hours() -> None:
    young = [run(f"s{n}", order=(0, 0, n, 0), ready_unix_s=-5, listed_unix_s=5.0) for n in range(3)]
    large = run("large", order=(0, 1, 9, 0), gpus=2, ready_unix_s=-7000)
    assert len(turn([*young, large], [*cards(1), taken("G9")]).starts) == 1
    assert not turn([*young, replace(large, ready_unix_s=-7300)], [*cards(1), taken("G9")]).starts


def test_no_age_overtakes_the_order_within_a_table_that_nobody_adds_to() -> None:
    small = run("small", order=(0, 0, 0, 0), ready_unix_s=-5)
    large = run("large", order=(0, 1, 9, 0), gpus=2, ready_unix_s=-1_000_000)
    assert placed(turn([small, large], [*cards(1), taken("G9")])) == {"small": ("G0",)}


def test_no_age_overtakes_a_higher_priority() -> None:
    urgent = run("urgent", order=(-1, 0, 0, 0), listed_unix_s=5.0)
    young = run("young", order=(0, 0, 1, 0), listed_unix_s=5.0)
    large = run("large", order=(0, 1, 9, 0), gpus=2, ready_unix_s=-9000)
    assert placed(turn([urgent, young, large], [*cards(1), taken("G9")])) == {"urgent": ("G0",)}


def test_several_devices_are_of_one_kind_if_possible() -> None:
    rooms = [*cards(1), replace(cards(1, total_mib=80_000)[0], uuid="big"), replace(cards(1)[0], uuid="same")]
    assert placed(turn([run("a", gpus=2)], rooms)) == {"a": ("G0", "same")}


def test_several_devices_of_different_kinds_are_better_than_none() -> None:
    rooms = [*cards(1), replace(cards(1, total_mib=80_000)[0], uuid="big")]
    assert placed(turn([run("a", gpus=2)], rooms)) == {"a": ("G0", "big")}


def test_a_run_on_several_devices_that_shares_prefers_free_ones() -> None:
    rooms = [shared("G8", free_mib=9000), shared("G9", free_mib=9000), *cards(2)]
    assert placed(turn([run("a", gpus=2, memory_mib=8000)], rooms)) == {"a": ("G0", "G1")}


def test_a_cpu_run_takes_one_slot_and_no_device() -> None:
    decided = turn([run(f"j{n}", n, gpus=0) for n in range(3)], cards(2), slots=2)
    assert [(start.devices, start.cpu_slots) for start in decided.starts] == [((), 1), ((), 1)]


def test_cpu_runs_start_beside_full_gpus_and_gpu_runs_beside_full_slots() -> None:
    both = [run("gpu", 0), run("cpu", 1, gpus=0)]
    assert placed(turn(both, [taken("G0")], slots=1)) == {"cpu": ()}
    assert placed(turn(both, cards(1), slots=0)) == {"gpu": ("G0",)}


def test_without_any_gpu_a_slot_stands_in_for_it() -> None:
    decided = turn([run("a", gpus=2), run("b", 1)], [], slots=2, gpus_exist=False)
    assert placed(decided) == {"a": (), "b": ()}


def test_nothing_starts_while_the_queue_is_paused() -> None:
    assert turn([run("a"), run("b", 1, gpus=0)], cards(1), slots=1, paused="disk full") == Plan()


def test_a_run_avoids_the_card_where_it_failed() -> None:
    assert placed(turn([run("a", avoid=frozenset({"G0"}))], cards(2))) == {"a": ("G1",)}


def test_a_run_waits_for_another_card_rather_than_using_the_one_to_avoid() -> None:
    assert not turn([run("a", avoid=frozenset({"G0"}))], [*cards(1), taken("G1")]).starts


def test_a_card_to_avoid_is_used_if_there_is_no_other() -> None:
    assert placed(turn([run("a", avoid=frozenset({"G0"}))], [*cards(1), strangers("G1")])) == {"a": ("G0",)}


def test_a_run_that_ran_out_of_memory_goes_to_a_larger_card() -> None:
    rooms = [*cards(1, total_mib=16_000), replace(cards(1)[0], uuid="big")]
    assert placed(turn([run("a", least_mib=20_000)], rooms)) == {"a": ("big",)}


def test_a_card_on_probation_gets_one_run() -> None:
    rooms = [replace(cards(1)[0], probation=True)]
    assert len(turn([run(f"j{n}", n, memory_mib=100) for n in range(5)], rooms).starts) == 1


def remaining(snapshot: Snapshot, decided: Plan) -> dict[str, Room]:
    rooms = {room.uuid: room for room in snapshot.rooms}
    for start in decided.starts:
        for uuid in start.devices:
            rooms[uuid] = occupied(rooms[uuid], start.reserve_mib, until_unix_s=None)
    return rooms


@given(snapshots())
@settings(max_examples=400)
def test_no_device_is_given_twice_and_no_memory_beyond_what_is_free(snapshot: Snapshot) -> None:
    decided = plan(snapshot)
    rooms = {room.uuid: room for room in snapshot.rooms}
    wanted = {candidate.key: candidate for candidate in snapshot.candidates}
    assert len({start.key for start in decided.starts}) == len(decided.starts)
    assert sum(start.cpu_slots for start in decided.starts) <= snapshot.cpu_slots_free
    alone: set[str] = set()
    reserved: dict[str, int] = {}
    for start in decided.starts:
        candidate = wanted[start.key]
        on_slot = not candidate.gpus or not snapshot.gpus_exist
        assert start.cpu_slots == on_slot
        assert len(set(start.devices)) == len(start.devices) == (0 if on_slot else candidate.gpus)
        for uuid in start.devices:
            assert uuid not in alone
            assert rooms[uuid].total_mib >= candidate.least_mib
            if start.reserve_mib is None:
                assert rooms[uuid].alone_ok
                assert uuid not in reserved
                alone.add(uuid)
            else:
                assert rooms[uuid].share_ok
                reserved[uuid] = reserved.get(uuid, 0) + start.reserve_mib
    assert all(mib <= rooms[uuid].free_mib for uuid, mib in reserved.items())


@given(snapshots())
@settings(max_examples=400)
def test_no_runnable_run_idles_beside_a_free_device_unless_it_is_collected(snapshot: Snapshot) -> None:
    decided = plan(snapshot)
    if snapshot.paused:
        assert not decided.starts
        return
    started = {start.key for start in decided.starts}
    left = remaining(snapshot, decided)
    slots = snapshot.cpu_slots_free - sum(start.cpu_slots for start in decided.starts)
    kept = decided.collecting
    for candidate in snapshot.candidates:
        if candidate.key in started:
            continue
        if not candidate.gpus or not snapshot.gpus_exist:
            assert slots == 0
            continue
        ends_in_time = kept is None or (
            kept.expected_start_unix_s is not None
            and candidate.expected_s is not None
            and candidate.expected_s <= kept.expected_start_unix_s
        )
        closed = () if kept is None or ends_in_time or kept.key == candidate.key else kept.devices
        open_rooms = [room for room in allowed(candidate, left) if room.uuid not in closed]
        assert sum(room.fits(candidate) for room in open_rooms) < candidate.gpus


@given(snapshots(), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_the_same_snapshot_gets_the_same_plan(snapshot: Snapshot, source: random.Random) -> None:
    shuffled = source.sample(list(snapshot.candidates), len(snapshot.candidates))
    decided = plan(snapshot)
    assert plan(snapshot) == decided
    assert plan(replace(snapshot, candidates=shuffled)) == decided
    assert plan(replace(snapshot, candidates=Waiting(shuffled))) == decided


@given(snapshots())
@settings(max_examples=200)
def test_a_run_collects_only_when_it_is_old_and_only_devices_that_can_do(snapshot: Snapshot) -> None:
    kept = plan(snapshot).collecting
    if kept is None:
        return
    (candidate,) = [one for one in snapshot.candidates if one.key == kept.key]
    rooms = {room.uuid: room for room in snapshot.rooms}
    assert candidate.ready_unix_s < -snapshot.limits.aging_s
    assert len(set(kept.devices)) == candidate.gpus
    assert all(rooms[uuid].returns or rooms[uuid].fits(candidate) for uuid in kept.devices)


@pytest.mark.parametrize("fill", ["full", "nearly full"])
def test_ten_thousand_waiting_runs_beside_full_devices_start_nothing(fill: str) -> None:
    source = chance(1)
    waiting = Waiting(
        run(f"j{n}", n, gpus=source.choice([1, 2, 4]), memory_mib=source.choice([None, 6144, 20_480]))
        for n in range(10_000)
    )
    rooms = [taken(f"G{n}") if fill == "full" else shared(f"G{n}", free_mib=500) for n in range(8)]
    assert not plan(Snapshot(0.0, waiting, rooms, 4, 4)).starts


def test_more_gpus_than_there_are_is_refused_with_the_cure() -> None:
    problem = infeasible(job("a", gpus=9), cards(8), gpus_exist=True)
    assert str(problem) == "column 'gpus': '9' is not possible here: 8 GPUs are all there is. Ask for fewer."


def test_more_memory_than_the_largest_card_has_is_refused_with_the_cure() -> None:
    rooms = [strangers("G0"), *cards(1, total_mib=16 * 1024)]
    large = job("a", gpu_mem=Share(25 * 1024))
    problem = infeasible(large, [replace(rooms[0], total_mib=16 * 1024), rooms[1]], gpus_exist=True)
    assert "'25G' is not possible here: the largest GPU has 16G. Ask for less" in str(problem)


def test_a_quarantined_card_counts_as_one_that_may_come_back() -> None:
    assert infeasible(job("a", gpu_mem=Share(20_000)), [strangers("G0")], gpus_exist=True) is None


def test_two_large_cards_are_needed_where_two_are_asked_for() -> None:
    rooms = [*cards(1), *cards(3, total_mib=16 * 1024)]
    problem = infeasible(job("a", gpus=2, gpu_mem=Share(20_000)), rooms, gpus_exist=True)
    assert "1 of 4 GPUs has so much, not 2" in str(problem)


def test_without_gpus_or_knowledge_of_them_nothing_is_infeasible() -> None:
    large = job("a", gpus=9)
    assert infeasible(large, [], gpus_exist=False) is None
    assert infeasible(large, [], gpus_exist=True) is None
    assert infeasible(job("b", gpus=0), cards(1), gpus_exist=True) is None
    assert infeasible(job("c", gpu_mem=Share(99_999)), cards(1, total_mib=0), gpus_exist=True) is None
