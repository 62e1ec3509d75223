"""What a device offers to a run, which of the devices a run takes, and what can never fit on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pkgs.jobqueue.schedule.fanout import Problem
from pkgs.jobqueue.schedule.waiting import Candidate
from pkgs.jobqueue.vocabulary import Job, Share


@dataclass(frozen=True, slots=True)
class Room:
    """What a device offers in this turn."""

    uuid: str
    total_mib: int
    """0: unknown."""
    free_mib: int
    """For runs that share: neither used nor reserved."""
    alone_ok: bool
    """Healthy, nobody on it and nothing of it reserved."""
    share_ok: bool
    """Healthy, without strangers, and no run of ours has it to itself."""
    busy_until_unix_s: float | None = None
    """When the last of our runs on it is expected to end; None: unknown, or there is none."""
    ours: int = 0
    """Attempts of ours on it."""
    returns: bool = True
    """False: quarantined, lost or in strangers' hands, so nobody can count on it. A device that only settles
    after a run of ours returns."""
    model: str = ""
    probation: bool = False
    """True: takes one run at most, which decides whether the card is trusted again."""

    def fits(self, candidate: Candidate) -> bool:
        """Return True if the run could start here now."""
        if self.total_mib < candidate.least_mib:
            return False
        if candidate.memory_mib is None:
            return self.alone_ok and not self.ours
        return self.share_ok and self.free_mib >= candidate.memory_mib

    def will_fit(self, candidate: Candidate) -> bool:
        """Return True if the run could start here now, or once our runs on the device have ended."""
        need_mib = max(candidate.least_mib, candidate.memory_mib or 0)
        return self.fits(candidate) or (self.returns and self.total_mib >= need_mib)


def occupied(room: Room, memory_mib: int | None, *, until_unix_s: float | None) -> Room:
    """Return the room after a run of ours was placed in it: sharing `memory_mib`, or alone if it is None."""
    until = until_unix_s
    if room.ours and until is not None:
        until = None if room.busy_until_unix_s is None else max(until, room.busy_until_unix_s)
    shares = memory_mib is not None
    return replace(
        room,
        free_mib=room.free_mib - memory_mib if memory_mib is not None else 0,
        alone_ok=False,
        share_ok=room.share_ok and shares and not room.probation,
        busy_until_unix_s=until,
        ours=room.ours + 1,
    )


def allowed(candidate: Candidate, rooms: Mapping[str, Room]) -> list[Room]:
    """Return the rooms that the run need not avoid; all of them if the others could never do."""
    if not candidate.avoid:
        return list(rooms.values())
    others = [room for room in rooms.values() if room.uuid not in candidate.avoid]
    enough = sum(room.will_fit(candidate) for room in others) >= candidate.gpus
    return others if enough else list(rooms.values())


def choose_rooms(candidate: Candidate, fitting: Sequence[Room]) -> Sequence[Room]:
    """Return the devices that the run takes among those that it fits on, or nothing if they are too few.

    A run that shares joins the tightest device, shared ones first, so that whole devices stay free for those
    that need them whole. A run alone takes the smallest device. A run on several takes devices of one kind,
    free ones first, if there are enough. Among equals the first one.
    """
    if len(fitting) < candidate.gpus:
        return ()
    if candidate.gpus == 1:
        if candidate.memory_mib is None:
            return (min(fitting, key=lambda room: room.total_mib),)
        return (min(fitting, key=lambda room: (room.ours == 0, room.free_mib)),)
    best = sorted(fitting, key=lambda room: (room.ours > 0, room.total_mib, room.free_mib))
    kinds: dict[tuple[str, int], list[Room]] = {}
    for room in best:
        kinds.setdefault((room.model, room.total_mib), []).append(room)
    for rooms in kinds.values():
        if len(rooms) >= candidate.gpus:
            return rooms[: candidate.gpus]
    return best[: candidate.gpus]


def offer(rooms: Iterable[Room]) -> tuple[int, list[int]]:
    """Return how many devices are free as a whole, and the memory open to sharing runs, most first."""
    alone, free_mib = 0, []
    for room in rooms:
        if room.alone_ok and not room.ours:
            alone += 1
        if room.share_ok and room.free_mib > 0:
            free_mib.append(room.free_mib)
    return alone, sorted(free_mib, reverse=True)


def infeasible(job: Job, rooms_all: Sequence[Room], *, gpus_exist: bool) -> Problem | None:
    """Return why the job can never run on this machine, or None.

    Args:
        job: A valid row.
        rooms_all: Every card of the machine, quarantined and busy ones, too.
        gpus_exist: False: CPU slots stand in for GPUs, and everything is feasible.
    """
    if not gpus_exist or not job.gpus or not rooms_all:
        return None
    if job.gpus > len(rooms_all):
        there = "1 GPU is" if len(rooms_all) == 1 else f"{len(rooms_all)} GPUs are"
        return Problem("gpus", str(job.gpus), f"possible here: {there} all there is", "Ask for fewer.")
    if not isinstance(job.gpu_mem, Share) or not all(room.total_mib for room in rooms_all):
        return None
    asked_mib = job.gpu_mem.mib
    able = sum(room.total_mib >= asked_mib for room in rooms_all)
    if able >= job.gpus:
        return None
    largest = f"the largest GPU has {size(max(room.total_mib for room in rooms_all))}"
    too_few = f"{able} of {len(rooms_all)} GPUs {'has' if able == 1 else 'have'} so much, not {job.gpus}"
    remedy = "Ask for less, or leave the cell empty to have the GPU alone."
    return Problem("gpu_mem", size(asked_mib), f"possible here: {too_few if able else largest}", remedy)


def size(mib: int) -> str:
    """Return memory as people write it: `14G`, `1.5G`, `300M`."""
    return f"{mib}M" if mib < 1024 else f"{mib / 1024:.1f}".removesuffix(".0") + "G"
