"""Step one of a turn: take in attempts that have ended, and what follows from each end."""

from __future__ import annotations

import json
import logging
import signal
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pkgs.foundation.files import write_json
from pkgs.jobqueue.attempts import adoption, attempts
from pkgs.jobqueue.attempts.causes import Evidence, diagnose
from pkgs.jobqueue.attempts.output import readable, tail
from pkgs.jobqueue.attempts.processes import signal_process
from pkgs.jobqueue.manager import adopt
from pkgs.jobqueue.manager.outcome import Rules, after_failure, after_success
from pkgs.jobqueue.manager.telemetry import TOTAL_RAM_BYTES, read_oom_kills
from pkgs.jobqueue.state.records import AttemptState, Run, Waiting
from pkgs.jobqueue.vocabulary import Cause, Wish

if TYPE_CHECKING:
    from pkgs.jobqueue.attempts.adoption import ExitRecord
    from pkgs.jobqueue.attempts.causes import Diagnosis
    from pkgs.jobqueue.manager.engine import Engine
    from pkgs.jobqueue.manager.live import Live


log = logging.getLogger(__name__)

MAY_BE_THE_CARD = frozenset({Cause.EXCEPTION, Cause.GPU_OUT_OF_MEMORY, Cause.STALLED, Cause.NAN})
"""Failures that speak against a card when different jobs meet them there in a row; a bad config does not."""


RETRIES_OF_A_BAD_ROW = 1
"""The column's default: a cell that was spoilt while the job ran is no reason to give its run up."""

UNCLEAR_PAUSE_S = 30.0
"""Asking after an attempt whose signs contradict each other may take seconds."""


def take_in_ends(engine: Engine, *, look_at_all: bool) -> None:
    """Take in every attempt that has ended.

    Args:
        engine: The manager's parts.
        look_at_all: Look also at attempts whose pidfd is silent: a command may have ended while something
            that it left behind keeps its shim busy. Once a second is enough.
    """
    now_s = engine.clock.monotonic_s()
    for live in list(engine.live.values()):
        due = live.look or live.identity is None or (look_at_all and _has_news(live))
        if due and now_s >= live.quiet_until_s and not _rules_unknown(engine, live):
            _look(engine, live)


def _rules_unknown(engine: Engine, live: Live) -> bool:
    """Tell whether the table was broken when this manager started: `retries` will be known later."""
    return engine.table_problem is not None and engine.book.entries[live.attempt.key.job].job is None


def _has_news(live: Live) -> bool:
    return not live.ended and live.folder.exit.exists()


def _look(engine: Engine, live: Live) -> None:  # noqa: PLR0912 - one branch per fate
    if live.ended:
        if live.look:
            let_go(engine, live)
        return
    match adoption.find(live.folder, live.attempt.id, host=engine.host):
        case adoption.Alive(identity=identity):
            live.look = False
            if live.identity is None:  # it had not said who it is when this manager started
                adopt.watch(engine, live, identity)
        case adoption.Unclear():  # settled when the lock is let go; a guess could run it twice
            live.quiet_until_s = engine.clock.monotonic_s() + UNCLEAR_PAUSE_S
        case adoption.Ended(record=record, lingering=lingering):
            if lingering is not None:
                engine.book.lingering.add(live.attempt.key)
            take_in(engine, live, record)
            if lingering is None:
                let_go(engine, live)
        case adoption.NeverStarted():
            if live.identity is None:
                void(engine, live)
            else:  # spawned by this manager, yet dead before its first act: not to be tried at once, for ever
                end_without_record(engine, live, Evidence(None, None, lost=True))
        case adoption.Rebooted():
            end_without_record(engine, live, Evidence(None, None, rebooted=True))
        case adoption.Gone():
            _end_survivors(engine, live)


def take_in(engine: Engine, live: Live, record: ExitRecord) -> None:
    """Note the true end of an attempt, and decide what follows."""
    attempt = live.attempt
    attempt.start_unix_s, attempt.end_unix_s = record.start_unix_s, record.end_unix_s
    attempt.code, attempt.signal = record.code, record.signal
    attempt.peak_rss_bytes, attempt.cpu_s = record.peak_rss_bytes, record.cpu_s
    evidence = Evidence(
        code=record.code,
        signal=record.signal,
        log="" if record.code == 0 else "\n".join(readable(tail(live.folder.output))),
        stop_reason=attempt.stop_reason,
        stop_unix_s=attempt.stop_unix_s,
        end_unix_s=record.end_unix_s,
        oom_kills=max(0, read_oom_kills() - live.oom_kills_before),
        total_ram_bytes=TOTAL_RAM_BYTES,
        peak_rss_bytes=record.peak_rss_bytes,
        used_gpu=bool(attempt.devices),
        free_disk_bytes=engine.free_disk_mib() * 2**20,
    )
    conclude(engine, live, diagnose(evidence), duration_s=record.duration_s)


def end_without_record(engine: Engine, live: Live, evidence: Evidence) -> None:
    """Note an end that nobody has seen: lost, or the machine was rebooted."""
    live.attempt.end_unix_s = engine.clock.unix_s()
    conclude(engine, live, diagnose(evidence), duration_s=0.0)
    let_go(engine, live)


