"""The step that starts runs: plan, lease, write down, spawn.

Nothing is spawned that was not written down before.
"""

from __future__ import annotations

import errno
import os
import uuid
from typing import TYPE_CHECKING, Final

from pkgs.jobqueue.attempts import attempts
from pkgs.jobqueue.attempts.causes import Diagnosis
from pkgs.jobqueue.manager import ends, past
from pkgs.jobqueue.manager.code_digests import difference
from pkgs.jobqueue.manager.live import Live
from pkgs.jobqueue.manager.telemetry import Meter, read_oom_kills
from pkgs.jobqueue.schedule.plan import Limits, Plan, Snapshot, Start, plan
from pkgs.jobqueue.state.records import Active, Attempt, Event, JobRecord, Run
from pkgs.jobqueue.vocabulary import Cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pkgs.jobqueue.manager.engine import Engine
    from pkgs.jobqueue.schedule.plan import Room

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""A disk that is full, or that fails: nothing of it is the job's fault."""
NO_MEANS: Final = frozenset({errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE})
"""No memory, too many processes, too many open files."""


def start_what_can(engine: Engine) -> None:
    """Start every run that the plan finds a place for in this turn."""
    engine.paused = why_paused(engine)
    if not len(engine.book.ready) or engine.paused:
        engine.plan = Plan()
        return
    engine.look_at_devices()
    rooms = engine.desk.offer(until_unix_s=engine.busy_until(), ours=engine.ours())
    taken: list[tuple[Start, tuple[int, ...]]] = []
    while True:
        engine.plan = plan(snapshot_of(engine, rooms))
        if sum(past.take_from_folder(engine, start.key) for start in engine.plan.starts):
            break  # the next turn plans with what is known now
        refused: set[str] = set()
        for start in engine.plan.starts:
            leases = engine.desk.take(start.devices, alone=start.reserve_mib is None)
            if leases is None:
                refused.update(start.devices)
            else:
                taken.append((start, leases))
        if taken or not refused:
            break  # what was refused a lease is planned anew in the next turn, which follows at once
        rooms = [room for room in rooms if room.uuid not in refused]
    if taken:
        _start(engine, taken)


def why_paused(engine: Engine) -> str | None:
    """Return why nothing at all may start, such as a full disk."""
    free = engine.free_disk_mib()
    floor = engine.settings.free_disk_floor_mib
    if free >= floor:
        return None
    return (
        f"{engine.root} has {free} MiB free, less than the floor of {floor} MiB: nothing starts before there "
        "is room (free_disk_floor_mib in configs/queue.yaml)"
    )


def snapshot_of(engine: Engine, rooms: Sequence[Room] | None = None) -> Snapshot:
    """Return what the plan decides from, now."""
    if rooms is None:
        engine.look_at_devices()
        rooms = engine.desk.offer(until_unix_s=engine.busy_until(), ours=engine.ours())
    return Snapshot(
        now_unix_s=engine.clock.unix_s(),
        candidates=engine.book.ready,
        rooms=rooms,
        cpu_slots_free=engine.cpu_slots_free(),
        cpu_slots=engine.cpu_slots,
        gpus_exist=not engine.desk.stand_in,
        paused=engine.paused,
        limits=Limits(aging_s=engine.settings.aging_s),
    )


