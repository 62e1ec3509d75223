"""What a starting manager does first: load the state, take back what still runs, rebuild what was lost."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from pkgs.foundation.files import read_json
from pkgs.jobqueue import adoption, attempts
from pkgs.jobqueue.book import Entry
from pkgs.jobqueue.live import Live
from pkgs.jobqueue.processes import ProcessIdentity
from pkgs.jobqueue.records import Active, Attempt, Completed, Failed, JobRecord, Run
from pkgs.jobqueue.telemetry import TICKS_PER_S, Meter, read_oom_kills
from pkgs.jobqueue.vocabulary import Cause, RunKey, Wish

if TYPE_CHECKING:
    from pkgs.jobqueue.engine import Engine

log = logging.getLogger(__name__)


def load(engine: Engine) -> None:
    """Fill the book from the state, and watch again over every attempt that may still live."""
    for record in engine.state.jobs().values():
        engine.book.entries[record.id] = Entry(record.id, record, removed=True)  # until the table shows it
        if record.wish is Wish.RERUN:
            engine.book.to_rerun.add(record.id)
    for run in engine.state.runs():
        entry = engine.book.entries.setdefault(
            run.key.job, Entry(run.key.job, JobRecord(run.key.job), removed=True)
        )
        entry.runs[run.key] = run
    for attempt in engine.state.attempts_not_ended():
        engine.live[attempt.id] = _taken_back(engine, attempt)


def _taken_back(engine: Engine, attempt: Attempt) -> Live:
    folder = engine.launcher.folder(attempt.key).attempt(attempt.number)
    now_s = engine.clock.monotonic_s()
    meter = Meter(attempt.id, last_sign_s=now_s)
    live = Live(attempt, folder, meter, since_s=now_s, look=True, oom_kills_before=read_oom_kills())
    found = adoption.find(folder, attempt.id, host=engine.host)
    if isinstance(found, adoption.Alive):
        watch(engine, live, found.identity)
        event = engine.say(
            "adopted",
            f"{attempt.key} goes on, process {found.identity.pid}",
            job=attempt.key.job,
            attempt=attempt.id,
        )
        engine.commit(events=[event])
    return live


def watch(engine: Engine, live: Live, identity: ProcessIdentity) -> None:
    """Watch over a shim that an earlier manager has started."""
    try:
        live.pidfd = attempts.watch(identity, host=engine.host)
    except ProcessLookupError:
        return  # it ended this moment: `look` is set, the next step takes its end in
    live.identity, live.look = identity, False
    before_s = engine.clock.since_boot_s() - identity.start_ticks / TICKS_PER_S
    live.since_s = engine.clock.monotonic_s() - max(0.0, before_s)


def rebuild_from_folders(engine: Engine) -> None:
    """After the state was lost: take from the run folders what has run; hold what nobody can know.

    A run whose newest attempt ended with code 0 is completed, one that ended otherwise has failed, one that
    lives is adopted. Where an attempt has neither an end nor a living shim its job is held.
    """
    runs: list[Run] = []
    records: list[JobRecord] = []
    for entry in engine.book.entries.values():
        for fresh in entry.members():
            if fresh.key in entry.runs:
                continue
            run = _from_folder(engine, fresh.key)
            if run is not None:
                runs.append(run)
            elif _has_attempt(engine, fresh.key):
                note = (
                    f"the queue's state was lost and nobody knows how {fresh.key} ended: "
                    "write `open` to run it again"
                )
                records.append(replace(entry.record, wish=Wish.HOLD, note=note))
    if runs or records:
        text = f"{len(runs)} runs taken from their folders, {len(records)} jobs held: nobody knows their end"
        live = [engine.live[run.state.attempt].attempt for run in runs if isinstance(run.state, Active)]
        engine.commit(jobs=records, runs=runs, attempts=live, events=[engine.say("rebuilt", text)])
        engine.book.note_changed(run.key.job for run in runs)


def _has_attempt(engine: Engine, key: RunKey) -> bool:
    return engine.launcher.folder(key).newest_attempt() > 0


def _from_folder(engine: Engine, key: RunKey) -> Run | None:
    """Return the run as its newest attempt shows it; None where there is none or its end is unknown."""
    folder = engine.launcher.folder(key)
    number = folder.newest_attempt()
    launch = read_json(folder.attempt(number).launch) if number else None
    if not isinstance(launch, dict) or not isinstance(launch.get("attempt"), str):
        return None
    attempt = Attempt(
        id=launch["attempt"],
        key=key,
        number=number,
        devices=tuple(map(str, launch.get("devices") or ())),
        cpu_slots=int(launch.get("cpu_slots") or 0),
        reserve_mib=launch.get("reserve_mib"),
        written_unix_s=float(launch.get("written_unix_s") or 0.0),
    )
    match adoption.find(folder.attempt(number), attempt.id, host=engine.host):
        case adoption.Ended(record=record):
            if record.code == 0:
                return Run(key, Completed())
            return Run(
                key, Failed(Cause.EXCEPTION, f"Ended with exit code {record.code}, signal {record.signal}.")
            )
        case adoption.Alive():
            engine.live[attempt.id] = _taken_back(engine, attempt)
            return Run(key, Active(attempt.id))
        case _:
            return None
