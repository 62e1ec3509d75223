"""The schedule as a pure function: a snapshot of what waits and what is free in, the starts of this turn out.

Not here: who waits for whom (fanout.py), what is really free (devices/), the future (simulate.py), the words
for it (why.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final, final

from pkgs.jobqueue.schedule.rooms import Room, allowed, choose_rooms, infeasible, occupied, offer
from pkgs.jobqueue.schedule.waiting import Candidate, Group, Waiting, by_age
from pkgs.jobqueue.vocabulary import RunKey

__all__ = [
    "Candidate", "Collect", "Limits", "Plan", "Room", "Snapshot", "Start", "Waiting", "infeasible", "plan",
]  # fmt: skip

AGING_S: Final = 600.0
"""A run that could not start for so long collects devices; smaller ones pass it freely until then."""
OVERTAKE_S: Final = 7200.0
"""A large run that waited so long goes before smaller ones of rows that were added later, whatever their
order: new rows that keep arriving with an early seed would starve it otherwise."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Settings of the schedule."""

    aging_s: float = AGING_S
    overtake_s: float = OVERTAKE_S


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that decides a turn."""

    now_unix_s: float
    candidates: Waiting | Sequence[Candidate]
    """In any order. `Waiting` kept from turn to turn spares sorting them anew."""
    rooms: Sequence[Room]
    """In the order in which people count them."""
    cpu_slots_free: int
    cpu_slots: int
    gpus_exist: bool = True
    """False: a CPU slot stands in for whatever GPUs a run asks for."""
    paused: str | None = None
    """Why nothing at all may start, such as a full disk."""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Start:
    """Start this run now."""

    key: RunKey
    devices: tuple[str, ...]
    reserve_mib: int | None
    """To be reserved on each device; None: the devices are its alone (or it has none)."""
    cpu_slots: int


@dataclass(frozen=True, slots=True)
class Collect:
    """A run that waited too long gets these devices as they fall free."""

    key: RunKey
    devices: tuple[str, ...]
    expected_start_unix_s: float | None
    """None: nobody knows when the devices fall free."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The turn's starts, in order, and who collects devices."""

    starts: tuple[Start, ...] = ()
    collecting: Collect | None = None


def plan(snapshot: Snapshot) -> Plan:
    """Decide which runs start now, and on which devices. The same snapshot always gives the same plan.

    Urgent first, then matched sets, then rows; what fits passes what does not; a run that waited longer than
    `aging_s` without fitting collects devices, which others then use only if they end before it could start.
    At most one run collects at a time: two could wait for each other's devices for ever.

    The cost grows with the runs that start and with the number of different demands, not with what waits.
    """
    if snapshot.paused is not None or not len(snapshot.candidates):
        return Plan()
    waiting = snapshot.candidates
    if not isinstance(waiting, Waiting):
        waiting = Waiting(waiting)
    turn = _Turn(snapshot)
    settled: set[RunKey] = set()
    groups = list(waiting.groups.values())
    senior = _overtaken(waiting, snapshot) if snapshot.gpus_exist else None
    heads = [(group.runs[0].order, number, 0) for number, group in enumerate(groups)]
    heapify(heads)
    while heads:
        _, number, place = heappop(heads)
        candidate = groups[number].runs[place]
        if senior is not None and candidate.order[0] >= senior.order[0]:  # its priority's turn
            heappush(heads, (candidate.order, number, place))
            if not turn.start(senior) and turn.collecting is None:
                turn.collect(senior)
            settled.add(senior.key)
            senior = None
            continue
        done = candidate.key in settled or turn.start(candidate)
        if not done and turn.is_aged(candidate):
            turn.collect(candidate)
        following = place + 1 if done else turn.next_hope(groups[number], place)
        if following < len(groups[number].runs):
            heappush(heads, (groups[number].runs[following].order, number, following))
    return Plan(tuple(turn.starts), turn.collecting)


def _overtaken(waiting: Waiting, snapshot: Snapshot) -> Candidate | None:
    """Return the large run that smaller ones of later rows and its priority kept waiting too long, if any."""
    long_ago = snapshot.now_unix_s - snapshot.limits.overtake_s
    heads: dict[int, list[Candidate]] = {}
    for group in waiting.groups.values():
        heads.setdefault(group.runs[0].order[0], []).append(group.runs[0])
    newest = {priority: max(head.listed_unix_s for head in of_it) for priority, of_it in heads.items()}
    oldest = [group.oldest for group in waiting.groups.values()]
    for old in sorted(oldest, key=by_age):
        if old.ready_unix_s > long_ago:
            return None
        priority = old.order[0]
        if old.listed_unix_s < newest[priority] and any(_passes(head, old) for head in heads[priority]):
            return old
    return None


def _passes(small: Candidate, large: Candidate) -> bool:
    return (
        small.gpus > 0
        and small.order < large.order
        and small.listed_unix_s > large.listed_unix_s
        and _extent(small) < _extent(large)
    )


