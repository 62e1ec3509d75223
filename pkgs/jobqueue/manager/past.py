"""What the run folders know and the state does not: it was lost, cut short, or set back to an older copy.

Nothing runs twice: a run whose folder holds an attempt that the state has never heard of is judged by that
attempt, and where nobody can know how it ended its job is held.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pkgs.foundation.files import read_json
from pkgs.jobqueue.attempts import adoption
from pkgs.jobqueue.manager.adopt import taken_back
from pkgs.jobqueue.manager.table_news import is_from_elsewhere
from pkgs.jobqueue.state.records import Active, Attempt, AttemptState, Completed, Failed, JobRecord, Run
from pkgs.jobqueue.vocabulary import Cause, RunKey, Wish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pkgs.foundation.run_folder import AttemptFolder
    from pkgs.jobqueue.manager.book import Entry
    from pkgs.jobqueue.manager.engine import Engine

log = logging.getLogger(__name__)

NOBODY_KNOWS: Final = (
    "the queue's state was lost and nobody knows how {run} ended: look into its folder, then write `open` to "
    "run it again, or `completed`"
)


@dataclass(frozen=True, slots=True)
class _Past:
    """The newest attempt in a run's folder."""

    attempt: Attempt
    run: Run | None
    """The run as the attempt shows it; None where nobody knows the end."""


def rebuild_from_folders(engine: Engine) -> None:
    """Take over what has run, after the state was lost."""
    here = {place.name for place in engine.root.iterdir()}  # spares a look for each of 100,000 new rows
    pasts = [
        past
        for entry in engine.book.entries.values()
        if entry.id.partition("/")[0] in here
        for fresh in entry.members()
        if fresh.key not in entry.runs and (past := _unknown_past(engine, fresh.key)) is not None
    ]
    if pasts:
        _take_over(engine, pasts)


def take_from_folder(engine: Engine, key: RunKey) -> bool:
    """Take over what the folder of a run that is about to start knows better; True if there was anything."""
    past = _unknown_past(engine, key)
    if past is None:
        return False
    log.error("the state does not know an attempt on the disk run=%s number=%d", key, past.attempt.number)
    _take_over(engine, [past])
    return True


def _unknown_past(engine: Engine, key: RunKey) -> _Past | None:
    """Return the newest attempt on the disk if the state does not know it."""
    number = engine.launcher.folder(key).newest_attempt()
    if number <= engine.state.newest_attempt(key):
        return None
    folder = engine.launcher.folder(key).attempt(number)
    attempt = _read_attempt(folder, key, number=number)
    run: Run | None = engine.book.entries[key.job].run(key)
    assert run is not None
    match adoption.find(folder, attempt.id, host=engine.host):
        case adoption.Alive():
            run = replace(run, state=Active(attempt.id))
        case adoption.Ended(record=record):
            run = replace(run, state=_as_it_ended(attempt, record))
        case adoption.NeverStarted():
            attempt.state = AttemptState.VOID
        case adoption.Rebooted():
            attempt.state, attempt.cause = AttemptState.ENDED, Cause.REBOOTED
            run = replace(run, free_tries=run.free_tries + 1)
        case _:
            attempt.state, attempt.cause = AttemptState.ENDED, Cause.LOST
            run = None
    return _Past(attempt, run)


def _as_it_ended(attempt: Attempt, record: adoption.ExitRecord) -> Completed | Failed:
    attempt.state = AttemptState.ENDED
    attempt.start_unix_s, attempt.end_unix_s = record.start_unix_s, record.end_unix_s
    attempt.code, attempt.signal = record.code, record.signal
    attempt.peak_rss_bytes, attempt.cpu_s = record.peak_rss_bytes, record.cpu_s
    if record.code == 0:
        return Completed()
    attempt.cause = Cause.EXCEPTION
    how = f"exit code {record.code}" if record.signal is None else f"signal {record.signal}"
    return Failed(Cause.EXCEPTION, f"Ended with {how}, before the queue's state was lost.")


def _read_attempt(folder: AttemptFolder, key: RunKey, *, number: int) -> Attempt:
    """Return the attempt as launch.json tells of it; under a new name where that cannot be read."""
    raw = read_json(folder.launch)
    launch = raw if isinstance(raw, dict) else {}
    name, reserve = launch.get("attempt"), launch.get("reserve_mib")
    slots, devices = launch.get("cpu_slots"), launch.get("devices")
    written = launch.get("written_unix_s")
    return Attempt(
        id=name if isinstance(name, str) else uuid.uuid4().hex[:16],
        key=key,
        number=number,
        devices=tuple(map(str, devices)) if isinstance(devices, list) else (),
        cpu_slots=slots if isinstance(slots, int) else 0,
        reserve_mib=reserve if isinstance(reserve, int) else None,
        written_unix_s=float(written) if isinstance(written, int | float) else 0.0,
    )


def _take_over(engine: Engine, pasts: Sequence[_Past]) -> None:
    """Make it durable, then watch over what lives."""
    runs = [past.run for past in pasts if past.run is not None]
    records = {past.attempt.key.job: _judged(engine, past) for past in pasts if past.run is not None}
    records |= {past.attempt.key.job: _judged(engine, past) for past in pasts if past.run is None}
    changed = [record for job, record in records.items() if record != engine.book.entries[job].record]
    unknown = sum(past.run is None for past in pasts)
    text = f"{len(runs)} runs taken from their folders, {unknown} held: nobody knows their end"
    event = engine.say("rebuilt", text)
    engine.commit(jobs=changed, runs=runs, attempts=[past.attempt for past in pasts], events=[event])
    for past in pasts:
        if past.attempt.state is AttemptState.STARTING:
            engine.live[past.attempt.id] = taken_back(engine, past.attempt)
    engine.book.note_changed(records)


def _judged(engine: Engine, past: _Past) -> JobRecord:
    """Return the job's record: held for an unknown end, released where its runs are known again."""
    entry: Entry = engine.book.entries[past.attempt.key.job]
    if past.run is None:
        return replace(entry.record, wish=Wish.HOLD, note=NOBODY_KNOWS.format(run=past.attempt.key))
    if entry.record.wish is Wish.HOLD and is_from_elsewhere(entry.record.note):
        return replace(entry.record, wish=Wish.OPEN, note="")
    return entry.record
