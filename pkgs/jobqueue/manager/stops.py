"""Stopping attempts: cancelled by the user, over their time, or without a sign of life.

The intention is saved first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pkgs.jobqueue.attempts import attempts
from pkgs.jobqueue.vocabulary import Wish

if TYPE_CHECKING:
    from pkgs.jobqueue.manager.engine import Engine
    from pkgs.jobqueue.manager.live import Live
    from pkgs.jobqueue.state.records import StopReason


def stop_what_must_stop(engine: Engine) -> None:
    """Ask new ones to end, and end those whose grace is over."""
    for live in list(engine.live.values()):
        if live.ended or live.identity is None:
            continue
        if live.attempt.stop_reason is None:
            reason = _reason_to_stop(engine, live)
            if reason is not None:
                _note_stop(engine, live, reason)
        if live.attempt.stop_reason is not None:
            _press(engine, live)


def _reason_to_stop(engine: Engine, live: Live) -> StopReason | None:
    entry = engine.book.entries[live.attempt.key.job]
    if entry.record.wish in (Wish.CANCEL, Wish.RERUN):
        return "cancel"
    now_s = engine.clock.monotonic_s()
    limit_s = entry.job.timeout_s if entry.job is not None else None
    if limit_s is not None and live.elapsed_s(now_s) > limit_s:
        return "timeout"
    if now_s - live.meter.last_sign_s > engine.settings.stall_s:
        return "stalled"
    return None


def _note_stop(engine: Engine, live: Live, reason: StopReason) -> None:
    stopped = replace(live.attempt, stop_reason=reason, stop_unix_s=engine.clock.unix_s())
    key = stopped.key
    text = {"cancel": "stopping, as asked", "timeout": "stopping: over its timeout"}.get(
        reason, "stopping: no sign of life"
    )
    event = engine.say("stopping", f"{key}: {text}", job=key.job, run=str(key), attempt=stopped.id)
    engine.commit(attempts=[stopped], events=[event])
    live.attempt = stopped
    attempts.note(live.folder, f"{text}; {engine.settings.grace_s:g} s to save and end")


def _press(engine: Engine, live: Live) -> None:
    """SIGTERM once, SIGKILL to all that is left when the grace is over."""
    assert live.identity is not None, "checked by the caller"
    now_s = engine.clock.monotonic_s()
    if live.asked_s is None:
        live.asked_s = now_s
        attempts.stop(live.identity, host=engine.host)
    elif now_s - live.asked_s > engine.settings.grace_s:
        attempts.kill_rest(live.identity, host=engine.host)
