"""DeviceWatch with a pretended clock: no card, no process, no sleep."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from pkgs.jobqueue.devices.inventory import DeviceProcess, DeviceReading, Inventory
from pkgs.jobqueue.devices.settling import Patience
from pkgs.jobqueue.devices.usage import OurRun
from pkgs.jobqueue.devices.watch import DeviceRoom, DeviceState, DeviceWatch

IDLE = DeviceReading("GPU-a", "0", "Pretended", total_mib=24_576, used_mib=10, util_percent=0)
RESERVED = replace(IDLE, reserved_mib=576)
STRANGER = DeviceProcess(4711, 5000, "python of anna")
ALONE = OurRun("ke/teacher:0", frozenset({100, 101}))
SMALL = OurRun("ke/student:0", frozenset({200}), reserved_mib=6144)
OTHER = OurRun("ke/student:1", frozenset({300}), reserved_mib=6144)


class Desk:
    """A watch on one card with its clock."""

    def __init__(self, watch: DeviceWatch | None = None) -> None:
        self.watch = watch or DeviceWatch()
        self.now_s = 0.0

    def see(
        self,
        reading: DeviceReading,
        *runs: OurRun,
        after_s: float = 2.0,
        held: Mapping[str, str] | None = None,
        problem: str | None = None,
    ) -> DeviceRoom:
        self.now_s += after_s
        inventory = Inventory((reading,), problem=problem, kind="nvml", taken_s=self.now_s)
        our: dict[str, Sequence[OurRun]] = {reading.uuid: runs}
        return self.watch.look(self.now_s, inventory, our=our, held=held)[0]

    def see_until_free(self, reading: DeviceReading, *, after_s: float = 2.0, most: int = 20) -> int:
        """Return how many looks it takes."""
        for looks in range(1, most + 1):
            if self.see(reading, after_s=after_s).alone_ok:
                return looks
        return most + 1


@pytest.fixture
def desk() -> Desk:
    return Desk()


def usable(room: DeviceRoom) -> bool:
    return room.alone_ok or room.free_mib > 0


def test_eight_clean_cards_are_free_at_the_first_look() -> None:
    cards = tuple(replace(RESERVED, uuid=f"GPU-{n}", index=str(n)) for n in range(8))

    rooms = DeviceWatch().look(0.0, Inventory(cards, kind="nvml", taken_s=0.0), our={})

    assert [room.state for room in rooms] == [DeviceState.FREE] * 8
    assert {room.free_mib for room in rooms} == {24_576 - 576 - 10}
    assert rooms[3].why == "GPU 3 is free, 23.4 GiB."


def test_pretended_cards_need_no_settling() -> None:
    watch = DeviceWatch()
    cards = Inventory((IDLE,), kind="simulated")
    taken = watch.look(0.0, cards, our={IDLE.uuid: [ALONE]})[0]
    rested = watch.look(0.01, cards, our={})[0]

    assert (taken.state, usable(taken), rested.state) == (DeviceState.OURS, False, DeviceState.FREE)


def test_a_foreign_process_keeps_the_card_and_is_named(desk: Desk) -> None:
    desk.see(IDLE)
    room = desk.see(replace(IDLE, used_mib=5010, processes=(STRANGER,)))

    assert (room.state, usable(room)) == (DeviceState.FOREIGN, False)
    assert "process 4711 (python of anna), 4.9 GiB" in room.why


def test_after_a_foreign_process_three_clean_looks_two_seconds_apart_are_needed(desk: Desk) -> None:
    busy = replace(IDLE, processes=(STRANGER,))
    desk.see(busy)
    assert desk.see_until_free(IDLE) == 3
    desk.see(busy)
    assert desk.see_until_free(IDLE, after_s=0.5) == 9  # at 0.5 s, 2.5 s and 4.5 s
    desk.see(busy)
    desk.see(IDLE)
    desk.see(IDLE)
    desk.see(busy)
    assert desk.see_until_free(IDLE) == 3


def test_the_same_inventory_seen_often_counts_once(desk: Desk) -> None:
    desk.see(replace(IDLE, processes=(STRANGER,)))
    inventory = Inventory((IDLE,), kind="nvml", taken_s=10.0)

    rooms = [desk.watch.look(10.0 + n, inventory, our={})[0] for n in range(30)]

    assert {room.state for room in rooms} == {DeviceState.SETTLING}
    assert "GPU 0 has just become free" in rooms[0].why


def test_memory_without_any_visible_process_is_held_by_nobody_visible(desk: Desk) -> None:
    room = desk.see(replace(IDLE, used_mib=11_469))

    assert (room.state, usable(room)) == (DeviceState.FOREIGN, False)
    assert "held by nobody visible, 11.2 GiB" in room.why
    assert "fuser" in room.why
    assert desk.see_until_free(IDLE) == 3


@pytest.mark.parametrize("processes", [(), (DeviceProcess(4711, None, "python of anna"),)])
@pytest.mark.parametrize("util", [0, None])
def test_no_utilisation_never_makes_a_card_free(
    desk: Desk, processes: tuple[DeviceProcess, ...], util: int | None
) -> None:
    at_rest = replace(IDLE, used_mib=3000, util_percent=util, processes=processes)

    assert [usable(desk.see(at_rest)) for _ in range(50)] == [False] * 50


def test_full_utilisation_without_anybody_makes_a_card_busy(desk: Desk) -> None:
    room = desk.see(replace(IDLE, util_percent=100))

    assert (room.state, usable(room)) == (DeviceState.FOREIGN, False)
    assert "100 % busy though no process is visible" in room.why


def test_missing_utilisation_is_normal(desk: Desk) -> None:
    assert desk.see(replace(IDLE, util_percent=None)).alone_ok


@pytest.mark.parametrize(
    "reading",
    [replace(IDLE, used_mib=None), replace(IDLE, total_mib=None), replace(IDLE, processes=None)],
    ids=["used", "total", "processes"],
)
def test_unknown_counts_as_busy(desk: Desk, reading: DeviceReading) -> None:
    rooms = [desk.see(reading) for _ in range(5)]

    assert {(room.state, usable(room)) for room in rooms} == {(DeviceState.UNKNOWN, False)}
    assert "counts as busy" in rooms[0].why


def test_our_own_run_is_not_foreign_and_has_the_card_to_itself(desk: Desk) -> None:
    desk.see(IDLE)
    run = replace(ALONE, until="until about 03:40")
    room = desk.see(replace(IDLE, used_mib=9010, processes=(DeviceProcess(101, 9000),), util_percent=97), run)

    assert (room.state, usable(room)) == (DeviceState.OURS, False)
    assert room.why == "GPU 0 belongs to ke/teacher:0 until about 03:40 alone."


def test_a_stranger_beside_our_run_is_told_apart_and_our_run_goes_on(desk: Desk) -> None:
    both = replace(IDLE, used_mib=14_010, processes=(STRANGER, DeviceProcess(200, 9000)))
    room = desk.see(both, SMALL)

    assert (room.state, usable(room)) == (DeviceState.FOREIGN, False)
    assert "process 4711 (python of anna), 4.9 GiB." in room.why
    assert "ke/student:0 is there and goes on" in room.why


def test_a_run_of_ours_on_a_card_it_does_not_hold_is_named() -> None:
    cards = (IDLE, replace(IDLE, uuid="GPU-b", index="1", processes=(DeviceProcess(200, 800),), used_mib=810))
    rooms = DeviceWatch().look(0.0, Inventory(cards, kind="nvml"), our={"GPU-a": [SMALL]})

    assert rooms[1].state is DeviceState.FOREIGN
    assert "process 200 of ke/student:0, which does not hold this card" in rooms[1].why


def test_a_reservation_counts_until_the_memory_shows_and_then_the_larger_of_both(desk: Desk) -> None:
    desk.see(IDLE)
    placed = desk.see(IDLE, SMALL)
    starting = desk.see(replace(IDLE, used_mib=1000, processes=(DeviceProcess(200, 990),)), SMALL)
    grown = desk.see(replace(IDLE, used_mib=8010, processes=(DeviceProcess(200, 8000),)), SMALL)

    assert [room.state for room in (placed, starting, grown)] == [DeviceState.SHARED] * 3
    assert placed.free_mib in range(24_576 - 6144 - 10, 24_576 - 6144 + 1)
    assert starting.free_mib == 24_576 - 6144 - 10
    assert grown.free_mib == 24_576 - 8000 - 10
    assert not placed.alone_ok


def test_runs_that_allocate_late_keep_their_reservations(desk: Desk) -> None:
    three = (SMALL, OTHER, replace(OTHER, name="ke/student:2", pids=frozenset({400})))
    one_shown = replace(IDLE, used_mib=6154, processes=(DeviceProcess(200, 6144),))

    room = desk.see(one_shown, *three)

    assert room.free_mib == 24_576 - 3 * 6144 - 10
    assert "ke/student:0, ke/student:1 and ke/student:2" in room.why


def test_a_full_shared_card_takes_nobody(desk: Desk) -> None:
    half = tuple(replace(SMALL, name=f"ke/s:{n}", reserved_mib=12_288) for n in range(2))

    room = desk.see(IDLE, *half)

    assert (room.state, room.free_mib) == (DeviceState.OURS, 0)
    assert "GPU 0 is full" in room.why


def test_in_a_container_whose_lists_stay_empty_memory_beside_our_runs_is_theirs(desk: Desk) -> None:
    room = desk.see(replace(IDLE, used_mib=11_000), SMALL, OTHER)

    assert (room.state, room.free_mib) == (DeviceState.SHARED, 24_576 - 2 * 6144)


def test_once_lists_have_shown_our_processes_unshown_memory_is_not_theirs(desk: Desk) -> None:
    desk.see(replace(IDLE, used_mib=6154, processes=(DeviceProcess(200, 6144),)), SMALL)
    room = desk.see(replace(IDLE, used_mib=9154, processes=(DeviceProcess(200, 6144),)), SMALL)

    assert (room.state, usable(room)) == (DeviceState.FOREIGN, False)
    assert "held by nobody visible, 2.9 GiB" in room.why


def test_after_a_run_of_ours_the_card_is_free_after_three_quick_clean_looks(desk: Desk) -> None:
    desk.see(IDLE, ALONE)
    assert desk.see(IDLE, after_s=0.5).state is DeviceState.SETTLING
    assert desk.see_until_free(IDLE, after_s=0.5) == 3


@pytest.mark.parametrize("lingering_s", [0, 5, 600])
def test_memory_that_lingers_after_a_run_keeps_the_card_until_it_is_released(
    desk: Desk, lingering_s: int
) -> None:
    full = replace(IDLE, used_mib=11_469, processes=(DeviceProcess(101, 11_459),))
    desk.see(full, ALONE)
    rooms = [desk.see(replace(full, processes=()), after_s=1) for _ in range(lingering_s)]

    assert not any(usable(room) for room in rooms)
    assert all("held by nobody visible, 11.2 GiB" in room.why for room in rooms)
    assert all("after ke/teacher:0 ended there" in room.why for room in rooms[:59])
    assert {room.state for room in rooms[60:]} <= {DeviceState.FOREIGN}
    assert desk.see_until_free(IDLE, after_s=1) in range(3, 7)


def test_a_process_left_behind_by_our_run_is_named_as_such(desk: Desk) -> None:
    desk.see(IDLE, ALONE)
    room = desk.see(replace(IDLE, processes=(DeviceProcess(101, 300),)))

    assert room.state is DeviceState.SETTLING
    assert "process 101 of ke/teacher:0" in room.why


def test_a_lease_of_somebody_else_keeps_an_idle_card(desk: Desk) -> None:
    room = desk.see(IDLE, held={IDLE.uuid: "the queue of anna (process 4711)"})

    assert (room.state, usable(room)) == (DeviceState.FOREIGN, False)
    assert "leased by the queue of anna (process 4711)" in room.why


def test_without_nvml_nothing_new_starts_and_our_runs_are_still_ours(desk: Desk) -> None:
    desk.see(IDLE)
    idle = desk.see(IDLE, problem="NVML has not answered for 12 s.")
    busy = desk.see(IDLE, SMALL, problem="NVML has not answered for 14 s.")

    assert (idle.state, usable(idle)) == (DeviceState.UNKNOWN, False)
    assert (busy.state, usable(busy)) == (DeviceState.OURS, False)
    assert "NVML has not answered for 12 s." in idle.why
    desk.see(IDLE)
    assert desk.see_until_free(IDLE) in range(2, 5)


def test_runs_on_cards_that_nvml_never_showed_are_still_listed() -> None:
    room = DeviceWatch().look(0.0, Inventory(problem="gone", kind="unknown"), our={"GPU-x": [ALONE]})[0]

    assert (room.uuid, room.state, usable(room)) == ("GPU-x", DeviceState.OURS, False)


def test_a_lost_card_is_out_alone_and_on_probation_when_it_comes_back() -> None:
    watch = DeviceWatch()
    well = replace(IDLE, uuid="GPU-b", index="1")
    lost = replace(IDLE, fault="GPU is lost.", lost=True)
    watch.look(0.0, Inventory((IDLE, well), kind="nvml"), our={})
    while_lost = watch.look(2.0, Inventory((lost, well), kind="nvml"), our={"GPU-a": [ALONE]})
    back = [watch.look(10.0 + 2 * n, Inventory((IDLE, well), kind="nvml"), our={})[0] for n in range(10)]
    much_later = watch.look(2000.0, Inventory((IDLE, well), kind="nvml"), our={})[0]

    assert [room.state for room in while_lost] == [DeviceState.LOST, DeviceState.FREE]
    assert "ke/teacher:0 is there and goes on" in while_lost[0].why
    assert {(room.state, usable(room)) for room in back} == {(DeviceState.QUARANTINED, False)}
    assert (much_later.probation, much_later.alone_ok) == (True, True)


def test_a_faulty_card_counts_as_busy_with_the_error_in_the_sentence(desk: Desk) -> None:
    room = desk.see(replace(IDLE, fault="NVML says 'Unknown Error' (code 999) for this card."))

    assert (room.state, usable(room)) == (DeviceState.UNKNOWN, False)
    assert "code 999" in room.why


def test_one_card_that_fails_everything_hits_three_runs_and_seven_others_go_on() -> None:
    watch = DeviceWatch()
    cards = Inventory(tuple(replace(IDLE, uuid=f"GPU-{n}") for n in range(8)), kind="simulated")
    hit: list[str] = []
    for job in range(200):  # one run a second for each free card
        for room in watch.look(float(job), cards, our={}):
            if room.uuid == "GPU-3" and room.alone_ok:
                hit.append(f"job{job}")
                watch.record_failure(room.uuid, f"job{job}", now_s=job)
            elif room.alone_ok:
                watch.record_success(room.uuid)

    rooms = watch.look(201.0, cards, our={})
    assert hit == ["job0", "job1", "job2"]
    assert [room.state for room in rooms].count(DeviceState.FREE) == 7
    assert "runs of 3 jobs failed on it in a row (job0, job1, job2)" in rooms[3].why


def test_failures_of_one_job_or_with_successes_between_do_not_quarantine(desk: Desk) -> None:
    for job in ("a", "a", "a", "b"):
        desk.watch.record_failure(IDLE.uuid, job, now_s=0)
    desk.watch.record_success(IDLE.uuid)
    desk.watch.record_failure(IDLE.uuid, "c", now_s=0)
    desk.watch.record_failure(IDLE.uuid, "d", now_s=0)

    assert desk.see(IDLE).state is DeviceState.FREE


def test_a_probation_run_frees_the_card_or_doubles_its_pause(desk: Desk) -> None:
    desk.watch.quarantine(IDLE.uuid, "a run met a CUDA error on it", now_s=0)
    early = desk.see(IDLE, after_s=1799)
    probation = desk.see(IDLE)
    on_probation = desk.see(IDLE, ALONE)
    desk.watch.record_failure(IDLE.uuid, "ke/teacher", now_s=desk.now_s)
    again = [desk.see(IDLE, after_s=500) for _ in range(7)]
    second = desk.see(IDLE, after_s=110)
    desk.watch.record_success(IDLE.uuid)

    assert not usable(early)
    assert (probation.probation, probation.alone_ok) == (True, True)
    assert (on_probation.state, usable(on_probation)) == (DeviceState.QUARANTINED, False)
    assert "ke/teacher:0 decides about it" in on_probation.why
    assert not any(usable(room) for room in again)
    assert second.probation
    assert desk.see(IDLE).state is DeviceState.FREE


def test_a_quarantined_card_can_be_released_by_hand(desk: Desk) -> None:
    desk.watch.quarantine(IDLE.uuid, "it was lost", now_s=0)
    desk.watch.release(IDLE.uuid, now_s=1)

    assert desk.see(IDLE).probation


def test_quarantine_survives_a_restart_with_another_clock() -> None:
    before = DeviceWatch()
    for job in ("a", "b", "c"):
        before.record_failure("GPU-a", job, now_s=1000)
    before.record_failure("GPU-b", "a", now_s=1000)
    state = json.loads(json.dumps(before.to_state(1600)))
    desk = Desk(DeviceWatch.from_state(state, now_s=5))
    desk.now_s = 5

    assert not usable(desk.see(IDLE, after_s=1190))
    assert desk.see(IDLE, after_s=15).probation
    assert desk.watch.to_state(0.0)["failed"] == {"GPU-b": ["a"]}


def test_a_damaged_state_is_refused_with_its_content() -> None:
    with pytest.raises(ValueError, match=r"stored quarantine .*'GPU-a': 3"):
        DeviceWatch.from_state({"distrusted": {"GPU-a": 3}}, now_s=0)


def test_the_next_useful_look_is_known_while_a_card_settles(desk: Desk) -> None:
    desk.see(IDLE)
    assert desk.watch.next_look_s() is None
    desk.see(replace(IDLE, processes=(STRANGER,)))
    desk.see(IDLE)

    assert desk.watch.next_look_s() == desk.now_s + Patience().foreign_gap_s


def test_every_room_has_a_sentence_that_names_the_card(desk: Desk) -> None:
    rooms = [
        desk.see(IDLE),
        desk.see(IDLE, ALONE),
        desk.see(IDLE, SMALL),
        desk.see(replace(IDLE, processes=None)),
        desk.see(replace(IDLE, used_mib=None)),
        desk.see(replace(IDLE, used_mib=None), SMALL),
        desk.see(replace(IDLE, used_mib=None), ALONE, problem="NVML is gone."),
        desk.see(replace(IDLE, lost=True, fault="GPU is lost.")),
    ]

    assert all(room.why.startswith("GPU 0 ") and room.why.endswith(".") for room in rooms)