def void(engine: Engine, live: Live) -> None:
    """Forget an attempt that was written down but never spawned: the run waits as before."""
    attempt = replace(live.attempt, state=AttemptState.VOID, cause=None, end_unix_s=None)
    entry = engine.book.entries[attempt.key.job]
    run = replace(entry.run(attempt.key), state=Waiting())
    event = engine.say("void", f"{attempt.key} was never started", job=entry.id, attempt=attempt.id)
    engine.commit(runs=[run], attempts=[attempt], events=[event])
    let_go(engine, live)


def let_go(engine: Engine, live: Live) -> None:
    """Nothing of the attempt is left: its devices are free."""
    if live.pidfd is not None:
        attempts.release(live.pidfd)
    engine.live.pop(live.attempt.id, None)
    engine.looked = False
    if live.attempt.key in engine.book.lingering:
        engine.book.lingering.discard(live.attempt.key)
        engine.book.refresh(live.attempt.key.job, now_unix_s=engine.clock.unix_s())


def _end_survivors(engine: Engine, live: Live) -> None:
    """End what a killed shim has left behind, before the run may start anew."""
    live.identity = None
    left = attempts.survivors(live.attempt.id, host=engine.host)
    now_s = engine.clock.monotonic_s()
    if not left:
        end_without_record(
            engine, live, Evidence(None, None, lost=True, stop_reason=live.attempt.stop_reason)
        )
    elif live.asked_s is None:
        live.asked_s = now_s
        for process in left:
            with suppress(PermissionError):  # somebody else's: it holds nothing that we gave it
                signal_process(process, signal.SIGTERM, host=engine.host)
    elif now_s - live.asked_s > engine.settings.grace_s:
        attempts.kill_survivors(live.attempt.id, host=engine.host)


def conclude(engine: Engine, live: Live, diagnosis: Diagnosis, *, duration_s: float) -> None:
    """Note an end and what follows from it: success, another attempt, or failure."""
    attempt, now = live.attempt, engine.clock.unix_s()
    attempt.state, attempt.cause = AttemptState.ENDED, diagnosis.cause
    attempt.peak_gpu_mib, attempt.energy_j = live.meter.peak_gpu_mib, live.meter.energy_j
    attempt.mean_util_percent = live.meter.mean_util_percent
    _leave_usage(live)
    entry = engine.book.entries[attempt.key.job]
    run = entry.run(attempt.key)
    if diagnosis.cause is None:
        run, record = after_success(run, entry.record, attempt, duration_s=duration_s)
        text = f"{attempt.key} completed"
    else:
        text = f"{attempt.key}: {diagnosis.sentence}"
        run, record = after_failure(
            run, entry.record, attempt, diagnosis, _rules(engine, live), now_unix_s=now
        )
        run = _as_wished(run, entry.record.wish)
    kind = type(run.state).__name__.lower()
    event = engine.say(kind, text, job=entry.id, run=str(attempt.key), attempt=attempt.id)
    jobs = [] if record == entry.record else [record]
    outdated = [] if isinstance(run.state, Waiting) else engine.book.outdated(run.key)
    engine.commit(jobs=jobs, runs=[run, *outdated], attempts=[attempt], events=[event])
    live.ended = True
    engine.looked = False
    _tell_devices(engine, live, diagnosis)


def _leave_usage(live: Live) -> None:
    """Leave what the attempt used of its GPUs in its folder, for the report; worth no retry if it fails."""
    attempt = live.attempt
    if attempt.peak_gpu_mib is None and attempt.energy_j is None:
        return
    facts = {
        "energy_j": attempt.energy_j,
        "peak_gpu_mib": attempt.peak_gpu_mib,
        "mean_util_percent": attempt.mean_util_percent,
    }
    try:
        write_json(live.folder.usage, facts, durable=False)
    except OSError as error:
        log.warning("usage.json cannot be written attempt=%s error=%s", attempt.id, error)


def _as_wished(run: Run, wish: Wish) -> Run:
    """Return the run without its pause if its job is being cancelled: no retry follows."""
    if wish in (Wish.CANCEL, Wish.RERUN) and isinstance(run.state, Waiting):
        return replace(run, state=Waiting())
    return run


def _rules(engine: Engine, live: Live) -> Rules:
    entry = engine.book.entries[live.attempt.key.job]
    sizes = {room.uuid: room.total_mib or 0 for room in engine.desk.rooms}
    return Rules(
        retries=entry.job.retries if entry.job is not None else RETRIES_OF_A_BAD_ROW,
        pauses_s=engine.settings.retry_pauses_s,
        failures_to_hold=engine.settings.failures_to_hold,
        members=len(entry.members()),
        card_mib=min((sizes.get(uuid, 0) for uuid in live.attempt.devices), default=0),
        largest_mib=max(sizes.values(), default=0),
    )


def _tell_devices(engine: Engine, live: Live, diagnosis: Diagnosis) -> None:
    """Let the watch learn from the end: a lost card is set apart, a row of failures counts against it."""
    now_s = engine.clock.monotonic_s()
    for uuid in live.attempt.devices:
        if diagnosis.cause is None:
            engine.desk.watch.record_success(uuid)
        elif diagnosis.cause is Cause.GPU_LOST:
            engine.desk.watch.quarantine(uuid, f"{live.attempt.key} saw: {diagnosis.sentence}", now_s=now_s)
        elif diagnosis.cause in MAY_BE_THE_CARD:
            engine.desk.watch.record_failure(uuid, live.attempt.key.job, now_s=now_s)
    if live.attempt.devices:
        with engine.state.transaction():
            engine.state.put("quarantine", json.dumps(engine.desk.watch.to_state(now_s)))
