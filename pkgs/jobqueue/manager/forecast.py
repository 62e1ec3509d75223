"""When runs, jobs and the whole queue will be done, from the engine's present.

The input of the simulator and its words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pkgs.foundation.run_folder import RunFolder
from pkgs.jobqueue.manager.book import memory_needed
from pkgs.jobqueue.manager.messages import local
from pkgs.jobqueue.manager.telemetry import progress_told
from pkgs.jobqueue.schedule.eta import History, eta_of, expected_end_unix_s
from pkgs.jobqueue.schedule.plan import Limits
from pkgs.jobqueue.schedule.simulate import Occupant, World, simulate
from pkgs.jobqueue.schedule.when import Times, done_about
from pkgs.jobqueue.state.records import Active, Run, Waiting

if TYPE_CHECKING:
    from pkgs.jobqueue.manager.engine import Engine
    from pkgs.jobqueue.schedule.simulate import Timeline
    from pkgs.jobqueue.vocabulary import Job, RunKey

SIMULATED_RUNS: Final = 2000
"""With more runs to come the simulation takes too long for a loop that must answer in milliseconds."""


def history_of(engine: Engine) -> History:
    """Return the durations seen so far."""
    durations = {
        entry.id: entry.record.durations_s
        for entry in engine.book.entries.values()
        if entry.record.durations_s
    }
    return History(engine.book.fanout.jobs, durations)


def running_ends(engine: Engine, history: History) -> dict[str, float | None]:
    """Return by attempt id when each running attempt will probably end, its own forecast included."""
    now, now_s = engine.clock.unix_s(), engine.clock.monotonic_s()
    return {
        live.attempt.id: expected_end_unix_s(
            now - live.elapsed_s(now_s),
            now,
            duration_s=history.duration_s(live.attempt.key),
            progress=progress_told(RunFolder(live.folder.path.parent.parent), now_unix_s=now),
        )
        for live in engine.live.values()
        if not live.ended
    }


def world_of(engine: Engine, history: History, ends: dict[str, float | None]) -> World:
    """Return the present as the simulator takes it."""
    now, now_s = engine.clock.unix_s(), engine.clock.monotonic_s()
    completed: set[RunKey] = set()
    left_out: set[RunKey | str] = set()
    pauses: dict[RunKey, float] = {}
    for entry in engine.book.entries.values():
        if entry.job is None:
            continue
        for run in entry.members():
            if engine.book.is_done(run.key):
                completed.add(run.key)
            elif not _will_run(engine, entry.id, run) or engine.book.cannot_come(run.key):
                left_out.add(run.key)
            elif isinstance(run.state, Waiting) and run.state.not_before_unix_s > now:
                pauses[run.key] = run.state.not_before_unix_s
    running = [
        Occupant(
            live.attempt.key,
            now - live.elapsed_s(now_s),
            live.attempt.devices,
            live.attempt.reserve_mib,
            live.attempt.cpu_slots,
            ends[live.attempt.id],
        )
        for live in engine.live.values()
        if not live.ended and live.attempt.key.job in engine.book.fanout.jobs
    ]
    return World(
        now_unix_s=now,
        fanout=engine.book.fanout,
        rooms=engine.desk.offer(until_unix_s=engine.busy_until(), ours=engine.ours()),
        cpu_slots=engine.cpu_slots,
        duration=history.duration_s,
        memory=lambda job: _memory(engine, job),
        running=running,
        completed=completed,
        left_out=left_out,
        not_before_unix_s=pauses,
        gpus_exist=not engine.desk.stand_in,
        limits=Limits(aging_s=engine.settings.aging_s),
    )


def _will_run(engine: Engine, job: str, run: Run) -> bool:
    if isinstance(run.state, Active):
        return True
    return isinstance(run.state, Waiting) and engine.book.may_start(engine.book.entries[job])


def _memory(engine: Engine, job: Job) -> int | None:
    entry = engine.book.entries[job.id]
    return memory_needed(entry, Run(job.runs()[0]))


def timeline_of(engine: Engine) -> Timeline:
    """Return what will run when, for `plan` and `--dry-run`."""
    history = history_of(engine)
    return simulate(world_of(engine, history, running_ends(engine, history)))


def forecast(engine: Engine) -> dict[str, object]:
    """Return the ETA of the queue, of each job and of each running run, as live.json holds them."""
    history = history_of(engine)
    ends = running_ends(engine, history)
    runs = {str(engine.live[attempt].attempt.key): end for attempt, end in ends.items()}
    if len(engine.book.ready) > SIMULATED_RUNS or len(engine.book.entries) > SIMULATED_RUNS:
        return {"eta_unix_s": None, "eta": "", "jobs_eta_unix_s": {}, "runs_eta_unix_s": runs}
    now = engine.clock.unix_s()
    timeline = simulate(world_of(engine, history, ends))
    eta = eta_of(timeline, history, now_unix_s=now)
    return {
        "eta_unix_s": None if eta is None else eta.end_unix_s,
        "eta": done_about(eta, times=Times(now, local)) if timeline.entries else "",
        "jobs_eta_unix_s": {} if eta is None else dict(timeline.job_ends_unix_s),
        "runs_eta_unix_s": runs,
    }
