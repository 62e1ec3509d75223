"""What the column `message` says of a job, and what `why` says.

Reasons gathered from the engine, worded by why.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pkgs.jobqueue.devices.watch import DeviceState
from pkgs.jobqueue.schedule.plan import Plan
from pkgs.jobqueue.schedule.reasons import (
    Described,
    Device,
    Free,
    GpusUnknown,
    OurRuns,
    Parent,
    ParentState,
    RetryPause,
    Settling,
    WaitsForParents,
)
from pkgs.jobqueue.schedule.when import Times
from pkgs.jobqueue.schedule.why import explain, sentence
from pkgs.jobqueue.state.records import Active, Cancelled, Failed, Run, Waiting
from pkgs.jobqueue.vocabulary import Wish

if TYPE_CHECKING:
    from pkgs.jobqueue.devices.watch import DeviceRoom
    from pkgs.jobqueue.manager.book import Entry
    from pkgs.jobqueue.manager.engine import Engine
    from pkgs.jobqueue.schedule.plan import Snapshot
    from pkgs.jobqueue.schedule.reasons import Reason
    from pkgs.jobqueue.vocabulary import RunKey

ITS_TURN = "waits for its turn; `why {job}` says for what"


def local(unix_s: float) -> datetime:
    """Return the time on the user's clock."""
    return datetime.fromtimestamp(unix_s).astimezone()


def message_of(engine: Engine, entry: Entry) -> str:  # noqa: PLR0911 - one return per reason
    """Return the cell `message`: why it waits or failed and the way out; empty while all goes well."""
    problem = engine.book.problem_of(entry)
    if entry.doubt or problem:
        return entry.doubt or problem
    wish = entry.record.wish
    if wish is Wish.HOLD:
        return entry.record.note or f"on hold as you asked; `release {entry.id}` lets it run"
    if wish in (Wish.CANCEL, Wish.RERUN):
        left = len(entry.active())
        if left:
            return f"stopping {left} run{'s' * (left != 1)}, each has time to save a checkpoint"
        return f"cancelled as you asked; `rerun {entry.id}` does it again" if wish is Wish.CANCEL else ""
    if wish is Wish.COMPLETED:
        return ""
    failed = _failed(engine, entry)
    if failed:
        return failed
    if entry.active():
        return entry.record.note
    waiting = _waiting(engine, entry)
    return waiting or entry.record.note


def _failed(engine: Engine, entry: Entry) -> str:
    failed = [run for run in entry.members() if isinstance(run.state, Failed)]
    if not failed:
        return ""
    last = failed[-1]
    assert isinstance(last.state, Failed), "just chosen so"
    log = _log_of(engine, last.key)
    words = f"{_short(last)}{last.state.sentence.rstrip('.')}; {log}; then `retry {entry.id}`"
    if entry.record.held_after_failures:
        return f"held after {entry.record.failures_in_row} failures in a row. Last: {words}"
    return f"{len(failed)} runs failed. Last: {words}" if len(failed) > 1 else words


def _short(run: Run) -> str:
    """Return what tells a run from its siblings: `seed 3: `, or nothing for the only one."""
    words = [] if run.key.seed is None else [f"seed {run.key.seed}"]
    if run.key.condition is not None:
        words.append(run.key.condition)
    return f"{', '.join(words)}: " if words else ""


def _log_of(engine: Engine, key: RunKey) -> str:
    """Return where the log is; a start that failed for want of a folder has none."""
    folder = engine.launcher.folder(key)
    output = folder.attempt(folder.newest_attempt()).output
    return f"log: {output}" if output.exists() else f"no log could be written in {folder.path}"


def _waiting(engine: Engine, entry: Entry) -> str:
    for run in entry.members():
        if isinstance(run.state, Waiting):
            return reason_for(engine, entry, run)
    if any(isinstance(run.state, Cancelled) for run in entry.members()):
        return f"cancelled; `rerun {entry.id}` does it again"
    return ""


def reason_for(engine: Engine, entry: Entry, run: Run) -> str:
    """Return why a waiting run has not started: its pause, its parents, or its turn."""
    now = engine.clock.unix_s()
    assert isinstance(run.state, Waiting), "asked of waiting runs only"
    if run.state.cause is not None and run.state.not_before_unix_s > now:
        return sentence(RetryPause(run.state.cause, run.state.not_before_unix_s), times=Times(now, local))
    missing = engine.book.missing_parents(run.key)
    if missing:
        parents = tuple(_parent(engine, key) for key in missing)
        return sentence(WaitsForParents(parents), times=Times(now, local))
    return ITS_TURN.format(job=entry.id)


def _parent(engine: Engine, key: RunKey) -> Parent:
    entry = engine.book.entries.get(key.job)
    if entry is None or entry.removed:
        return Parent(str(key), key.job, ParentState.REMOVED)
    state = entry.run(key).state
    if engine.book.problem_of(entry) or entry.job is None:
        return Parent(str(key), key.job, ParentState.REFUSED, line=entry.line)
    if isinstance(state, Failed):
        return Parent(str(key), key.job, ParentState.FAILED)
    if isinstance(state, Cancelled) or entry.record.wish is Wish.CANCEL:
        return Parent(str(key), key.job, ParentState.CANCELLED)
    if isinstance(state, Active):
        return Parent(str(key), key.job, ParentState.RUNNING)
    held = entry.record.wish is Wish.HOLD or entry.record.held_after_failures
    return Parent(str(key), key.job, ParentState.HELD if held else ParentState.WAITING)


def reasons_of_ready(engine: Engine, snapshot: Snapshot, *, most: int) -> dict[str, str]:
    """Return by job id why its first ready run has not started, for the first `most` runs in order."""
    times = Times(snapshot.now_unix_s, local)
    devices = {room.uuid: _device(engine, room) for room in engine.desk.rooms}
    problem = engine.desk.inventory.problem
    unknown: Reason | None = None if problem is None or snapshot.paused else _gpus_unknown(problem)
    found: dict[str, str] = {}
    for count, candidate in enumerate(engine.book.ready):
        if count >= most:
            break
        if candidate.key.job not in found:
            reason = unknown if unknown is not None and candidate.gpus else None
            reason = reason or explain(candidate, snapshot, decided=engine.plan or Plan(), devices=devices)
            found[candidate.key.job] = sentence(reason, times=times)
    return found


def _device(engine: Engine, room: DeviceRoom) -> Device:
    label = f"GPU {room.index}"
    names = tuple(str(live.attempt.key) for live in engine.live.values() if room.uuid in live.attempt.devices)
    if names:
        return Device(label, OurRuns(names, engine.busy_until().get(room.uuid)), room.free_mib)
    match room.state:
        case DeviceState.FREE | DeviceState.OURS | DeviceState.SHARED:
            return Device(label, Free(), room.free_mib)
        case DeviceState.SETTLING:
            return Device(label, Settling(), room.free_mib)
        case _:
            return Device(label, Described(room.why), room.free_mib)


def _gpus_unknown(problem: str) -> GpusUnknown:
    """Return the reason without what its sentence says anyway, and without a countdown."""
    known = ("Nothing new starts", "Asked again")
    said = [words for words in problem.split(". ") if not words.startswith(known)]
    return GpusUnknown(". ".join(said).rstrip("."))
