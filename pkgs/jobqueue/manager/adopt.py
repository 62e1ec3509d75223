"""What a starting manager does first: load the state and take back what still runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pkgs.jobqueue.attempts import adoption, attempts
from pkgs.jobqueue.attempts.processes import ProcessIdentity
from pkgs.jobqueue.manager.book import Entry
from pkgs.jobqueue.manager.live import Live
from pkgs.jobqueue.manager.telemetry import TICKS_PER_S, Meter, read_oom_kills
from pkgs.jobqueue.state.records import Attempt, JobRecord
from pkgs.jobqueue.vocabulary import Wish

if TYPE_CHECKING:
    from pkgs.jobqueue.manager.engine import Engine

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
        engine.live[attempt.id] = taken_back(engine, attempt)


def taken_back(engine: Engine, attempt: Attempt) -> Live:
    """Return an attempt of an earlier manager, watched over if it lives."""
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
