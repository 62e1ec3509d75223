"""One sentence per reason, never empty, with the way out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given, settings

from pkgs.jobqueue.schedule import reasons
from pkgs.jobqueue.schedule.fanout import Problem
from pkgs.jobqueue.schedule.plan import Candidate, Snapshot, Waiting, plan
from pkgs.jobqueue.schedule.reasons import (
    Collecting,
    Device,
    Free,
    Holder,
    Kept,
    Leased,
    Lingering,
    NoDevice,
    NoMemory,
    NoSlot,
    OurRuns,
    Parent,
    ParentState,
    Paused,
    Quarantined,
    Reason,
    RetryPause,
    Settling,
    Starting,
    Stranger,
    WaitsForParents,
)  # fmt: skip
from pkgs.jobqueue.schedule.when import Times
from pkgs.jobqueue.schedule.why import explain, sentence
from pkgs.jobqueue.vocabulary import Cause, RunKey
from tests.builders.worlds import cards, shared, snapshots, taken

UNTIL = datetime(2026, 3, 10, 3, 40, tzinfo=UTC).timestamp()


AT = Times(UNTIL - 600, lambda unix_s: datetime.fromtimestamp(unix_s, tz=UTC))


def said(reason: Reason) -> str:
    return sentence(reason, times=AT)


def waits(state: ParentState, **fields: object) -> str:
    return said(WaitsForParents((Parent("ke/teacher", "ke/teacher", state, **fields),)))  # type: ignore[arg-type]


BAD_GPUS = Problem("gpus", "9", "possible here: 8 GPUs are all there is", "Ask for fewer.")
LOG = "logs/ke/a/attempts/3/output.log"

CASES: list[tuple[Reason, str]] = [
    (reasons.Held("ke/a"), "on hold as you asked; `release ke/a` lets it run"),
    (
        reasons.HeldAfterFailures("ke/a", 3, Cause.TIMEOUT, LOG),
        f"on hold after 3 failures in a row, the last one: timeout; look at {LOG}, then `retry ke/a`",
    ),
    (
        reasons.Refused((BAD_GPUS,), line=7),
        "line 7, column 'gpus': '9' is not possible here: 8 GPUs are all there is. Ask for fewer.",
    ),
    (
        reasons.Refused((BAD_GPUS, BAD_GPUS)),
        "column 'gpus': '9' is not possible here: 8 GPUs are all there is. Ask for fewer. "
        "(1 more: `check` shows all)",
    ),
    (
        reasons.InDoubt("write `rerun` to run it again"),
        "an edit of this row can be read in two ways, so it does not run; write `rerun` to run it again",
    ),
    (reasons.Completed("ke/a"), "completed; `rerun ke/a` does it again"),
    (reasons.Failed("ke/a", Cause.NAN, LOG), f"failed: loss became NaN; look at {LOG}, then `retry ke/a`"),
    (reasons.Cancelled("ke/a"), "cancelled as you asked; `rerun ke/a` does it again"),
    (reasons.Running("GPU 1", UNTIL), "runs on GPU 1 until about 03:40"),
    (Starting(), "starts in the next turn of the queue; nothing stands in its way"),
    (
        RetryPause(Cause.GPU_OUT_OF_MEMORY, UNTIL),
        "pauses until 03:40:00 and then tries again, after: GPU out of memory",
    ),
    (
        reasons.DiskLow("/data", 900, 2048),
        "nothing starts while less than 2G is free in /data (900M now); make room, the queue "
        "goes on by itself",
    ),
    (
        Paused("the state cannot be written"),
        "nothing starts at present: the state cannot be written; the queue goes on by itself "
        "once that is over",
    ),
    (
        reasons.GpusUnknown("driver and library differ"),
        "nothing new starts on GPUs: driver and library differ; `doctor` says more, "
        "runs with `gpus` 0 still start",
    ),
    (reasons.NoManager(), "no manager is running; start one with `python QueueManager.py`"),
    (NoSlot(4), "all 4 CPU slots are in use; `run --cpu-slots` allows more at once"),
    (
        NoSlot(1, UNTIL),
        "the only CPU slot is in use until about 03:40; `run --cpu-slots` allows more at once",
    ),
    (
        NoDevice(
            2,
            1,
            (Device("GPU 0", OurRuns(("ke/b:1",), UNTIL)), Device("GPU 1", Stranger(123, "bob", 11_264))),
        ),
        "needs 2 GPUs, 1 free; GPU 0 held by ke/b:1 until about 03:40, GPU 1 used by pid 123 "
        "of user bob (11G)",
    ),
    (
        NoDevice(1, 0, ()),
        "needs a GPU for itself, 0 free; no GPU is in reach of the queue; `doctor` says more",
    ),
    (
        NoDevice(1, 0, tuple(Device(f"GPU {n}", OurRuns(("a", "b"))) for n in range(8))),
        "needs a GPU for itself, 0 free; GPU 0 held by a and 1 more, GPU 1 held by a and 1 more, "
        "GPU 2 held by a and 1 more, 5 more: `status` shows them",
    ),
    (
        NoMemory(1, 14 * 1024, 0, (Device("GPU 0", OurRuns(("a",)), 6144),)),
        "needs 14G of GPU memory; at most 6G are free; GPU 0 held by a",
    ),
    (
        NoMemory(2, 14 * 1024, 1, (Device("GPU 0", Settling(), 6144),)),
        "needs 14G of GPU memory on each of 2 GPUs, 1 of them found; at most 6G are free "
        "elsewhere; GPU 0 has just fallen free and is "
        "watched for a moment",
    ),
    (
        Collecting((Device("GPU 0", Free()), Device("GPU 1", OurRuns(("a",), UNTIL))), UNTIL),
        "is next: GPU 0, GPU 1 are kept for it as they fall free, about 03:40; GPU 1 held by a "
        "until about 03:40",
    ),
    (
        Collecting((Device("GPU 0", Free()),)),
        "is next: GPU 0 is kept for it as it falls free, nobody knows when",
    ),
    (
        Kept("ke/large:0", UNTIL),
        "what is free is kept for ke/large:0, which should start about 03:40; "
        "a higher `priority` lets this one go first",
    ),
]


@pytest.mark.parametrize(("reason", "words"), CASES, ids=lambda case: type(case).__name__)
def test_each_reason_has_its_sentence(reason: Reason, words: str) -> None:
    assert said(reason) == words


def test_no_reason_is_without_a_case() -> None:
    families = (reasons.RowReason, reasons.StageReason, reasons.WaitReason, reasons.RoomReason)
    known = {kind for family in families for kind in get_args(family)}
    assert known - {type(reason) for reason, _ in CASES} == {WaitsForParents}


@pytest.mark.parametrize(
    ("state", "fields", "words"),
    [
        (ParentState.FAILED, {}, "which failed; `retry ke/teacher`, or take it out of `after`"),
        (ParentState.CANCELLED, {}, "which was cancelled; `rerun ke/teacher`, or take it out of `after`"),
        (
            ParentState.REMOVED,
            {},
            "which is no longer in the table; put its row back, or take it out of `after`",
        ),
        (ParentState.HELD, {}, "which is on hold; `release ke/teacher`, or take it out of `after`"),
        (
            ParentState.REFUSED,
            {"line": 7},
            "whose row has an error in line 7; mend it, or take it out of `after`",
        ),
        (ParentState.WAITING, {}, "which waits itself; `why ke/teacher` says for what"),
        (ParentState.RUNNING, {"until_unix_s": UNTIL}, "which runs until about 03:40; nothing to do"),
    ],
)
def test_each_state_of_a_parent_has_its_way_out(
    state: ParentState, fields: dict[str, object], words: str
) -> None:
    assert waits(state, **fields) == f"waits for ke/teacher, {words}"


def test_of_several_parents_the_one_that_needs_the_user_is_named() -> None:
    parents = [Parent(f"p{n}", f"p{n}", state) for n, state in enumerate(reversed(ParentState))]
    assert said(WaitsForParents(tuple(parents))) == (
        "waits for p6, which is no longer in the table; put its row back, or take it out of `after`; "
        "6 more must be completed, too"
    )


@pytest.mark.parametrize(
    ("holder", "words"),
    [
        (Stranger(5), "used by pid 5"),
        (Lingering(500), "held by nobody visible (500M)"),
        (Leased("queue of anna in /data/q"), "leased by queue of anna in /data/q"),
        (Quarantined("3 failures in a row"), "in quarantine (3 failures in a row)"),
        (
            reasons.Described("GPU 0 counts as busy: it does not say who is on it. `doctor` shows more."),
            "counts as busy: it does not say who is on it",
        ),
        (reasons.Avoided(), "not used again by this run, which failed there by the card's fault"),
    ],
)
def test_each_holder_of_a_device_is_described(holder: Holder, words: str) -> None:
    assert (
        said(NoDevice(1, 0, (Device("GPU 0", holder),))) == f"needs a GPU for itself, 0 free; GPU 0 {words}"
    )


@pytest.mark.parametrize("reason", [reason for reason, _ in CASES], ids=lambda case: type(case).__name__)
def test_no_sentence_ticks(reason: Reason) -> None:
    assert (
        len({sentence(reason, times=replace(AT, now_unix_s=UNTIL - 7200 + 10 * n)) for n in range(300)}) == 1
    )


def why(candidate: Candidate, others: list[Candidate], snapshot: Snapshot) -> Reason:
    told = Snapshot(
        snapshot.now_unix_s, [*others, candidate], snapshot.rooms, snapshot.cpu_slots_free, snapshot.cpu_slots
    )
    return explain(
        candidate,
        told,
        decided=plan(told),
        devices={room.uuid: Device(room.uuid, Free()) for room in told.rooms},
    )


def run(name: str, row: int, **fields: object) -> Candidate:
    return Candidate(RunKey(name), (0, 0, row, 0), **fields)  # type: ignore[arg-type]


def test_the_turn_is_explained_by_what_it_left() -> None:
    at = Snapshot(0.0, [], [*cards(1), taken("G1"), shared("G2", free_mib=3000)], 1, 1)
    first, slot = run("first", 0), run("slot", 1, gpus=0)
    assert why(run("x", 9), [first], at) == NoDevice(
        1, 0, tuple(Device(name, Free()) for name in ("G0", "G1", "G2"))
    )
    assert isinstance(why(run("x", 9, memory_mib=5000), [first], at), NoMemory)
    assert why(run("x", 9, gpus=0), [slot], at) == NoSlot(1)
    assert why(run("x", 9), [], at) == Starting()


def test_a_run_that_collects_and_one_that_is_kept_out_are_told_so() -> None:
    at = Snapshot(0.0, [], [*cards(1), taken("G1", until=50)], 0, 1)
    large = run("large", 0, gpus=2, ready_unix_s=-700)
    assert why(run("x", 9), [large], at) == Kept("large", 50)
    assert why(large, [run("x", 9)], at) == Collecting((Device("G0", Free()), Device("G1", Free())), 50)


def test_starts_that_were_made_meanwhile_are_not_counted_twice() -> None:
    first, other = run("first", 0), run("x", 9, gpus=2)
    before = Snapshot(0.0, [first, other], cards(2), 0, 1)
    decided = plan(before)
    now = replace(before, candidates=Waiting([other]), rooms=[taken("G0"), *cards(2)[1:]])
    devices = {room.uuid: Device(room.uuid, Free()) for room in now.rooms}
    assert explain(other, now, decided=decided, devices=devices) == NoDevice(2, 1, (devices["G0"],))


def test_a_card_to_avoid_is_named_as_such() -> None:
    at = Snapshot(0.0, [], [*cards(1), taken("G1")], 0, 1)
    told = why(run("x", 0, avoid=frozenset({"G0"})), [], at)
    assert told == NoDevice(1, 0, (Device("G0", reasons.Avoided()), Device("G1", Free())))


@given(snapshots())
@settings(max_examples=200)
def test_every_run_that_does_not_start_gets_a_sentence(snapshot: Snapshot) -> None:
    decided = plan(snapshot)
    devices = {room.uuid: Device(room.uuid, Free(), room.free_mib) for room in snapshot.rooms}
    started = {start.key for start in decided.starts}
    for candidate in snapshot.candidates:
        reason = explain(candidate, snapshot, decided=decided, devices=devices)
        assert said(reason)
        assert isinstance(reason, Starting) == (candidate.key in started and snapshot.paused is None)
