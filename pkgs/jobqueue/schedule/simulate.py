"""The future of the queue: the very plan() of the live queue, played forward with a pretended clock.

Used by `plan`, `run --dry-run` and every ETA. Not here: where durations come from (eta.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from statistics import median
from typing import Final, final

from pkgs.jobqueue.schedule.fanout import Fanout, Order, set_ranks
from pkgs.jobqueue.schedule.plan import Limits, Snapshot, Start, plan
from pkgs.jobqueue.schedule.rooms import Room
from pkgs.jobqueue.schedule.waiting import Candidate, Waiting
from pkgs.jobqueue.vocabulary import Job, RunKey, Share

UNKNOWN_S: Final = 3600.0
"""Stands for every duration while none at all is known: only the order of starts means something then."""

Durations = Callable[[RunKey], float | None]
"""How long a run takes, in seconds; None: nobody knows."""


def declared_mib(job: Job) -> int | None:
    """Return the room that the row asks for on each device; None: its devices alone (`auto`, too)."""
    return job.gpu_mem.mib if isinstance(job.gpu_mem, Share) else None


@dataclass(frozen=True, slots=True)
class Occupant:
    """A run that holds devices when the simulation begins."""

    key: RunKey
    start_unix_s: float
    devices: tuple[str, ...] = ()
    reserve_mib: int | None = None
    """On each device; None: it has them alone."""
    cpu_slots: int = 0
    expected_end_unix_s: float | None = None
    """None: from its start and its duration."""


@dataclass(frozen=True, slots=True)
class World:
    """Where a simulation begins."""

    now_unix_s: float
    fanout: Fanout
    rooms: Sequence[Room]
    """As in the live snapshot: what `running` holds is already taken off."""
    cpu_slots: int
    """All there are, those of `running` among them."""
    duration: Durations
    """What happens."""
    expected: Durations | None = None
    """What the schedule believes; None: what happens."""
    memory: Callable[[Job], int | None] = declared_mib
    running: Sequence[Occupant] = ()
    completed: Collection[RunKey] = frozenset()
    left_out: Collection[RunKey | str] = frozenset()
    """Runs, or ids of jobs, that will not run: failed, held, infeasible. Nor will what waits for them."""
    not_before_unix_s: Mapping[RunKey, float] = field(default_factory=dict)
    """Ends of pauses before retries."""
    ready_unix_s: Mapping[RunKey, float] = field(default_factory=dict)
    """Since when runs have been waiting for a device; now, if they are not named."""
    listed_unix_s: Mapping[str, float] = field(default_factory=dict)
    """When rows came into the table, by job id, where it is known."""
    gpus_exist: bool = True
    limits: Limits = field(default_factory=Limits)
    order: Order | None = None
    """Spares ranking the seeds anew."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A run in the timeline."""

    key: RunKey
    start_unix_s: float
    end_unix_s: float
    devices: tuple[str, ...]
    reserve_mib: int | None
    cpu_slots: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """What will run when, if everything succeeds and takes as long as expected."""

    entries: tuple[Entry, ...]
    """In the order of starts; runs that are running now come first."""
    end_unix_s: float
    """When the last of them ends; now, if nothing is left to do."""
    job_ends_unix_s: Mapping[str, float]
    """By job, for those whose every run is through by then."""
    never: tuple[RunKey, ...]
    """Runs that cannot start: what they wait for will not run, or no device can take them."""
    guessed: frozenset[str]
    """Jobs without a known duration; the median of the others stands in."""
    assumed_s: float | None
    """That median; None while no duration is known: then no time here means anything, only the order does."""


def simulate(world: World) -> Timeline:
    """Play the queue forward to its end.

    10,000 runs take about a second. The same world always gives the same timeline.
    """
    return _Simulation(world).run()


