"""One sentence for every reason why something does not run now, never empty, with the way out.

Sentences for the column `message`: times are absolute and rounded, nothing counts down. No full stop at the
end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pkgs.jobqueue.schedule.plan import Candidate, Collect, Plan, Room, Snapshot, Waiting
from pkgs.jobqueue.schedule.reasons import (
    Avoided,
    Cancelled,
    Collecting,
    Completed,
    Described,
    Device,
    DiskLow,
    Failed,
    Free,
    GpusUnknown,
    Held,
    HeldAfterFailures,
    Holder,
    InDoubt,
    Kept,
    Leased,
    Lingering,
    NoDevice,
    NoManager,
    NoMemory,
    NoSlot,
    OurRuns,
    Parent,
    ParentState,
    Paused,
    Quarantined,
    Reason,
    Refused,
    RetryPause,
    RoomReason,
    RowReason,
    Running,
    Settling,
    StageReason,
    Starting,
    Stranger,
    WaitReason,
    WaitsForParents,
)
from pkgs.jobqueue.schedule.rooms import allowed, occupied, size
from pkgs.jobqueue.schedule.when import Times
from pkgs.jobqueue.vocabulary import RunKey

WORST_FIRST = tuple(ParentState)
MOST_DEVICES = 3
"""Named in one sentence; the others are counted."""


def sentence(reason: Reason, *, times: Times) -> str:
    """Return the reason as one sentence with the way out."""
    match reason:
        case Held() | HeldAfterFailures() | Refused() | InDoubt():
            return _of_row(reason)
        case Completed() | Failed() | Cancelled() | Running() | Starting():
            return _of_stage(reason, times=times)
        case WaitsForParents() | RetryPause() | DiskLow() | Paused() | GpusUnknown() | NoManager():
            return _of_wait(reason, times=times)
        case NoDevice() | NoMemory() | NoSlot() | Collecting() | Kept():
            return _of_room(reason, times=times)


def _of_row(reason: RowReason) -> str:
    match reason:
        case Held(job=job):
            return f"on hold as you asked; `release {job}` lets it run"
        case HeldAfterFailures(job=job, failures=failures, cause=cause, log=log):
            return (
                f"on hold after {failures} failures in a row, the last one: {cause}; "
                f"look at {log}, then `retry {job}`"
            )
        case Refused(problems=problems, line=line):
            where = "" if line is None else f"line {line}, "
            more = f" ({len(problems) - 1} more: `check` shows all)" if len(problems) > 1 else ""
            return f"{where}{problems[0]}{more}"
        case InDoubt(write_instead=instead):
            return f"an edit of this row can be read in two ways, so it does not run; {instead}"


def _of_stage(reason: StageReason, *, times: Times) -> str:
    match reason:
        case Completed(job=job):
            return f"completed; `rerun {job}` does it again"
        case Failed(job=job, cause=cause, log=log):
            return f"failed: {cause}; look at {log}, then `retry {job}`"
        case Cancelled(job=job):
            return f"cancelled as you asked; `rerun {job}` does it again"
        case Running(where=where, until_unix_s=until):
            return f"runs on {where}{_until(until, times=times)}"
        case Starting():
            return "starts in the next turn of the queue; nothing stands in its way"


def _of_wait(reason: WaitReason, *, times: Times) -> str:
    match reason:
        case WaitsForParents(parents=parents):
            return _of_parents(parents, times=times)
        case RetryPause(cause=cause, until_unix_s=until):
            return f"pauses until {times.exact(until)} and then tries again, after: {cause}"
        case DiskLow(folder=folder, free_mib=free, floor_mib=floor):
            return (
                f"nothing starts while less than {size(floor)} is free in {folder} ({size(free)} now); "
                "make room, the queue goes on by itself"
            )
        case Paused(why=why):
            return f"nothing starts at present: {why}; the queue goes on by itself once that is over"
        case GpusUnknown(why=why):
            return f"nothing new starts on GPUs: {why}; `doctor` says more, runs with `gpus` 0 still start"
        case NoManager():
            return "no manager is running; start one with `python QueueManager.py`"


def _of_parents(parents: Sequence[Parent], *, times: Times) -> str:
    """Speak of the parent that needs the user most, and count the others."""
    worst = min(parents, key=lambda parent: WORST_FIRST.index(parent.state))
    others = f"; {len(parents) - 1} more must be completed, too" if len(parents) > 1 else ""
    out = "or take it out of `after`"
    match worst.state:
        case ParentState.REMOVED:
            words = f"which is no longer in the table; put its row back, {out}"
        case ParentState.REFUSED:
            where = "" if worst.line is None else f" in line {worst.line}"
            words = f"whose row has an error{where}; mend it, {out}"
        case ParentState.FAILED:
            words = f"which failed; `retry {worst.job}`, {out}"
        case ParentState.CANCELLED:
            words = f"which was cancelled; `rerun {worst.job}`, {out}"
        case ParentState.HELD:
            words = f"which is on hold; `release {worst.job}`, {out}"
        case ParentState.WAITING:
            words = f"which waits itself; `why {worst.job}` says for what"
        case ParentState.RUNNING:
            words = f"which runs{_until(worst.until_unix_s, times=times)}; nothing to do"
    return f"waits for {worst.name}, {words}{others}"


def _of_room(reason: RoomReason, *, times: Times) -> str:
    match reason:
        case NoDevice(gpus=gpus, free=free, devices=devices):
            return f"needs {_gpus(gpus)}, {free} free; {_devices(devices, times=times)}"
        case NoMemory(gpus=gpus, memory_mib=memory, free=free, devices=devices):
            most_mib = max((device.free_mib for device in devices), default=0)
            there = f"at most {size(most_mib)} are free{' elsewhere' if free else ''}"
            each = "" if gpus == 1 else f" on each of {gpus} GPUs, {free} of them found"
            return f"needs {size(memory)} of GPU memory{each}; {there}; {_devices(devices, times=times)}"
        case NoSlot(slots=slots, until_unix_s=until):
            in_use = "the only CPU slot is" if slots == 1 else f"all {slots} CPU slots are"
            return f"{in_use} in use{_until(until, times=times)}; `run --cpu-slots` allows more at once"
        case Collecting(devices=devices, start_unix_s=start):
            names = ", ".join(device.label for device in devices)
            busy = [device for device in devices if not isinstance(device.holder, Free)]
            then = "nobody knows when" if start is None else f"about {times.about(start)}"
            are = "is kept for it as it falls" if len(devices) == 1 else "are kept for it as they fall"
            who = f"; {_devices(busy, times=times)}" if busy else ""
            return f"is next: {names} {are} free, {then}{who}"
        case Kept(name=name, start_unix_s=start):
            then = "" if start is None else f", which should start about {times.about(start)}"
            return f"what is free is kept for {name}{then}; a higher `priority` lets this one go first"


def _until(unix_s: float | None, *, times: Times) -> str:
    return "" if unix_s is None else f" until about {times.about(unix_s)}"


def _gpus(count: int) -> str:
    return "a GPU for itself" if count == 1 else f"{count} GPUs"


def _devices(devices: Sequence[Device], *, times: Times) -> str:
    if not devices:
        return "no GPU is in reach of the queue; `doctor` says more"
    said = [_device(device, times=times) for device in devices[:MOST_DEVICES]]
    more = f", {len(devices) - MOST_DEVICES} more: `status` shows them" if len(devices) > MOST_DEVICES else ""
    return ", ".join(said) + more


def _device(device: Device, *, times: Times) -> str:
    if isinstance(device.holder, Described) and device.holder.words:
        return device.holder.words.partition(". ")[0].removesuffix(".")
    return f"{device.label} {_holder(device.holder, times=times)}"


def _holder(holder: Holder, *, times: Times) -> str:  # noqa: PLR0911 - one per kind of holder
    match holder:
        case OurRuns(names=names, until_unix_s=until):
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            return f"held by {names[0]}{more}{_until(until, times=times)}"
        case Stranger(pid=pid, user=user, mib=mib):
            of_user = f" of user {user}" if user else ""
            return f"used by pid {pid}{of_user}{'' if mib is None else f' ({size(mib)})'}"
        case Lingering(mib=mib):
            return f"held by nobody visible ({size(mib)})"
        case Leased(holder=owner):
            return f"leased by {owner}"
        case Settling():
            return "has just fallen free and is watched for a moment"
        case Quarantined(why=why):
            return f"in quarantine ({why})"
        case Described():
            return "busy"
        case Avoided():
            return "not used again by this run, which failed there by the card's fault"
        case Free():
            return "free"


def explain(
    candidate: Candidate, snapshot: Snapshot, *, decided: Plan, devices: Mapping[str, Device]
) -> Reason:
    """Return why a run that may start did not start in this turn.

    Args:
        candidate: One of the snapshot.
        snapshot: What the turn saw.
        decided: What `plan` returned, for this snapshot or for one shortly before: starts that are no longer
            among the candidates have been made, and the rooms show them.
        devices: For each room's UUID, who is on it.
    """
    if snapshot.paused is not None:
        return Paused(snapshot.paused)
    if any(start.key == candidate.key for start in decided.starts):
        return Starting()
    if not candidate.gpus or not snapshot.gpus_exist:
        pending = [start for start in decided.starts if _is_candidate(start.key, snapshot)]
        left = snapshot.cpu_slots_free - sum(start.cpu_slots for start in pending)
        return Starting() if left > 0 else NoSlot(snapshot.cpu_slots)
    collecting = decided.collecting
    if collecting is not None and collecting.key == candidate.key:
        kept = tuple(devices[uuid] for uuid in collecting.devices if uuid in devices)
        return Collecting(kept, collecting.expected_start_unix_s)
    return _lacks_devices(candidate, _left(snapshot, decided), collecting=collecting, devices=devices)


def _lacks_devices(
    candidate: Candidate,
    left: Mapping[str, Room],
    *,
    collecting: Collect | None,
    devices: Mapping[str, Device],
) -> Reason:
    use = {room.uuid for room in allowed(candidate, left)}
    fitting = {uuid for uuid in use if left[uuid].fits(candidate)}
    if collecting is not None and len(fitting) >= candidate.gpus:
        return Kept(str(collecting.key), collecting.expected_start_unix_s)
    if len(fitting) >= candidate.gpus:
        return Starting()
    others = tuple(
        devices[uuid] if uuid in use else replace(devices[uuid], holder=Avoided())
        for uuid in left
        if uuid not in fitting
    )
    if candidate.memory_mib is None:
        return NoDevice(candidate.gpus, len(fitting), others)
    return NoMemory(candidate.gpus, candidate.memory_mib, len(fitting), others)


def _left(snapshot: Snapshot, decided: Plan) -> dict[str, Room]:
    """Return what the turn's starts leave of the rooms."""
    left = {room.uuid: room for room in snapshot.rooms}
    for start in decided.starts:
        if not _is_candidate(start.key, snapshot):
            continue
        for uuid in left.keys() & set(start.devices):
            left[uuid] = occupied(left[uuid], start.reserve_mib, until_unix_s=None)
    return left


def _is_candidate(key: RunKey, snapshot: Snapshot) -> bool:
    if isinstance(snapshot.candidates, Waiting):
        return key in snapshot.candidates
    return any(candidate.key == key for candidate in snapshot.candidates)