def _start(engine: Engine, taken: Sequence[tuple[Start, tuple[int, ...]]]) -> None:
    """Write all of them down in one transaction, then spawn them."""
    jobs: dict[str, JobRecord] = {}
    lives: list[tuple[Live, tuple[int, ...]]] = []
    events: list[Event] = []
    runs: list[Run] = []
    try:
        for start, leases in taken:
            live = _written_down(engine, start)
            lives.append((live, leases))
            run = engine.book.entries[start.key.job].run(start.key)
            runs.append(
                Run(
                    run.key,
                    Active(live.attempt.id),
                    run.tries,
                    run.free_tries,
                    run.needs_mib,
                    run.alone,
                    run.avoid,
                )
            )
            events.append(_event(engine, live))
            record = _with_digests(engine, live)
            if record is not None:
                jobs[record.id] = record
        attempts_down = [live.attempt for live, _ in lives]
        engine.commit(jobs=list(jobs.values()), runs=runs, attempts=attempts_down, events=events)
    except BaseException:
        for _, leases in taken:
            _close(leases)
        raise
    engine.live.update((live.attempt.id, live) for live, _ in lives)  # also those that come to no spawn
    engine.looked = False
    while lives:
        live, leases = lives.pop(0)
        try:
            _spawn(engine, live, leases)
        except BaseException:  # a start that failed cannot be noted: what was not spawned is void
            for _, unused in lives:
                _close(unused)
            raise


def _written_down(engine: Engine, start: Start) -> Live:
    folder = engine.launcher.folder(start.key)
    attempt = Attempt(
        id=uuid.uuid4().hex[:16],
        key=start.key,
        number=folder.newest_attempt() + 1,
        devices=start.devices,
        cpu_slots=start.cpu_slots,
        reserve_mib=start.reserve_mib,
        written_unix_s=engine.clock.unix_s(),
    )
    now_s = engine.clock.monotonic_s()
    return Live(
        attempt=attempt,
        folder=folder.attempt(attempt.number),
        meter=Meter(attempt.id, last_sign_s=now_s),
        since_s=now_s,
        oom_kills_before=read_oom_kills(),
    )


def _event(engine: Engine, live: Live) -> Event:
    attempt = live.attempt
    where = ", ".join(engine.desk.label(uuid) for uuid in attempt.devices) or "a CPU slot"
    again = f", attempt {attempt.number}" if attempt.number > 1 else ""
    text = f"{attempt.key} starts on {where}{again}"
    return engine.say("starting", text, job=attempt.key.job, run=str(attempt.key), attempt=attempt.id)


def _with_digests(engine: Engine, live: Live) -> JobRecord | None:
    """Return the job's record with a note if its code is no longer what it was when it was queued."""
    entry = engine.book.entries[live.attempt.key.job]
    assert entry.job is not None, "only valid rows are planned"
    now = engine.launcher.code_of(entry.job.command, now_unix_s=live.attempt.written_unix_s)
    record = entry.record
    if not record.digests:
        return JobRecord(
            record.id, record.wish, record.held_after_failures, record.failures_in_row,
            record.durations_s, record.peak_gpu_mib, now, record.note,
        )  # fmt: skip
    note = difference(record.digests, now)
    if not note or note == record.note:
        return None
    return JobRecord(
        record.id, record.wish, record.held_after_failures, record.failures_in_row,
        record.durations_s, record.peak_gpu_mib, record.digests, note,
    )  # fmt: skip


def _spawn(engine: Engine, live: Live, leases: tuple[int, ...]) -> None:
    entry = engine.book.entries[live.attempt.key.job]
    spec = engine.launcher.spec(entry, live.attempt, lease_fds=leases)
    try:
        attempts.prepare(spec, host=engine.host)
        watched = attempts.start(spec, host=engine.host)
    except attempts.StartError as error:
        _close(leases)
        live.attempt.end_unix_s = engine.clock.unix_s()
        ends.conclude(engine, live, Diagnosis(_cause_of(error), str(error)), duration_s=0.0)
        ends.let_go(engine, live)
        return
    live.identity, live.pidfd = watched.identity, watched.pidfd


def _cause_of(error: attempts.StartError) -> Cause:
    """Return whose fault it is: a full disk or a full machine passes, anything else would fail again."""
    number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
    if number in NO_ROOM:
        return Cause.DISK_FULL
    return Cause.HOST_OUT_OF_MEMORY if number in NO_MEANS else Cause.BAD_INPUT


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