def _extent(candidate: Candidate) -> tuple[int, float]:
    return candidate.gpus, inf if candidate.memory_mib is None else candidate.memory_mib


@final
class _Turn:
    """The rooms and slots of one turn while they are being given out. Both only ever shrink."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.starts: list[Start] = []
        self.collecting: Collect | None = None
        self._now = snapshot.now_unix_s
        self._aging_s = snapshot.limits.aging_s
        self._gpus_exist = snapshot.gpus_exist
        self._slots = snapshot.cpu_slots_free
        self._rooms = {room.uuid: room for room in snapshot.rooms}
        self._measure()

    def start(self, candidate: Candidate) -> bool:
        """Start the run if there is room for it."""
        if self._on_slot(candidate):
            if self._slots <= 0:
                return False
            self._slots -= 1
            self.starts.append(Start(candidate.key, (), None, cpu_slots=1))
            return True
        may_pass = self._ends_in_time(candidate)
        if not self._hope(candidate, may_pass=may_pass):
            return False
        kept = self.collecting.devices if self.collecting is not None and not may_pass else ()
        rooms = allowed(candidate, self._rooms)
        chosen = choose_rooms(candidate, [r for r in rooms if r.uuid not in kept and r.fits(candidate)])
        if not chosen:
            return False
        self._take(candidate, chosen)
        return True

    def is_aged(self, candidate: Candidate) -> bool:
        """Return True if it is time for the run to collect devices, and no other run does."""
        return self.collecting is None and self._now - candidate.ready_unix_s > self._aging_s

    def collect(self, candidate: Candidate) -> None:
        """Keep for the run the devices on which it can start first."""
        possible = [room for room in allowed(candidate, self._rooms) if room.will_fit(candidate)]
        if self._on_slot(candidate) or len(possible) < candidate.gpus:
            return  # the rest is in strangers' hands: keeping devices idle for it would help nobody
        moments = sorted(
            ((self._free_from(candidate, room), room.total_mib, n) for n, room in enumerate(possible)),
        )[: candidate.gpus]
        start = moments[-1][0]
        uuids = tuple(possible[n].uuid for _, _, n in moments)
        self.collecting = Collect(candidate.key, uuids, None if start == inf else start)
        self._measure()

    def next_hope(self, group: Group, place: int) -> int:
        """Return the place of the group's next run worth a look after the one at `place` did not start."""
        runs = group.runs
        if self._on_slot(runs[place]):
            return len(runs)
        if self.collecting is None:  # the next one fits no better, but it may be the one to collect
            if self._now - group.oldest.ready_unix_s <= self._aging_s:
                return len(runs)
            aged = (n for n in range(place + 1, len(runs)) if self.is_aged(runs[n]))
            return next(aged, len(runs))
        if not self._hope(runs[place], may_pass=True):
            return len(runs)
        short = (n for n in range(place + 1, len(runs)) if self._ends_in_time(runs[n]))
        return next(short, len(runs))

    def _on_slot(self, candidate: Candidate) -> bool:
        return not candidate.gpus or not self._gpus_exist

    def _ends_in_time(self, candidate: Candidate) -> bool:
        """Return True if the run may use devices kept for another: it ends before that one could start."""
        if self.collecting is None:
            return True
        start = self.collecting.expected_start_unix_s
        return (
            start is not None
            and candidate.expected_s is not None
            and self._now + candidate.expected_s <= start
        )

    def _hope(self, candidate: Candidate, *, may_pass: bool) -> bool:
        """Return False if the run cannot fit, at the price of a comparison; True promises nothing."""
        alone, free_mib = self._offer_all if may_pass else self._offer_open
        if candidate.memory_mib is None:
            return candidate.gpus <= alone
        return candidate.gpus <= len(free_mib) and free_mib[candidate.gpus - 1] >= candidate.memory_mib

    def _measure(self) -> None:
        kept = self.collecting.devices if self.collecting is not None else ()
        self._offer_all = offer(self._rooms.values())
        self._offer_open = offer(room for room in self._rooms.values() if room.uuid not in kept)

    def _take(self, candidate: Candidate, chosen: Sequence[Room]) -> None:
        uuids = tuple(room.uuid for room in chosen)
        self.starts.append(Start(candidate.key, uuids, candidate.memory_mib, cpu_slots=0))
        end = None if candidate.expected_s is None else self._now + candidate.expected_s
        for room in chosen:
            self._rooms[room.uuid] = occupied(room, candidate.memory_mib, until_unix_s=end)
        self._measure()

    def _free_from(self, candidate: Candidate, room: Room) -> float:
        """Return when the run will probably fit into the room: now, a later moment, or inf if unknown."""
        if room.fits(candidate) or not room.ours:  # a device without runs of ours is about to settle
            return self._now
        return inf if room.busy_until_unix_s is None else max(self._now, room.busy_until_unix_s)