@final
class _Site:
    """A device and who is on it."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._empty = room
        self._on: dict[RunKey, tuple[int | None, float | None]] = {}

    def begin_with(self, occupants: Sequence[tuple[Occupant, float]]) -> None:
        """Note who is on the device at the beginning, and what it offers once they are gone."""
        shares = [occupant.reserve_mib for occupant, _ in occupants]
        known = [mib for mib in shares if mib is not None]
        whole = self.room.total_mib if len(known) < len(shares) else self.room.free_mib + sum(known)
        self._on = {occupant.key: (occupant.reserve_mib, end) for occupant, end in occupants}
        again = self.room.returns
        self._empty = replace(
            self.room, free_mib=whole, alone_ok=again, share_ok=again, ours=0, busy_until_unix_s=None
        )
        self._update()

    def settle(self) -> None:
        """Take a device that a run has just left for a free one: it is watched for seconds only."""
        room = self.room
        if room.ours or not (room.alone_ok or room.share_ok):
            self._empty = replace(
                room, free_mib=room.total_mib, alone_ok=True, share_ok=True, ours=0, busy_until_unix_s=None
            )
            self._update()

    def put(self, key: RunKey, reserve_mib: int | None, *, until_unix_s: float | None) -> None:
        self._on[key] = (reserve_mib, until_unix_s)
        self._update()

    def take_off(self, key: RunKey) -> None:
        del self._on[key]
        self._update()

    def _update(self) -> None:
        if not self._on:
            self.room = self._empty
            return
        shares = [mib for mib, _ in self._on.values()]
        ends = [end for _, end in self._on.values() if end is not None]
        alone = None in shares
        free = 0 if alone else self._empty.free_mib - sum(mib for mib in shares if mib is not None)
        self.room = replace(
            self._empty,
            free_mib=free,
            alone_ok=False,
            share_ok=self._empty.share_ok and not alone,
            busy_until_unix_s=max(ends) if len(ends) == len(shares) else None,
            ours=len(shares),
        )


@final
class _Simulation:
    def __init__(self, world: World) -> None:
        self.world = world
        self.now = world.now_unix_s
        self.order = world.order or set_ranks(world.fanout.jobs)
        self.sites = {room.uuid: _Site(room) for room in world.rooms}
        self.slots_free = world.cpu_slots
        self.waiting = Waiting()
        self.entries: list[Entry] = []
        self.ends: list[tuple[float, int]] = []
        self.guessed: set[str] = set()
        self._find_pending()
        self._seat_running()
        self._link_parents()

    def run(self) -> Timeline:
        while True:
            self._start_what_fits()
            moments = [queue[0][0] for queue in (self.ends, self.pauses) if queue]
            if not moments:
                return self._timeline()
            self.now = min(moments)
            while self.ends and self.ends[0][0] <= self.now:
                self._end(self.entries[heappop(self.ends)[1]])
            while self.pauses and self.pauses[0][0] <= self.now:
                self._make_ready(self.pending[heappop(self.pauses)[1]])

    def _find_pending(self) -> None:
        world = self.world
        gone = {*world.completed, *world.left_out, *(occupant.key for occupant in world.running)}
        self.pending = [
            key
            for job in world.fanout.jobs.values()
            if job.id not in gone and job.id not in world.fanout.problems
            for key in job.runs()
            if key not in gone
        ]
        self.number = {key: number for number, key in enumerate(self.pending)}
        keys = [*self.pending, *(occupant.key for occupant in world.running)]
        known = {key: world.duration(key) for key in keys}
        lengths = [length for length in known.values() if length is not None]
        self.assumed_s = median(lengths) if lengths else None
        self.duration_s = {
            key: length if length is not None else self.assumed_s or UNKNOWN_S
            for key, length in known.items()
        }
        self.guessed = {key.job for key, length in known.items() if length is None}

    def _seat_running(self) -> None:
        on: dict[str, list[tuple[Occupant, float]]] = {uuid: [] for uuid in self.sites}
        for occupant in self.world.running:
            end = occupant.expected_end_unix_s
            if end is None:
                end = occupant.start_unix_s + self.duration_s[occupant.key]
            end = max(self.now, end)
            self.slots_free -= occupant.cpu_slots
            for uuid in occupant.devices:
                on.setdefault(uuid, []).append((occupant, end))
            self._note(
                Entry(
                    occupant.key,
                    occupant.start_unix_s,
                    end,
                    occupant.devices,
                    occupant.reserve_mib,
                    occupant.cpu_slots,
                )
            )
        for uuid, site in self.sites.items():
            if on[uuid]:
                site.begin_with(on[uuid])
            elif site.room.returns:
                site.settle()

    def _link_parents(self) -> None:
        completed, fanout = self.world.completed, self.world.fanout
        self.children: dict[RunKey, list[RunKey]] = {}
        self.open_parents: dict[RunKey, int] = {}
        self.pauses: list[tuple[float, int]] = []
        for key in self.pending:
            parents = [
                parent
                for parent in fanout.parents(key)
                if parent not in completed
                and not (parent in self.world.left_out and fanout.end_is_enough(key, parent))
            ]
            if parents:
                self.open_parents[key] = len(parents)
                for parent in parents:
                    self.children.setdefault(parent, []).append(key)
            else:
                self._release(key)
        heapify(self.pauses)

    def _release(self, key: RunKey) -> None:
        """Take up a run whose parents are done: at once, or after its pause."""
        pause_end = self.world.not_before_unix_s.get(key, self.now)
        if pause_end > self.now:
            heappush(self.pauses, (pause_end, self.number[key]))
        else:
            self._make_ready(key)

    def _make_ready(self, key: RunKey) -> None:
        job = self.world.fanout.jobs[key.job]
        believed = self.world.expected or self.world.duration
        self.waiting.add(
            Candidate(
                key,
                self.order.of(key),
                gpus=job.gpus,
                memory_mib=self.world.memory(job) if job.gpus else None,
                ready_unix_s=self.world.ready_unix_s.get(key, self.now),
                expected_s=believed(key),
                listed_unix_s=self.world.listed_unix_s.get(key.job, 0.0),
            )
        )

    def _start_what_fits(self) -> None:
        if not self.waiting:
            return
        snapshot = Snapshot(
            self.now,
            self.waiting,
            [site.room for site in self.sites.values()],
            self.slots_free,
            self.world.cpu_slots,
            gpus_exist=self.world.gpus_exist,
            limits=self.world.limits,
        )
        for start in plan(snapshot).starts:
            self._start(start)

    def _start(self, start: Start) -> None:
        key = start.key
        self.waiting.discard(key)
        self.slots_free -= start.cpu_slots
        believed = (self.world.expected or self.world.duration)(key)
        until = None if believed is None else self.now + believed
        for uuid in start.devices:
            self.sites[uuid].put(key, start.reserve_mib, until_unix_s=until)
        end = self.now + self.duration_s[key]
        self._note(Entry(key, self.now, end, start.devices, start.reserve_mib, start.cpu_slots))

    def _note(self, entry: Entry) -> None:
        heappush(self.ends, (entry.end_unix_s, len(self.entries)))
        self.entries.append(entry)

    def _end(self, entry: Entry) -> None:
        self.slots_free += entry.cpu_slots
        for uuid in entry.devices:
            if uuid in self.sites:  # a card may have dropped out while a run was on it
                self.sites[uuid].take_off(entry.key)
        for child in self.children.pop(entry.key, ()):
            self.open_parents[child] -= 1
            if not self.open_parents[child]:
                del self.open_parents[child]
                self._release(child)

    def _timeline(self) -> Timeline:
        never = (*self.open_parents, *(candidate.key for candidate in self.waiting))
        ends: dict[str, float] = {}
        for entry in self.entries:
            ends[entry.key.job] = max(entry.end_unix_s, ends.get(entry.key.job, entry.end_unix_s))
        for key in never:
            ends.pop(key.job, None)
        end = max((entry.end_unix_s for entry in self.entries), default=self.now)
        return Timeline(tuple(self.entries), end, ends, tuple(never), frozenset(self.guessed), self.assumed_s)
